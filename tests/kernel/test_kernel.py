"""A real ipykernel, and this test in the place of the page."""

from __future__ import annotations

import os
import queue
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import zlab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.needs("lab")

PATIENCE_S = 60
Message = dict[str, Any]

READ = """
import pathlib, zlab
array = zlab.create_array("memory://", shape=(64,), chunks=(1,), dtype="int8")
array[:] = 1
"""
READ_ALWAYS = """
import threading, time

def read():
    while True:
        array[:]
        time.sleep(0.01)

threading.Thread(target=read, daemon=True).start()
"""
READ_UNTIL = """
while not pathlib.Path({gate!r}).exists():
    array[:]
print("the cell is done")
"""


class Kernel:
    """A kernel and what it says, in order."""

    def __init__(self, path: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name="python3")
        assert self.manager.kernel_spec is not None
        self.manager.kernel_spec.argv[0] = sys.executable
        source = str(Path(zlab.__file__).parent.parent)
        self.manager.start_kernel(
            env={**os.environ, "PYTHONPATH": source, "IPYTHONDIR": str(path)},
            extra_arguments=["--log-level=40"],
        )
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def restart(self) -> None:
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=PATIENCE_S)

    def next(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message that is wanted; those before it are dropped."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            message: Message = self.client.get_iopub_msg(timeout=PATIENCE_S)
            if message["msg_type"] == "error":
                pytest.fail("\n".join(message["content"]["traceback"]))
            if wanted(message):
                return message
        pytest.fail("the kernel says other things")

    def start(self, code: str) -> str:
        """Starts a cell, and returns the id that its messages carry."""
        cell: str = self.client.execute(code)
        return cell

    def run(self, code: str) -> list[Message]:
        """Runs a cell to its end, and returns what was said meanwhile."""
        return self.finish(self.start(code))

    def finish(self, cell: str) -> list[Message]:
        """Waits for a cell to end, and returns what was said meanwhile."""
        said = [self.next(lambda _: True)]
        while not is_idle(said[-1], cell):
            said.append(self.next(lambda _: True))
        return said

    def say(self, kind: str, comm: str, subshell: str | None = None, **content: object) -> None:
        message = self.client.session.msg(kind, {"comm_id": comm, **content})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)

    def open(self, hz: float = 10, subshell: str | None = None) -> str:
        """Opens a page's comm."""
        comm = uuid.uuid4().hex
        data = {"zlab": "open", "v": 1, "hz": hz}
        self.say("comm_open", comm, subshell, target_name="zlab.telemetry", data=data)
        return comm

    def create_subshell(self) -> str:
        """A subshell, as JupyterLab has one for the comms of a target."""
        self.client.control_channel.send(self.client.session.msg("create_subshell_request", {}))
        reply = self.client.control_channel.get_msg(timeout=PATIENCE_S)
        subshell: str = reply["content"]["subshell_id"]
        return subshell

    def frame(self, comm: str) -> Message:
        """The next frame on a comm."""
        data: Message = self.next(lambda message: is_frame(message, comm))["content"]["data"]
        return data


def is_idle(message: Message, cell: str) -> bool:
    content = message["content"]
    is_status = message["msg_type"] == "status" and content["execution_state"] == "idle"
    return is_status and bool(message["parent_header"].get("msg_id") == cell)


def is_frame(message: Message, comm: str) -> bool:
    return bool(message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == comm)


def is_close(message: Message, comm: str) -> bool:
    return bool(message["msg_type"] == "comm_close" and message["content"]["comm_id"] == comm)


def hellos(said: list[Message]) -> list[Message]:
    return [
        message["content"]["data"]
        for message in said
        if message["msg_type"] == "comm_open" and message["content"]["target_name"] == "zlab.hello"
    ]


def printed(said: list[Message]) -> str:
    return "".join(
        message["content"]["text"] for message in said if message["msg_type"] == "stream"
    )


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path / "ipython")
    yield kernel
    kernel.close()


def test_importing_zlab_says_hello_once(kernel: Kernel) -> None:
    said = kernel.run("import zlab")
    (hello,) = hellos(said)
    assert hello.keys() == {"v", "session"}
    assert hello["v"] == 1
    said = kernel.run(
        "import importlib, zlab.kernel; importlib.reload(zlab); zlab.kernel.connect()"
    )
    assert hellos(said) == []
    said = kernel.run("import threading; print([t.name for t in threading.enumerate()])")
    assert "zlab" not in printed(said)


def test_frames_arrive_while_a_cell_runs(kernel: Kernel, tmp_path: Path) -> None:
    (hello,) = hellos(kernel.run(READ))
    page = kernel.open()
    first = kernel.frame(page)
    assert first["totals"]["chunks_written"] == 64
    gate = tmp_path / "gate"
    cell = kernel.start(READ_UNTIL.format(gate=str(gate)))
    frames: list[Message] = []
    while len(frames) < 5:
        message = kernel.next(lambda message: is_frame(message, page) or is_idle(message, cell))
        assert not is_idle(message, cell)
        frames.append(message["content"]["data"])
    gate.touch()
    assert "the cell is done" in printed(kernel.finish(cell))

    assert {frame["session"] for frame in frames} == {hello["session"]}
    seqs = [frame["seq"] for frame in frames]
    assert seqs == list(range(seqs[0], seqs[0] + 5))
    times = [frame["t"] for frame in frames]
    assert times == sorted(set(times))
    read = [frame["totals"]["chunks_read"] for frame in frames]
    assert read == sorted(read)
    assert read[-1] > read[0]
    assert sum(frames[-1]["latency"]) == read[-1]
    assert frames[-1]["top"][0]["chunks"] == read[-1] + 64


def test_the_page_is_heard_while_a_cell_runs(kernel: Kernel) -> None:
    kernel.run(READ + "from zlab.kernel.sender import sender")
    subshell = kernel.create_subshell()
    page = kernel.open(hz=10, subshell=subshell)
    kernel.frame(page)
    # the cell ends only when it sees the page's message; if that waited for the cell, nothing would
    cell = kernel.start(
        "while [outlet.hz for outlet in sender._outlets.values()] != [7.0]:\n    array[:]"
    )
    for _ in range(3):  # the kernel has sent from its thread while the cell runs
        kernel.frame(page)
    kernel.say("comm_msg", page, subshell, data={"zlab": "set", "v": 1, "hz": 7})
    kernel.next(lambda message: is_idle(message, cell))


def test_two_pages(kernel: Kernel) -> None:
    kernel.run(READ + READ_ALWAYS)
    first, second = kernel.open(), kernel.open()
    seen = [kernel.frame(first), kernel.frame(second)]
    assert seen[0]["session"] == seen[1]["session"]
    message = kernel.next(lambda message: is_frame(message, first))["content"]["data"]
    assert kernel.frame(second) == message
    kernel.say("comm_close", first, data={})
    kernel.run("")  # handled by now, and at most one more frame was on its way
    kernel.frame(second)
    said = [kernel.next(lambda message: message["msg_type"] == "comm_msg") for _ in range(3)]
    assert all(is_frame(message, second) for message in said)


def test_a_page_that_is_not_heard_of_again(kernel: Kernel) -> None:
    kernel.run(READ + READ_ALWAYS)
    pages = [kernel.open() for _ in range(8)]
    kernel.frame(pages[-1])
    kernel.say("comm_msg", pages[0], data={"zlab": "renew", "v": 1})
    kernel.run("")
    last = kernel.open()
    kernel.next(lambda message: is_close(message, pages[1]))
    kernel.frame(last)
    kernel.frame(pages[0])


def test_what_a_page_must_not_say(kernel: Kernel) -> None:
    kernel.run(READ)
    page = uuid.uuid4().hex
    data = {"zlab": "open", "v": 99, "hz": 5}
    kernel.say("comm_open", page, target_name="zlab.telemetry", data=data)
    closed = kernel.next(lambda message: is_close(message, page))["content"]["data"]
    assert (closed["zlab"], closed["v"]) == ("refused", 1)
    assert "99" in closed["message"]
    # what is said later and not understood is passed by
    page = kernel.open()
    kernel.frame(page)  # earlier, ipykernel itself warns of a comm that it does not know yet
    for said in ({"zlab": "reboot", "v": 1}, {}, [1], None, {"zlab": "set", "v": 1, "hz": "x"}):
        kernel.say("comm_msg", page, data=said)
    assert printed(kernel.run("array[:]")) == ""
    assert kernel.frame(page)["totals"]["chunks_read"] == 64


def test_a_restart_begins_a_new_session(kernel: Kernel) -> None:
    (before,) = hellos(kernel.run(READ + "array[:]"))
    assert kernel.frame(kernel.open())["totals"]["chunks_read"] == 64
    kernel.restart()
    (after,) = hellos(kernel.run("import zlab"))
    assert after["session"] != before["session"]
    frame = kernel.frame(kernel.open())
    assert (frame["session"], frame["seq"]) == (after["session"], 1)
    assert set(frame["totals"].values()) == {0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_is_silent(kernel: Kernel) -> None:
    (hello,) = hellos(kernel.run(READ))
    page = kernel.open()
    kernel.frame(page)
    code = """
import os, warnings
warnings.simplefilter("ignore")  # that a process with threads forks
child = os.fork()
if not child:
    import importlib
    importlib.reload(zlab)
    from zlab.kernel.sender import sender
    os._exit(0 if not sender._outlets and sender._thread is None else 1)
_, status = os.waitpid(child, 0)
assert status == 0
array[:]
"""
    said = kernel.run(code)
    assert hellos(said) == []
    frame = kernel.frame(page)
    while frame["totals"]["chunks_read"] < 64:
        frame = kernel.frame(page)
    assert frame["session"] == hello["session"]


def test_a_kernel_that_is_looked_at_ends_at_once(kernel: Kernel) -> None:
    kernel.run(READ)
    kernel.frame(kernel.open(hz=0.2))
    kernel.client.shutdown()
    while kernel.manager.is_alive():  # it goes by itself, nobody kills it
        with suppress(queue.Empty):
            kernel.client.get_iopub_msg(timeout=0.05)


def test_notebooks_that_run_without_a_page_are_as_quiet_as_before(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(READ), nbformat.v4.new_code_cell("print(array[:].sum())")]
    )
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=PATIENCE_S).execute()
    assert notebook.cells[0].outputs == []
    assert notebook.cells[1].outputs[0].text == "64\n"
    assert len(notebook.cells[1].outputs) == 1
    assert "widgets" not in notebook.metadata
