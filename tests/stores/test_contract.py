"""What every store owes, run against each kind of store."""

from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from zlab.errors import ReadOnlyError, StoreError
from zlab.stores.base import Entry, Listing, Range, Store, Suffix

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeStore = Callable[..., Store]

ODD_KEYS = [
    "a b/c d",
    "100%/%20",
    "a+b/c",
    "é/ü",
    "日本/0",
    "a#b",
    "a?b",
    "a&b=c",
    "a[0]/b*",
    "{x}/~",
    "..a/...",
    ".zarray",
    "'\"",
    "a:b",
    "A/a",
]
BAD_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/..",
    "a/./b",
    "./a",
    "a\\b",
    "..\\a",
    "a\0b",
    "/etc/passwd",
]


def test_it_is_a_store(store: Store) -> None:
    assert isinstance(store, Store)
    assert store.name
    assert not store.read_only
    assert store.local


def test_absent_is_none(store: Store) -> None:
    assert store.get("a") is None
    assert store.get("a/b/c") is None
    assert store.get("a", Range(0, 1)) is None
    assert store.get("a", Suffix(1)) is None
    assert store.nbytes("a") is None
    assert store.version("a") is None
    store.put("a/b/c", b"x")
    assert store.get("a/b") is None  # a prefix is no object
    assert store.nbytes("a/b") is None
    assert store.get("a/b", Range(0, 1)) is None
    assert store.get("a/b/c/d") is None  # nor is what would lie below an object
    assert store.nbytes("a/b/c/d") is None


@pytest.mark.parametrize("nbytes", [0, 1, 20_000, 3_000_000])
def test_what_is_put_is_got(store: Store, nbytes: int) -> None:
    data = np.random.default_rng(nbytes).bytes(nbytes)
    store.put("a/c/0", data)
    assert store.get("a/c/0") == data
    assert store.nbytes("a/c/0") == nbytes


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_taken_and_copied(store: Store, kind: type) -> None:
    source = bytearray(b"abcdef")
    store.put("a", kind(source))
    source[0] = 0
    assert store.get("a") == b"abcdef"


def test_put_replaces(store: Store) -> None:
    store.put("a", b"a longer one")
    before = store.version("a")
    store.put("a", b"short")
    assert store.get("a") == b"short"
    assert store.nbytes("a") == 5
    assert before is None or store.version("a") != before
    assert [entry.key for entry in store.list()] == ["a"]


@pytest.mark.parametrize(
    ("byte_range", "expected"),
    [
        (Range(0, 10), b"0123456789"),
        (Range(2, 3), b"234"),
        (Range(9, 1), b"9"),
        (Range(0, 0), b""),
        (Range(10, 0), b""),
        (Suffix(1), b"9"),
        (Suffix(10), b"0123456789"),
        (Suffix(11), b"0123456789"),
        (Suffix(0), b""),
    ],
)
def test_ranges(store: Store, byte_range: Range | Suffix, expected: bytes) -> None:
    store.put("a", b"0123456789")
    data = store.get("a", byte_range)
    assert data == expected


@pytest.mark.parametrize("byte_range", [Range(0, 11), Range(9, 2), Range(11, 0), Range(10, 1)])
def test_a_range_that_is_not_there_is_an_error(store: Store, byte_range: Range) -> None:
    store.put("a", b"0123456789")
    with pytest.raises(StoreError) as caught:
        store.get("a", byte_range)
    assert caught.value.key == "a"
    assert caught.value.store == store.name


@pytest.mark.parametrize("byte_range", [Range(-1, 1), Range(0, -1), Suffix(-1)])
def test_a_negative_range_is_an_error(store: Store, byte_range: Range | Suffix) -> None:
    store.put("a", b"0123456789")
    with pytest.raises(StoreError):
        store.get("a", byte_range)


def test_suffix_of_nothing(store: Store) -> None:
    store.put("a", b"")
    assert store.get("a", Suffix(4)) == b""


def test_delete(store: Store) -> None:
    store.put("a/b", b"x")
    store.put("a/c", b"y")
    store.delete("a/b")
    store.delete("a/b")
    store.delete("nothing/here")
    store.delete("a")  # a prefix is no object
    assert store.get("a/b") is None
    assert store.get("a/c") == b"y"


def test_delete_prefix_takes_what_is_below_and_no_more(store: Store) -> None:
    for key in ("data/data/x", "data/data/y/z", "data/database", "data/x", "datas", "z"):
        store.put(key, b"x")
    store.delete_prefix("data/data")
    assert sorted(entry.key for entry in store.list()) == ["data/database", "data/x", "datas", "z"]
    store.delete_prefix("z")  # an object, with nothing below
    store.delete_prefix("nothing")
    assert store.get("z") == b"x"
    store.delete_prefix("")
    assert list(store.list()) == []
    store.put("again", b"x")
    assert [entry.key for entry in store.list()] == ["again"]


def test_list(store: Store) -> None:
    assert list(store.list()) == []
    assert list(store.list("nothing")) == []
    for key in ("zarr.json", "a/zarr.json", "a/c/0/0", "a/c/0/1", "ab/zarr.json", "a/a/zarr.json"):
        store.put(key, key.encode())
    assert sorted(store.list("a")) == [
        Entry("a/a/zarr.json", 13),
        Entry("a/c/0/0", 7),
        Entry("a/c/0/1", 7),
        Entry("a/zarr.json", 11),
    ]
    assert len(list(store.list())) == 6
    assert list(store.list("a/c/0/0")) == []  # an object is not below itself


def test_list_dir(store: Store) -> None:
    assert store.list_dir() == Listing([], [])
    assert store.list_dir("nothing") == Listing([], [])
    for key in ("zarr.json", "a/zarr.json", "a/c/0/0", "b/zarr.json", "ab/zarr.json"):
        store.put(key, b"xy")
    assert store.list_dir() == Listing([Entry("zarr.json", 2)], ["a", "ab", "b"])
    assert store.list_dir("a") == Listing([Entry("a/zarr.json", 2)], ["a/c"])
    assert store.list_dir("a/c") == Listing([], ["a/c/0"])
    assert store.list_dir("zarr.json") == Listing([], [])


def test_more_keys_than_one_page(store: Store) -> None:
    keys = [f"c/{number}" for number in range(1500)]
    for key in keys:
        store.put(key, b"x")
    assert sorted(entry.key for entry in store.list("c")) == sorted(keys)
    assert [entry.key for entry in store.list_dir("c").entries] == sorted(keys)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_are_taken_literally(store: Store, key: str) -> None:
    store.put("other", b"other")
    store.put(key, key.encode())
    assert store.get(key) == key.encode()
    assert store.get(key, Range(0, 1)) == key.encode()[:1]
    assert store.nbytes(key) == len(key.encode())
    assert sorted(entry.key for entry in store.list()) == sorted([key, "other"])
    parent = key.rpartition("/")[0]
    assert key in [entry.key for entry in store.list_dir(parent).entries]
    if parent:
        store.delete_prefix(parent)
    else:
        store.delete(key)
    assert [entry.key for entry in store.list()] == ["other"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_no_key_leads_out_of_the_store(store: Store, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.get(key),
        lambda: store.get(key, Range(0, 1)),
        lambda: store.put(key, b"x"),
        lambda: store.delete(key),
        lambda: store.nbytes(key),
        lambda: store.list(key or ".."),
        lambda: store.list_dir(key or ".."),
        lambda: store.delete_prefix(key or ".."),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="not a valid key"):
            call()


def test_a_store_for_reading_refuses_to_write(make_store: MakeStore) -> None:
    make_store().put("a", b"x")
    store = make_store(read_only=True)
    assert store.read_only
    assert store.get("a") == b"x"
    calls: list[Callable[[], object]] = [
        lambda: store.put("b", b"y"),
        lambda: store.delete("a"),
        lambda: store.delete_prefix("a"),
        lambda: store.delete_prefix(""),
    ]
    for call in calls:
        with pytest.raises(ReadOnlyError) as caught:
            call()
        assert "mode 'r+'" in str(caught.value)
    assert [entry.key for entry in store.list()] == ["a"]


def test_two_handles_on_one_place_are_equal(make_store: MakeStore) -> None:
    one, other = make_store(), make_store()
    if type(one).__name__ == "CountingStore":  # wrappers are things of their own
        return
    assert one == other
    assert hash(one) == hash(other)
    assert one != object()


def test_pickled(make_store: MakeStore) -> None:
    make_store().put("a", b"x")
    store = make_store()
    if type(store).__name__ == "CountingStore":
        return
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert copy.get("a") == b"x"
    assert type(copy) is type(store)
    assert copy.read_only == store.read_only


def test_repr_says_what_and_where(store: Store) -> None:
    assert type(store).__name__ in repr(store)
    assert store.name in repr(store)


# fsspec's directory filesystem truncates files in place; store_from gives a LocalStore for it
@pytest.mark.parametrize("make_store", ["local", "memory", "zip", "fsspec-memory"], indirect=True)
def test_readers_beside_a_writer_see_the_old_or_the_new(store: Store) -> None:
    values = [bytes([number]) * (1000 + 997 * number) for number in range(8)]
    store.put("a/c/0", values[0])
    done = threading.Event()
    torn: list[object] = []

    def read() -> None:
        while not done.is_set():
            data = store.get("a/c/0")
            if data not in values:
                torn.append(data)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(20):
            for value in values:
                store.put("a/c/0", value)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert torn == []


def test_writers_beside_each_other(store: Store) -> None:
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for i in range(40):
                store.put(f"c/{number}/{i}", bytes([number, i]))
                if i % 2:
                    store.delete(f"c/{number}/{i}")
        except BaseException as error:  # noqa: BLE001 - for the main thread
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(entry.key for entry in store.list()) == sorted(
        f"c/{number}/{i}" for number in range(6) for i in range(0, 40, 2)
    )
    assert store.get("c/5/38") == bytes([5, 38])
