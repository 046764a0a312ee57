from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zlab
from zlab.errors import MemoryBudgetError, SelectionError, ZlabError
from zlab.stores.memory import MemoryStore

pytestmark = pytest.mark.needs("lab")

WIRE = Path(__file__).parent.parent / "wire"


@pytest.fixture
def array() -> zlab.Array:
    array = zlab.create_array(
        MemoryStore(),
        path="a/cube",
        shape=(4, 6, 2),
        chunks=(2, 2, 1),
        dtype="i2",
        compressors=None,
    )
    array[:2, :2, 1] = 1
    return array


def values(widget: Any) -> list[list[float]]:
    plane: list[list[float]] = (
        np.frombuffer(widget._data, "<f8").reshape(widget._header["shape"]).tolist()
    )
    return plane


@pytest.mark.usefixtures("bundles")
def test_the_plane_that_is_asked_for(array: zlab.Array) -> None:
    widget = zlab.widgets.ChunkHeatmap(array)
    assert (widget.axes, widget.index, widget.selected) == ([1, 2], [0, 0, 0], [])
    assert widget.title == "a/cube"
    assert values(widget) == [[-1, 8], [-1, -1], [-1, -1]]
    widget = zlab.widgets.ChunkHeatmap(array, axes=(0, 1), index=(0, 0, 1))
    assert values(widget) == [[8, -1, -1], [-1, -1, -1]]
    assert widget._header["store"] == array.store.name
    assert widget._header["path"] == "a/cube"


@pytest.mark.usefixtures("bundles")
def test_repr_is_stable(array: zlab.Array) -> None:
    assert repr(zlab.widgets.ChunkHeatmap(array)) == "ChunkHeatmap('a/cube', 3x2 chunks)"
    one = zlab.create_array(MemoryStore(), path="one", shape=(), dtype="i1")
    assert repr(zlab.widgets.ChunkHeatmap(one)) == "ChunkHeatmap('one', 1x1 chunks)"


@pytest.mark.usefixtures("bundles")
def test_another_plane_is_drawn(array: zlab.Array) -> None:
    widget = zlab.widgets.ChunkHeatmap(array)
    widget.axes = [0, 1]
    assert values(widget) == [[-1, -1, -1], [-1, -1, -1]]
    widget.index = [0, 0, 1]
    assert values(widget) == [[8, -1, -1], [-1, -1, -1]]
    widget.axes = [1, 0]
    assert values(widget) == [[8, -1], [-1, -1], [-1, -1]]
    assert widget._header["axes"] == [1, 0]


@pytest.mark.usefixtures("bundles")
def test_a_plane_that_does_not_fit_changes_nothing(array: zlab.Array) -> None:
    widget = zlab.widgets.ChunkHeatmap(array)
    before = values(widget)
    for name, value in (("axes", [0, 3]), ("axes", [1]), ("index", [0]), ("index", [9, 0, 0])):
        with pytest.raises(SelectionError):
            setattr(widget, name, value)
    assert (widget.axes, widget.index, values(widget)) == ([1, 2], [0, 0, 0], before)
    with pytest.raises(SelectionError):
        zlab.widgets.ChunkHeatmap(array, axes=(0, 0))


@pytest.mark.usefixtures("bundles")
def test_the_page_never_sees_a_header_without_its_values(array: zlab.Array) -> None:
    widget = zlab.widgets.ChunkHeatmap(array)
    sent: list[set[str]] = []
    widget.send_state = lambda key=None: sent.append(set(key))
    widget.axes = [0, 1]
    drawn = [keys for keys in sent if keys & {"_header", "_data"}]
    assert len(drawn) == 1
    assert {"_header", "_data"} <= drawn[0]


@pytest.mark.usefixtures("bundles")
def test_refresh(array: zlab.Array) -> None:
    widget = zlab.widgets.ChunkHeatmap(array)
    array[:2, 4:, 0] = 1
    assert values(widget) == [[-1, 8], [-1, -1], [-1, -1]]
    widget.refresh()
    assert values(widget) == [[-1, 8], [-1, -1], [8, -1]]


@pytest.mark.usefixtures("bundles")
def test_too_many_chunks() -> None:
    array = zlab.create_array(MemoryStore(), shape=(10**9,), chunks=(1,), dtype="i1")
    with pytest.raises(MemoryBudgetError):
        zlab.widgets.ChunkHeatmap(array)


@pytest.mark.usefixtures("bundles")
def test_traits_are_those_of_the_golden_file(array: zlab.Array) -> None:
    golden = json.loads((WIRE / "chunk_heatmap.json").read_text())["accept"][0]
    widget = zlab.widgets.ChunkHeatmap(array)
    own = {
        name
        for name in zlab.widgets.ChunkHeatmap.class_own_traits(sync=True)
        if name != "_esm" and not name.startswith("_anywidget")
    }
    assert own == golden.keys()
    assert widget._header.keys() == golden["_header"].keys()
    for plane in (widget._header, widget._data), (golden["_header"], b64decode(golden["_data"])):
        header, data = plane
        assert len(data) == 8 * header["shape"][0] * header["shape"][1]
    assert widget._esm.startswith("// chunk_heatmap")


@pytest.mark.parametrize(
    "given", [np.zeros(3), None, zlab.create_group(MemoryStore())], ids=["ndarray", "None", "Group"]
)
def test_only_an_array_in_a_store_is_drawn(given: Any) -> None:
    pytest.importorskip("anywidget")
    with pytest.raises(TypeError, match=f"array must be a zlab.Array, not {type(given).__name__}"):
        zlab.widgets.ChunkHeatmap(given)


def test_a_script_that_was_not_built(bundles: Path, array: zlab.Array) -> None:
    (bundles / "chunk_heatmap.js").unlink()
    with pytest.raises(ZlabError, match=r"chunk_heatmap\.js is missing.*npm run build"):
        zlab.widgets.ChunkHeatmap(array)


def test_without_anywidget() -> None:
    code = """
import sys
sys.modules["anywidget"] = None
import zlab
try:
    zlab.widgets
except ImportError as error:
    assert error.extra == "lab", error
    assert "pip install 'zlab[lab]'" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
