"""Any sequence of calls leaves a store and a dictionary in the same state."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from zlab.errors import StoreError
from zlab.stores.base import Entry, Range, Suffix
from zlab.stores.fsspec import FsspecStore
from zlab.stores.local import LocalStore
from zlab.stores.memory import MemoryStore
from zlab.stores.zip import ZipStore

if TYPE_CHECKING:
    from zlab.stores.base import Store

_numbers = itertools.count()

# a directory cannot hold an object and a prefix of one name: leaves and branches differ
branches = st.sampled_from(["a", "b", "a b", "data", "é", "%41"])
leaves = st.sampled_from(["zarr.json", ".zarray", "0", "1.2", "10", "+"])
prefixes = st.lists(branches, max_size=3).map("/".join)
KEYS = st.tuples(prefixes, leaves).map(lambda parts: "/".join(filter(None, parts)))
VALUES = st.binary(max_size=40)


class StoreMachine(RuleBasedStateMachine):
    @staticmethod
    def make(where: Path) -> Store:
        raise NotImplementedError

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.where = Path(tempfile.mkdtemp())
        self.store = type(self).make(self.where)
        self.model: dict[str, bytes] = {}

    def teardown(self) -> None:
        if isinstance(self.store, ZipStore):
            self.store.close()
        shutil.rmtree(self.where)

    @rule(target=keys, key=KEYS, value=VALUES)
    def put(self, key: str, value: bytes) -> str:
        self.store.put(key, value)
        self.model[key] = value
        return key

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.store.delete(key)
        self.model.pop(key, None)

    @rule(prefix=prefixes)
    def delete_prefix(self, prefix: str) -> None:
        self.store.delete_prefix(prefix)
        below = f"{prefix}/" if prefix else ""
        self.model = {k: v for k, v in self.model.items() if not k.startswith(below)}

    @rule(key=keys | KEYS)
    def get(self, key: str) -> None:
        assert self.store.get(key) == self.model.get(key)

    @rule(key=keys, start=st.integers(0, 45), nbytes=st.integers(0, 45))
    def get_range(self, key: str, start: int, nbytes: int) -> None:
        value = self.model.get(key)
        if value is None:
            assert self.store.get(key, Range(start, nbytes)) is None
        elif start + nbytes > len(value):
            with pytest.raises(StoreError):
                self.store.get(key, Range(start, nbytes))
        else:
            assert self.store.get(key, Range(start, nbytes)) == value[start : start + nbytes]

    @rule(key=keys, nbytes=st.integers(0, 45))
    def get_suffix(self, key: str, nbytes: int) -> None:
        value = self.model.get(key)
        expected = None if value is None else value[max(0, len(value) - nbytes) :]
        assert self.store.get(key, Suffix(nbytes)) == expected

    @rule(prefix=prefixes)
    def list_dir(self, prefix: str) -> None:
        below = f"{prefix}/" if prefix else ""
        inside = {k[len(below) :]: v for k, v in self.model.items() if k.startswith(below)}
        listing = self.store.list_dir(prefix)
        assert listing.entries == sorted(
            Entry(below + name, len(value)) for name, value in inside.items() if "/" not in name
        )
        expected = sorted({below + name.split("/")[0] for name in inside if "/" in name})
        if isinstance(self.store, FsspecStore):  # its directories outlive their last object
            assert set(listing.prefixes) >= set(expected)
            assert listing.prefixes == sorted(set(listing.prefixes))
        else:
            assert listing.prefixes == expected

    @rule()
    def reopen(self) -> None:
        if isinstance(self.store, ZipStore):
            self.store.close()
            self.store = type(self).make(self.where)

    @rule(key=KEYS)
    def nbytes(self, key: str) -> None:
        value = self.model.get(key)
        assert self.store.nbytes(key) == (None if value is None else len(value))

    @invariant()
    def lists_the_same(self) -> None:
        assert dict(self.store.list()) == {key: len(value) for key, value in self.model.items()}


class LocalMachine(StoreMachine):
    @staticmethod
    def make(where: Path) -> Store:
        return LocalStore(where / "store")


class MemoryMachine(StoreMachine):
    @staticmethod
    def make(where: Path) -> Store:
        return MemoryStore()


class ZipMachine(StoreMachine):
    @staticmethod
    def make(where: Path) -> Store:
        return ZipStore(where / "store.zip")


class FsspecMachine(StoreMachine):
    @staticmethod
    def make(where: Path) -> Store:
        return FsspecStore(f"memory://machine-{next(_numbers)}/x")


@pytest.mark.parametrize("machine", [LocalMachine, MemoryMachine, ZipMachine, FsspecMachine])
def test_a_store_is_a_dictionary(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(machine)
