"""`python -m zlab`: the command line, also where the script `zlab` is not on the path."""

from __future__ import annotations

import sys

from zlab.cli import main

sys.exit(main())
