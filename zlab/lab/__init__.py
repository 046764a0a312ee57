"""The Jupyter server extension: stores below the server's root, as JSON for the sidebar.

It reads metadata and the sizes of chunks, and never runs anything that a store holds.
"""
