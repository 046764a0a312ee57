"""The hierarchy as text and HTML: bounded, escaped, and read with few requests."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import zlab
from zlab.array import plan_array
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore


@pytest.fixture
def group() -> zlab.Group:
    group = zlab.create_group({}, attributes={"title": "<i>t</i>"})
    group.create_array(
        "cube/air",
        shape=(8, 6),
        chunks=(2, 3),
        shards=(4, 6),
        dtype="f4",
        dimension_names=["time", None],
        attributes={"units": "K<script>"},
    )
    node = plan_array(shape=(4,), dtype="i1")
    group.create_hierarchy({f"many/a{k:03}": node for k in range(150)})
    group.create_group("empty")
    return group


class Checker(HTMLParser):
    """Elements that are closed in the order in which they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Opens an element."""
        del attrs
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """An element without content."""
        del attrs
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Closes the innermost one."""
        assert self.open.pop() == tag


def _check(html: str) -> list[str]:
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker.seen


def test_text_of_a_part(group: zlab.Group) -> None:
    assert str(group.tree()).count("\n") == 154
    assert str(group.tree(level=1)).splitlines() == ["/", "├── cube", "├── empty", "└── many"]
    assert str(group.tree(max_nodes=5)).splitlines() == [
        "/",
        "├── cube",
        "│   └── air (8, 6) float32",
        "├── empty",
        "└── many",
        "    ├── a000 (4,) int8",
        "    └── ... and 149 more",
    ]
    assert str(group.tree(max_nodes=0)).splitlines() == ["/", "└── ... 3 more"]
    # what a prompt shows by itself is bounded
    assert repr(group.tree()).splitlines()[-1] == "    └── ... and 50 more"
    assert str(group.group("cube").tree()).splitlines()[0] == "/cube"


def test_html(group: zlab.Group) -> None:
    html = group.tree()._repr_html_()
    seen = _check(html)
    assert seen.count("details") == 2 + 1 + 100
    assert "… and 50 more" in html
    assert "(time 8, 6)" in html
    assert '<span class="zlab-badge">float32</span>' in html
    assert "192 B · chunks 2 \u00d7 3 · shards 4 \u00d7 6" in html
    assert "sharding_indexed (bytes → zstd)" in html
    assert "<script>" not in html
    assert "K&lt;script&gt;" in html
    # small groups are open, large ones folded
    assert len(re.findall("<details open>", html)) == 1


def test_what_a_notebook_shows(group: zlab.Group) -> None:
    html = group._repr_html_()
    _check(html)
    assert "&lt;i&gt;t&lt;/i&gt;" in html
    assert "zlab.Group" in html
    _check(group.array("cube/air")._repr_html_())
    assert repr(group.array("cube/air").info).splitlines() == [
        "zlab.Array air",
        f"store      : {group.store.name}",
        "path       : /cube/air",
        "shape      : (8, 6)",
        "dtype      : float32",
        "dimensions : time, none",
        "chunks     : (2, 3), 8 in all",
        "shards     : (4, 6)",
        "codecs     : sharding_indexed (bytes → zstd)",
        "fill value : 0.0",
        "size       : 192 B, 24 B a chunk",
        "attributes : units: K<script>",
        "format     : Zarr v3",
        "opened for : reading and writing",
    ]
    assert group.info.asdict()["consolidated"] == "no"
    assert group.info.title == "zlab.Group"


def test_names_cannot_break_out() -> None:
    store = MemoryStore()
    group = zlab.create_group(store)
    name = "\"><img src=x onerror='1'>&"
    group.create_array(name, data=np.arange(2), dimension_names=["<b>"], attributes={name: name})
    group.create_group(f"g{name}")
    store.put(f"broken{name}/zarr.json", b"<script>")
    for html in (group._repr_html_(), group.tree()._repr_html_(), group[name]._repr_html_()):
        seen = _check(html)
        assert set(seen) <= {
            "style", "div", "b", "br", "table", "tr", "th", "td", "svg", "path", "ul", "li",
            "details", "summary", "span",
        }  # fmt: skip


def test_long_values_are_shortened() -> None:
    group = zlab.create_group(
        {}, attributes={"long": "x" * 10_000} | {str(k): k for k in range(50)}
    )
    html = group._repr_html_()
    assert len(html) < 10_000
    assert "and 41 more" in html


def test_a_huge_group_is_shown_with_few_requests(group: zlab.Group) -> None:
    counting = CountingStore(group.store, local=False)
    seen = zlab.open_group(counting)
    counting.reset()
    seen._repr_html_()
    # one listing for each group, one document for each node that is shown
    assert (counting.counts.lists, counting.counts.gets) == (4, 104)
    zlab.consolidate_metadata(group.store)
    seen = zlab.open_group(counting)
    counting.reset()
    seen._repr_html_()
    assert counting.counts.gets == counting.counts.lists == 0


def test_an_array_that_cannot_be_opened_is_shown() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, path="x", shape=(4,), dtype="i1")
    document = array.metadata_document()
    for grid in ({"name": "hexagons"}, {"name": "regular", "configuration": {}}):
        import json

        store.put("x/zarr.json", json.dumps({**document, "chunk_grid": grid}).encode())
        group = zlab.open_group(store)
        assert "x (4,) int8" in str(group.tree())
        _check(group._repr_html_())
