"""Changes of what is stored, over a store that knows versions, and others that write there too."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

import zlab
from zlab.engine.exchange import exchanged, is_conditional
from zlab.errors import StoreConflictError, StoreError
from zlab.stores.memory import MemoryStore
from zlab.testing import InterposedStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.engine.exchange import Exchange
    from zlab.memory import Buffer
    from zlab.stores.base import Store
    from zlab.testing import Call


class Versioned(InterposedStore):
    """A store with versions, where somebody else may write between a read and a write.

    Attributes:
        meanwhile: What others do before the next conditional writes, one function for each.
        refused: Conditional writes that were.
    """

    conditional = True

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.meanwhile: list[Callable[[], None]] = []
        self.refused = 0
        self.written = 0

    def around(self, call: Call, proceed: Callable[[Call], object]) -> object:
        return proceed(call)

    def get_tagged(self, key: str) -> tuple[Buffer, str] | None:
        data = self.store.get(key)
        return None if data is None else (data, str(hash(bytes(data))))

    def put_if(self, key: str, value: Buffer, tag: str | None) -> None:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        found = self.get_tagged(key)
        if (None if found is None else found[1]) != tag:
            self.refused += 1
            raise StoreConflictError("another version", store=self.name, key=key)
        self.written += 1
        self.store.put(key, value)


def two() -> tuple[Versioned, Store]:
    """A store, and the same one as somebody else has it."""
    other = MemoryStore()
    return Versioned(other), other


def test_attributes_of_others_are_kept() -> None:
    store, other = two()
    zlab.create_group(other)
    mine, theirs = zlab.open_group(store, mode="r+"), zlab.open_group(other, mode="r+")
    store.meanwhile = [partial(theirs.attrs.update, a=n) for n in range(3)]
    mine.attrs["b"] = 1
    assert dict(zlab.open_group(other).attrs) == {"a": 2, "b": 1}
    assert (store.refused, store.written) == (3, 1)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_shape_and_attributes_are_changed_apart(zarr_format: int) -> None:
    store, other = two()
    zlab.create_array(other, shape=(4,), chunks=2, dtype="i4", zarr_format=zarr_format)  # type: ignore[arg-type]
    mine, theirs = zlab.open_array(store, mode="r+"), zlab.open_array(other, mode="r+")
    store.meanwhile = [lambda: theirs.attrs.update(unit="m")]
    mine.resize((6,))
    again = zlab.open_array(other)
    assert again.shape == (6,)
    assert dict(again.attrs) == {"unit": "m"}


def test_consolidation_keeps_attributes() -> None:
    store, other = two()
    zlab.create_group(other).create_array("a", shape=(2,), dtype="i4")
    theirs = zlab.open_group(other, mode="r+")
    store.meanwhile = [lambda: theirs.attrs.update(a=1)]
    zlab.consolidate_metadata(store)
    again = zlab.open_group(other)
    assert dict(again.attrs) == {"a": 1}
    assert b"consolidated_metadata" in bytes(other.get("zarr.json") or b"")


@pytest.mark.parametrize("shards", [None, (8,)])
def test_parts_of_one_object_are_written_by_several(shards: tuple[int] | None) -> None:
    store, other = two()
    values = np.arange(8, dtype="i4")
    zlab.create_array(
        other, data=np.zeros(8, "i4"), chunks=8 if shards is None else 4, shards=shards
    )
    mine, theirs = zlab.open_array(store, mode="r+"), zlab.open_array(other, mode="r+")

    def write_first() -> None:
        theirs[:3] = values[:3] + 10

    store.meanwhile = [write_first]
    mine[5:] = values[5:]
    assert zlab.open_array(other)[...].tolist() == [10, 11, 12, 0, 0, 5, 6, 7]
    assert (store.refused, store.written) == (1, 1)


@pytest.mark.parametrize("shards", [None, (8,)])
def test_what_others_write_is_not_deleted_with_what_is_empty(shards: tuple[int] | None) -> None:
    store, other = two()
    zlab.create_array(other, data=[0, 0, 0, 5], chunks=4, shards=shards, fill_value=0)
    mine = zlab.open_array(store, mode="r+")
    mine[3] = 0  # nothing but fill is left, and is stored nevertheless
    assert zlab.open_array(other)[...].tolist() == [0, 0, 0, 0]
    assert other.get("c/0") is not None
    other.delete("c/0")
    mine[3] = 0  # there was nothing, and nothing is stored
    assert other.get("c/0") is None


def test_a_chunk_that_two_make_at_once_has_both_parts() -> None:
    store, other = two()
    zlab.create_array(other, shape=(4,), chunks=4, dtype="i4")
    mine, theirs = zlab.open_array(store, mode="r+"), zlab.open_array(other, mode="r+")

    def write_first() -> None:
        theirs[0] = 1

    store.meanwhile = [write_first]
    mine[3] = 4
    assert zlab.open_array(other)[...].tolist() == [1, 0, 0, 4]


def test_a_server_that_refuses_always_is_found_out() -> None:
    store, other = two()
    other.put("k", b"x")

    def refuse(key: str, _: Buffer, __: str | None) -> None:
        store.refused += 1
        raise StoreConflictError("412", store=store.name, key=key)

    store.put_if = refuse  # type: ignore[method-assign,assignment]

    def attempt(exchange: Exchange) -> None:
        exchange.get("k")
        exchange.put("k", b"y")

    with pytest.raises(StoreError, match="'conditional': False") as caught:
        exchanged(store, attempt)
    assert not isinstance(caught.value, StoreConflictError)
    assert store.refused == 5


def test_stores_without_versions_are_written_as_ever() -> None:
    store = MemoryStore()
    assert not is_conditional(store)
    array = zlab.create_array(store, shape=(4,), chunks=4, dtype="i4")
    array[1] = 3
    array[1] = 0
    assert store.get("c/0") is None
