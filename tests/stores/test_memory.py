from __future__ import annotations

import array
import pickle
from collections.abc import Mapping, MutableMapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from zlab.errors import ReadOnlyError, StoreError
from zlab.stores.base import Range
from zlab.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_names_are_unique_in_the_process() -> None:
    names = {MemoryStore().name for _ in range(100)}
    assert len(names) == 100
    assert MemoryStore(name="scratch").name == "scratch"


def test_a_mapping_is_used_and_not_copied() -> None:
    mapping = {"a": b"x"}
    store = MemoryStore(mapping)
    store.put("b", b"y")
    mapping["c"] = b"z"
    assert mapping == {"a": b"x", "b": b"y", "c": b"z"}
    assert sorted(entry.key for entry in store.list()) == ["a", "b", "c"]
    assert store == MemoryStore(mapping)
    assert store != MemoryStore(dict(mapping))


def test_values_of_other_kinds_are_read_as_their_bytes() -> None:
    store = MemoryStore(
        {
            "bytearray": bytearray(b"abcd"),
            "memoryview": memoryview(b"abcd"),
            "array": array.array("H", [1, 2]),
            "numpy": np.arange(4, dtype="<u2").reshape(2, 2),
        }
    )
    assert store.get("bytearray") == b"abcd"
    assert store.get("memoryview", Range(1, 2)) == b"bc"
    assert store.get("array") == array.array("H", [1, 2]).tobytes()
    assert store.get("numpy") == bytes([0, 0, 1, 0, 2, 0, 3, 0])
    assert store.nbytes("numpy") == 8
    assert store.version("numpy") is None


@pytest.mark.parametrize("value", ["text", 1, None, {"a": 1}])
def test_a_value_that_is_not_bytes_is_an_error(value: object) -> None:
    store = MemoryStore({"zarr.json": value})
    with pytest.raises(StoreError, match=type(value).__name__):
        store.get("zarr.json")


def test_a_mapping_that_cannot_change_makes_the_store_read_only() -> None:
    store = MemoryStore(MappingProxyType({"a": b"x"}))
    assert store.read_only
    with pytest.raises(ReadOnlyError):
        store.put("a", b"y")


class Broken(MutableMapping[str, bytes]):
    def __getitem__(self, key: str) -> bytes:
        raise ConnectionError(key)

    def __setitem__(self, key: str, value: bytes) -> None:
        raise ConnectionError(key)

    def __delitem__(self, key: str) -> None:
        raise ConnectionError(key)

    def __iter__(self) -> Iterator[str]:
        raise ConnectionError

    def __len__(self) -> int:
        return 0


def test_a_mapping_that_fails_is_not_an_absent_object() -> None:
    store = MemoryStore(Broken())
    with pytest.raises(StoreError) as caught:
        store.get("a")
    assert isinstance(caught.value.__cause__, ConnectionError)
    with pytest.raises(StoreError):
        store.put("a", b"x")
    with pytest.raises(StoreError):
        store.delete("a")
    with pytest.raises(StoreError):
        store.delete_prefix("a")
    with pytest.raises(StoreError):
        list(store.list())
    with pytest.raises(StoreError):
        store.nbytes("a")
    with pytest.raises(StoreError):
        store.version("a")


def test_the_version_changes_with_the_object() -> None:
    store = MemoryStore()
    versions = set()
    for value in (b"a", b"b", b"ab"):
        store.put("key", value)
        versions.add(store.version("key"))
    assert len(versions) == 3


def test_a_pickled_copy_is_a_store_of_its_own() -> None:
    store = MemoryStore({"a": b"x"})
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301
    copy.put("a", b"y")
    assert store.get("a") == b"x"
    assert copy.name != store.name
    named = pickle.loads(pickle.dumps(MemoryStore({}, name="scratch", read_only=True)))  # noqa: S301
    assert (named.name, named.read_only) == ("scratch", True)


def test_any_mapping_can_be_read() -> None:
    class Squares(Mapping[str, bytes]):
        def __getitem__(self, key: str) -> bytes:
            return bytes([int(key.rpartition("/")[2]) ** 2])

        def __iter__(self) -> Iterator[str]:
            return iter([f"c/{i}" for i in range(4)])

        def __len__(self) -> int:
            return 4

    store = MemoryStore(Squares())
    assert store.get("c/3") == bytes([9])
    assert [entry.nbytes for entry in store.list("c")] == [1, 1, 1, 1]
