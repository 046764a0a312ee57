from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import zlab
from zlab.lab.describe import describe, find_node, list_members
from zlab.stores.memory import MemoryStore

if TYPE_CHECKING:
    from zlab.group import Group

pytestmark = pytest.mark.needs("lab")


def names(group: Group, offset: int, limit: int, max_sorted: int) -> tuple[list[str], Any, int]:
    rows, following, total = list_members(group, offset, limit, max_sorted)
    return [row["name"] for row in rows], following, total


@pytest.fixture
def group() -> Group:
    group = zlab.create_group(MemoryStore())
    for name in "dcba":
        group.create_array(name, shape=(2,), dtype="int8")
    for name in "zyx":
        group.create_group(name)
    return group


def test_groups_first_then_by_name(group: Group) -> None:
    assert names(group, 0, 100, 7) == (list("xyzabcd"), None, 7)
    assert names(group, 0, 4, 7) == (list("xyza"), 4, 7)
    assert names(group, 4, 4, 7) == (list("bcd"), None, 7)
    assert names(group, 7, 4, 7) == ([], None, 7)


def test_of_a_large_group_only_a_page_is_read(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    get = group.store.get

    def ask(key: str, *rest: Any) -> Any:
        asked.append(key)
        return get(key, *rest)

    monkeypatch.setattr(group.store, "get", ask)
    assert names(group, 2, 3, 6) == (list("cdx"), 5, 7)
    assert {key.partition("/")[0] for key in asked} == set("cdx")


def test_members_that_came_with_the_group_are_not_read(group: Group) -> None:
    store = group.store
    nodes = {name: json.loads(bytes(store.get(f"{name}/zarr.json") or b"")) for name in group}
    document = {
        "zarr_format": 3,
        "node_type": "group",
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": nodes},
    }
    store.put("zarr.json", json.dumps(document).encode())
    for name in nodes:
        store.delete(f"{name}/zarr.json")
    node = zlab.open(store)
    assert not isinstance(node, zlab.Array)
    assert node.consolidated
    assert names(node, 0, 100, 100) == (list("xyzabcd"), None, 7)


def test_a_member_that_the_engine_fails_on_hides_no_other(
    group: Group, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    get = group.store.get

    def fail_on_b(key: str, *rest: Any) -> Any:
        if key.startswith("b/"):
            raise ZeroDivisionError
        return get(key, *rest)

    monkeypatch.setattr(group.store, "get", fail_on_b)
    rows, _, total = list_members(group, 0, 100, 100)
    assert total == 7
    assert [row["name"] for row in rows if row["error"]] == ["b"]
    assert rows[4]["error"]["reason"] == "ZeroDivisionError"
    assert "cannot be described" in caplog.text


def test_find_node(group: Group) -> None:
    group.create_array("x/deep/er", shape=(), dtype="int8")
    assert find_node(group, "") is group
    assert find_node(group, "x/deep/er").path == "x/deep/er"
    with pytest.raises(zlab.errors.NodeNotFoundError):
        find_node(group, "x/deep/est")
    with pytest.raises(zlab.errors.NodeNotFoundError):
        find_node(zlab.create_array(MemoryStore(), shape=(), dtype="int8"), "x")


@pytest.mark.parametrize(
    ("dtype", "fill_value", "text"),
    [
        ("float64", float("nan"), "NaN"),
        ("float32", float("-inf"), "-Infinity"),
        ("float64", 0.1, "0.1"),
        ("int64", 2**62 + 1, str(2**62 + 1)),
        ("uint8", None, "0"),
        ("bool", True, "true"),
        ("complex64", 1 + 2j, "[1.0, 2.0]"),
    ],
)
def test_fill_values_are_text(dtype: str, fill_value: object, text: str) -> None:
    array = zlab.create_array(MemoryStore(), shape=(2,), dtype=dtype, fill_value=fill_value)
    details = describe(array, "x")
    assert details["array"]["fill_value"] == text
    assert details["array"]["dtype"] == dtype


def test_orders() -> None:
    for order in ("C", "F"):
        array = zlab.create_array(MemoryStore(), shape=(2, 3), dtype="int8", order=order)
        assert describe(array, "x")["array"]["order"] == order
