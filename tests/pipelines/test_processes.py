"""Stages in real processes, which are really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zlab import Stage, pipeline
from zlab.errors import PipelineError
from zlab.pipelines.processes import pack
from zlab.telemetry import capture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

HERE = Path(__file__).parent


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that worker processes can import."""
    monkeypatch.syspath_prepend(str(HERE))
    import called_in_workers  # type: ignore[import-not-found]

    module: ModuleType = called_in_workers
    return module


def in_process(fn: Any, workers: int = 1) -> Stage:
    return Stage(fn, workers=workers, processes=True)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.01)


def test_stages_run_in_processes_of_their_own(called: ModuleType) -> None:
    pairs = list(pipeline(range(20), in_process(called.pid_of, workers=2)))
    assert [item for _, item in pairs] == list(range(20))
    pids = {pid for pid, _ in pairs}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2
    # and leave when it ends
    assert not any(map(is_there, pids))


def test_a_worker_that_is_killed_is_replaced_and_its_item_tried_again(
    called: ModuleType, tmp_path: Path
) -> None:
    items = [(str(tmp_path), n) for n in range(8)]
    with capture("pipeline.worker") as captured:
        pipe = pipeline(items, in_process(called.die_once, workers=2), retries=1)
        assert list(pipe) == list(range(8))
    report = pipe.report()
    assert (report.nretried, report.nreplaced, report.failed) == (1, 1, ())
    assert [event.exitcode for event in captured.events] == [-signal.SIGKILL]


def test_an_item_that_kills_its_workers_is_reported(called: ModuleType) -> None:
    pipe = pipeline(range(6), in_process(called.die), retries=1, on_error="skip")
    assert list(pipe) == [0, 1, 2, 4, 5]
    (error,) = pipe.report().failed
    assert (error.item, error.attempts) == (3, 2)
    assert "the worker process died: exit code 7" in str(error)


def test_what_is_raised_there_is_raised_here(called: ModuleType) -> None:
    with pytest.raises(PipelineError) as caught:
        list(pipeline([1], in_process(called.refuse)))
    assert isinstance(caught.value.__cause__, LookupError)
    assert "in refuse" in "".join(caught.value.__cause__.__notes__)


def test_what_cannot_be_pickled_is_told(called: ModuleType) -> None:
    with pytest.raises(PipelineError, match="the result cannot be pickled"):
        list(pipeline([1], in_process(called.unpicklable)))
    with pytest.raises(PipelineError, match="pickle"):
        list(pipeline([lambda: 1], in_process(called.negative)))


@pytest.mark.needs("processes")
def test_a_function_of_a_notebook() -> None:
    factor = 3
    assert list(pipeline(range(4), in_process(lambda n: factor * n))) == [0, 3, 6, 9]


def test_without_cloudpickle_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ImportError, match=r"zlab\[processes\]"):
        pack(lambda n: n)


@pytest.mark.parametrize("way", ["close", "error"])
def test_ended_early_no_process_is_left(called: ModuleType, tmp_path: Path, way: str) -> None:
    path = tmp_path / "pid"

    def source() -> Iterator[str]:
        yield ""
        yield str(path)

    iteration = iter(pipeline(source(), in_process(called.sleep_for_ever)))
    assert next(iteration) == ""
    wait_until(lambda: path.exists() and path.read_text())
    pid = int(path.read_text())
    if way == "close":
        iteration.close()
    else:
        with pytest.raises(LookupError):
            iteration.throw(LookupError)
    wait_until(lambda: not is_there(pid))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_ctrl_c_ends_processes_and_all(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
import called_in_workers
from zlab import Stage, pipeline
if __name__ == "__main__":
    list(pipeline([{str(path)!r}], Stage(called_in_workers.sleep_for_ever, processes=True)))
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    # a session of its own, so that the signal reaches all of it, as in a terminal
    process = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: path.exists() and path.read_text())
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in told
    pid = int(path.read_text())
    wait_until(lambda: not is_there(pid))
