"""The comms of a kernel: it says hello, and pages open a comm each to get frames.

The page opens the comm, never the kernel: of a comm that the kernel opened, ipykernel 7.4 handles
what the page sends only when the running cell has ended.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from comm import create_comm, get_comm_manager

from zlab import telemetry
from zlab.kernel.messages import (
    HELLO_TARGET,
    TELEMETRY_TARGET,
    VERSION,
    Open,
    SetRate,
    format_hello,
    parse_page_message,
)
from zlab.kernel.sender import sender

if TYPE_CHECKING:
    from comm.base_comm import BaseComm
    from ipykernel.kernelbase import Kernel

_log = logging.getLogger("zlab.kernel")

MAX_PAGES = 8
"""A page that is reloaded leaves its comm behind: the one that was silent longest is closed."""

# held: a comm that is collected closes itself
_hello: list[BaseComm] = []
_pages: dict[str, BaseComm] = {}
"""By comm id, the one that was silent longest first. Handlers of different pages run in threads
of their own, so each step is one operation of the dict."""


def attach(kernel: Kernel) -> None:
    """Registers the target that pages open, watches cells start and end, and says hello."""
    telemetry.enable()
    get_comm_manager().register_target(TELEMETRY_TARGET, _on_open)
    shell = getattr(kernel, "shell", None)  # kernels without IPython have none
    if shell is not None:
        # the cell that imports zlab runs already, and only its end will be told
        sender.cell_started()
        shell.events.register("pre_run_cell", lambda _info: sender.cell_started())
        shell.events.register("post_run_cell", lambda _result: sender.cell_ended())
    _hello.append(create_comm(target_name=HELLO_TARGET, data=format_hello(sender.session)))


def _on_open(comm: BaseComm, message: dict[str, Any]) -> None:
    try:
        opened = parse_page_message(message["content"]["data"])
        if not isinstance(opened, Open):
            raise ValueError("the first message must be 'open'")  # noqa: TRY004 - refused as one
    except ValueError as error:
        comm.close(data={"zlab": "refused", "v": VERSION, "message": str(error)})
        return
    comm.on_msg(lambda message: _on_message(comm, message))
    comm.on_close(lambda _message: _forget(comm.comm_id))
    _pages[comm.comm_id] = comm
    sender.add(comm.comm_id, comm.send, opened.hz)
    for silent in list(_pages.values())[:-MAX_PAGES]:
        _forget(silent.comm_id)
        silent.close()


def _on_message(comm: BaseComm, message: dict[str, Any]) -> None:
    try:
        said = parse_page_message(message["content"]["data"])
    except ValueError as error:  # a newer page says things that this kernel need not know
        _log.debug("a message of a page was ignored: %s", error)
        return
    if _pages.pop(comm.comm_id, None) is not None:
        _pages[comm.comm_id] = comm
        sender.renew(comm.comm_id, said.hz if isinstance(said, SetRate) else None)


def _forget(comm_id: str) -> None:
    _pages.pop(comm_id, None)
    sender.remove(comm_id)
