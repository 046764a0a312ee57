"""Telemetry from a Jupyter kernel to the pages that look at it.

The only room that imports `comm` and `ipykernel`, and it does so in a kernel alone.
"""

from __future__ import annotations

import logging
import multiprocessing.process
import sys
import threading

__all__ = ["connect"]

_once = threading.Lock()
_connected = False


def connect() -> bool:
    """Says hello to the pages of this kernel, and answers those that ask for telemetry.

    `import zlab` calls it. It does nothing outside an ipykernel and in processes that a kernel
    starts, connects once, and never raises: a plot that cannot be drawn is no reason for an
    import to fail.

    Returns:
        Whether telemetry is connected.

    Example:
        >>> import zlab.kernel
        >>> zlab.kernel.connect()  # in a plain interpreter
        False
    """
    global _connected  # noqa: PLW0603 - the process has one kernel
    kernelbase = sys.modules.get("ipykernel.kernelbase")
    if kernelbase is None or multiprocessing.process.parent_process() is not None:
        return False
    with _once:
        if not _connected:
            try:
                if kernelbase.Kernel.initialized():
                    from zlab.kernel.comms import attach  # noqa: PLC0415 - imports comm

                    attach(kernelbase.Kernel.instance())
                    _connected = True
            except Exception:  # whatever the host's kernel is, it must not break the import
                logging.getLogger("zlab.kernel").debug("no telemetry", exc_info=True)
        return _connected
