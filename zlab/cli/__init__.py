"""The command line: `zlab info | tree | cat | demo`.

`main` is what the console script runs. A command is a module with `add`, which declares its
arguments, and a function that turns them into lines of text; only `zlab.cli.program` prints.
"""

from zlab.cli.program import main

__all__ = ["main"]
