from __future__ import annotations

import json
import queue
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import zlab
from zlab.kernel.sender import sender
from zlab.stores.memory import MemoryStore

pytestmark = pytest.mark.needs("lab")

if TYPE_CHECKING:
    from collections.abc import Iterator

WIRE = Path(__file__).parent.parent / "wire"
PATIENCE_S = 60


@pytest.fixture
def plot(bundles: Path) -> Iterator[Any]:
    plot = zlab.widgets.Telemetry(window_s=30, hz=10)
    yield plot
    plot.close()


def test_it_begins_with_a_frame(plot: Any) -> None:
    golden = json.loads((WIRE / "telemetry.json").read_text())["accept"][0]
    assert plot._frame.keys() == golden["_frame"].keys()
    assert plot._frame["session"] == sender.session
    assert plot.window_s == 30
    own = zlab.widgets.Telemetry.class_own_traits(sync=True).keys() - {"_esm"}
    assert own == golden.keys()
    assert plot._esm.startswith("// telemetry")


def test_it_moves_while_zlab_reads(plot: Any) -> None:
    frames: queue.Queue[dict[str, Any]] = queue.Queue()
    plot.observe(lambda change: frames.put(change["new"]), "_frame")
    array = zlab.create_array(MemoryStore(), shape=(4,), chunks=(1,), dtype="i1")
    array[:] = 1
    before = plot._frame["totals"]["chunks_read"]
    assert array[:].sum() == 4
    while (frame := frames.get(timeout=PATIENCE_S))["totals"]["chunks_read"] < before + 4:
        pass
    assert frame["session"] == sender.session
    later = frames.get(timeout=PATIENCE_S) if not frames.empty() else frame
    assert later["seq"] >= frame["seq"]


def test_close_ends_it(plot: Any) -> None:
    key = plot.model_id
    assert key in sender._outlets
    plot.close()
    assert key not in sender._outlets
    plot.close()


def test_repr_is_stable(plot: Any) -> None:
    assert repr(plot) == "Telemetry(window_s=30, hz=10)"


@pytest.mark.usefixtures("bundles")
@pytest.mark.parametrize(
    "arguments",
    [
        {"window_s": 0},
        {"window_s": -1},
        {"window_s": float("nan")},
        {"window_s": float("inf")},
        {"hz": 0},
        {"hz": 11},
    ],
)
def test_numbers_out_of_bounds(arguments: dict[str, float]) -> None:
    before = set(sender._outlets)
    with pytest.raises(ValueError, match=r"window_s|hz"):
        zlab.widgets.Telemetry(**arguments)
    assert set(sender._outlets) == before


@pytest.mark.usefixtures("bundles")
@pytest.mark.parametrize("name", ["window_s", "hz"])
def test_what_is_no_number_is_named(name: str) -> None:
    arguments: dict[str, Any] = {name: "5"}
    with pytest.raises(TypeError, match=f"{name} must be a number, not str"):
        zlab.widgets.Telemetry(**arguments)
