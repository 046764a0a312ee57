"""Servers and networks for tests: real ones on loopback, and a proxy that spoils answers."""
