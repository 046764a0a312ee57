"""Rows measured against peers in one run: `python -m benchmarks`.

`rows` says what is measured, `datasets` what it is measured on, `peers` how each library does it.
A `worker` is the process of one library for one row; `measure` runs them in interleaved rounds;
`table` and `__main__` report.
"""
