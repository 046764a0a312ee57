"""What is kept, when it is believed, and what becomes of a cache that is spoilt."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import StoreError
from zlab.stores.base import Noticed, Range, Suffix, Tagged, span
from zlab.stores.bytecache import MemoryCache, Place, object_of
from zlab.stores.cached import CachedStore, Caching
from zlab.stores.diskcache import _BLOCK, DiskCache
from zlab.stores.memory import MemoryStore
from zlab.stores.open import store_from
from zlab.telemetry import capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange
    from zlab.stores.bytecache import ByteCache

A = Place(object_of("s", "a"), "all")
B = Place(object_of("s", "b"), "all")


class Server:
    """A store far away that tells tags, and what it was asked."""

    local = False
    tells_tags = True
    read_only = False

    def __init__(self, name: str = "test://server", *, tags: bool = True) -> None:
        self.name = name
        self.inner = MemoryStore()
        self.tags: dict[str, int] = {}
        self.asked: list[tuple[str, Any, str | None]] = []
        self.sent = 0
        self.has_tags = tags
        self.delay: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def put(self, key: str, value: Buffer) -> None:
        self.inner.put(key, value)
        self.tags[key] = self.tags.get(key, 0) + 1

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        self.asked.append((key, byte_range, None))
        data = self.inner.get(key, byte_range)
        self.sent += len(data or b"")
        return data

    def get_if_changed(
        self, key: str, byte_range: ByteRange | None, tag: str | None
    ) -> Tagged | None:
        self.asked.append((key, byte_range, tag))
        data = self.inner.get(key, byte_range)
        now = f"v{self.tags[key]}" if self.has_tags and key in self.tags else None
        self.delay()
        if data is None:
            return None
        if tag is not None and tag == now:
            return Tagged(None, tag)
        self.sent += len(data)
        return Tagged(data, now)

    def version(self, key: str) -> None:
        del key

    def nbytes(self, key: str) -> int | None:
        return self.inner.nbytes(key)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def delete_prefix(self, prefix: str) -> None:
        self.inner.delete_prefix(prefix)

    def list(self, prefix: str = "") -> Any:
        return self.inner.list(prefix)

    def list_dir(self, prefix: str = "") -> Any:
        return self.inner.list_dir(prefix)


@pytest.fixture(params=["memory", "disk"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> ByteCache:
    return MemoryCache(10**6) if request.param == "memory" else DiskCache(tmp_path, 10**6)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_kept_is_asked_for_but_not_sent_again(cache: ByteCache) -> None:
    server = Server()
    server.put("a/c/0", b"0123456789")
    store = CachedStore(server, cache)
    with capture("store.cached") as captured:
        assert [bytes(store.get("a/c/0") or b"") for _ in range(3)] == [b"0123456789"] * 3
    assert server.asked == [("a/c/0", None, tag) for tag in (None, "v1", "v1")]
    assert server.sent == 10
    assert [(e.outcome, e.nbytes) for e in captured.events] == [
        ("miss", 10),
        ("unchanged", 10),
        ("unchanged", 10),
    ]
    info = store.info()
    assert (info.hits, info.unchanged, info.misses) == (0, 2, 1)
    assert info.cache.entries == 1


def test_a_new_version_is_seen_at_once(cache: ByteCache) -> None:
    server = Server()
    store = CachedStore(server, cache)
    for value in (b"one", b"two", b"three"):
        server.put("k", value)
        assert store.get("k") == value
        assert store.get("k", Range(1, 2)) == value[1:3]
        assert store.get("k", Suffix(2)) == value[-2:]
    server.delete("k")
    assert store.get("k") is None
    assert store.get("k", Range(1, 2)) is None
    server.put("k", b"four")
    assert store.get("k") == b"four"


def test_ranges_are_kept_and_served_from_the_whole(cache: ByteCache) -> None:
    server = Server()
    server.put("k", bytes(range(100)))
    store = CachedStore(server, cache, age_s=math.inf)
    for _ in range(2):
        assert store.get("k", Range(10, 5)) == bytes(range(10, 15))
        assert store.get("k", Suffix(3)) == bytes(range(97, 100))
    assert len(server.asked) == 2
    store.get("k")
    asked = len(server.asked)
    assert store.get("k", Range(0, 100)) == bytes(range(100))
    assert store.get("k", Range(99, 1)) == bytes([99])
    assert store.get("k", Suffix(1000)) == bytes(range(100))
    assert store.get("k", Range(4, 0)) == b""
    assert len(server.asked) == asked
    with pytest.raises(StoreError):
        store.get("k", Range(99, 2))


def test_within_an_age_nothing_is_asked(cache: ByteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1e9]
    monkeypatch.setattr("zlab.stores.cached.time", lambda: now[0])
    server = Server()
    server.put("k", b"old")
    store = CachedStore(server, cache, age_s=60)
    name = object_of(store.identity, "k")
    assert store.get("k") == b"old"
    store._seen.clear()
    kept = cache.get(Place(name, "all"))
    assert kept is not None
    now[0] = kept.checked + 59
    server.put("k", b"new")
    assert store.get("k") == b"old"
    now[0] = kept.checked + 61
    assert store.get("k") == b"new"
    assert [tag for _, _, tag in server.asked] == [None, "v1"]


def test_what_was_found_unchanged_is_young_again(
    cache: ByteCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    server.put("k", b"same")
    store = CachedStore(server, cache, age_s=60)
    store.get("k")
    monkeypatch.setattr("zlab.stores.cached.time", lambda: 4e9)
    store.get("k")
    assert [tag for _, _, tag in server.asked] == [None, "v1"]
    monkeypatch.undo()
    store._seen.clear()
    store.get("k")
    assert len(server.asked) == 2


def test_a_part_of_another_version_changes_the_version(cache: ByteCache) -> None:
    server = Server()
    server.put("k", b"old index, old chunk")
    store = CachedStore(server, cache, age_s=math.inf)
    assert store.get("k", Suffix(9)) == b"old chunk"
    server.put("k", b"new index, new chunk")
    assert store.get("k", Suffix(9)) == b"old chunk"
    assert store.version("k") is None
    assert store.get("k", Range(0, 9)) == b"new index"
    assert store.version("k") == Noticed(1)
    assert store.get("k", Suffix(9)) == b"new chunk"
    assert store.version("k") == Noticed(1)
    server.put("k", b"one more")
    assert store.get("k", Range(0, 3)) == b"one"
    server.delete("k")
    assert store.get("k") is None
    assert store.version("k") == Noticed(3)


@pytest.mark.parametrize("kept", [None, 10**6])
def test_a_shard_that_another_process_replaces_is_never_mixed(
    cache: ByteCache, kept: int | None
) -> None:
    server = Server()
    rng = np.random.default_rng(0)
    old, new = np.zeros((8, 64), "i8"), rng.integers(0, 1 << 60, (8, 64))
    array = zlab.create_array(server, data=old, chunks=(1, 64), shards=(8, 64), fill_value=7)
    store = CachedStore(server, cache, age_s=math.inf)
    chunks = None if kept is None else zlab.Cache(kept)
    reader = zlab.open_array(store, cache=chunks)
    assert (reader[0] == old[0]).all()
    array[...] = new
    assert (reader[0] == old[0]).all()  # as the age allows
    for row in (5, 0, 1, 7):
        assert (reader[row] == new[row]).all()
    array[...] = new[::-1]
    assert (reader[2] == new[5]).all()
    assert (reader[...] == new[::-1]).all()


def test_documents_are_never_kept(cache: ByteCache) -> None:
    server = Server()
    store = CachedStore(server, cache, age_s=math.inf)
    for key in ("zarr.json", "a/zarr.json", "a/.zarray", ".zmetadata", ".zgroup", "b/.zattrs"):
        for value in (b"one", b"two"):
            server.put(key, value)
            assert store.get(key) == value
    assert cache.info().entries == 0


def test_what_this_process_writes_is_forgotten(cache: ByteCache) -> None:
    server = Server()
    store = CachedStore(server, cache, age_s=math.inf)
    other = CachedStore(server, MemoryCache(1000), age_s=math.inf)
    for write in (store, other):
        for key in ("a/x", "a/y"):
            server.put(key, b"old")
            store.forget(object_of(store.identity, key))
            other.forget(object_of(store.identity, key))
            assert (store.get(key), other.get(key)) == (b"old", b"old")
        write.put("a/x", b"new")
        assert (store.get("a/x"), other.get("a/x")) == (b"new", b"new")
        write.delete("a/x")
        assert (store.get("a/x"), other.get("a/x")) == (None, None)
        assert store.get("a/y") == b"old"
        write.delete_prefix("a")
        assert (store.get("a/y"), other.get("a/y")) == (None, None)


def test_a_read_that_a_write_overtakes_is_not_kept(cache: ByteCache) -> None:
    server = Server()
    server.put("k", b"old")
    store = CachedStore(server, cache, age_s=math.inf)

    def overtake() -> None:
        server.delay = lambda: None
        store.put("k", b"new")

    server.delay = overtake
    assert store.get("k") == b"old"
    assert store.get("k") == b"new"


def test_a_store_that_knows_versions_is_not_asked(cache: ByteCache, tmp_path: Path) -> None:
    inner, _ = store_from(tmp_path / "data", mode="a")
    inner.put("k", b"one")
    store = CachedStore(inner, cache)
    assert [store.get("k"), store.get("k", Range(1, 1))] == [b"one", b"n"]
    assert store.info().hits == 1
    inner.put("k", b"three")
    assert store.get("k") == b"three"
    assert store.info().misses == 2


def test_absent_objects_are_never_kept(cache: ByteCache) -> None:
    server = Server()
    store = CachedStore(server, cache, age_s=math.inf)
    assert store.get("k") is None
    server.put("k", b"there")
    assert store.get("k") == b"there"


def test_without_tags_only_an_age_helps(cache: ByteCache) -> None:
    server = Server(tags=False)
    server.put("k", b"bytes")
    store = CachedStore(server, cache)
    assert (store.get("k"), store.get("k")) == (b"bytes", b"bytes")
    assert (server.sent, cache.info().entries) == (10, 0)
    store = CachedStore(server, cache, age_s=60)
    assert (store.get("k"), store.get("k")) == (b"bytes", b"bytes")
    assert server.sent == 15
    server.tells_tags = False
    with pytest.raises(ValueError, match="cache_age_s"):
        CachedStore(server, cache)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 60)), max_size=40))
def test_the_bound_holds_and_the_last_used_stay(puts: list[tuple[int, int]]) -> None:
    cache = MemoryCache(100)
    kept: dict[int, int] = {}
    for number, nbytes in puts:
        cache.put(Place(str(number), "all"), bytes(nbytes), None)
        kept.pop(number, None)
        kept[number] = nbytes
        while sum(kept.values()) > 100:
            kept.pop(next(iter(kept)))
        info = cache.info()
        assert (info.entries, info.nbytes) == (len(kept), sum(kept.values()))
        assert info.nbytes <= 100
    assert {n for n in range(6) if cache.get(Place(str(n), "all"))} == set(kept)


def test_a_disk_cache_keeps_its_bound_and_what_was_used_last(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    places = [Place(object_of("s", str(n)), "all") for n in range(20)]
    for number, place in enumerate(places):
        cache.put(place, bytes(900), "v")
        assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 10_000
        path = Path(cache._path(place))
        os.utime(path, (number + 1, path.stat().st_mtime))
        if number:
            first = Path(cache._path(places[0]))
            os.utime(first, (10**6, first.stat().st_mtime))
    assert cache.get(places[0]) is not None
    assert cache.get(places[-1]) is not None
    assert cache.get(places[1]) is None
    assert cache.info().evictions > 0
    cache.put(A, bytes(10_001), "v")
    assert cache.get(A) is None
    cache.clear()
    assert (cache.info().entries, cache.info().nbytes) == (0, 0)


def test_only_its_own_files_are_ever_removed(tmp_path: Path) -> None:
    own = [tmp_path / "thesis.tex", tmp_path / "zlab-bytes-1" / "abc" / "notes.txt"]
    cache = DiskCache(tmp_path, 2000)
    for path in own:
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(bytes(5000))
        os.utime(path, (1, 1))
    for number in range(10):
        cache.put(Place(object_of("s", str(number)), "all"), bytes(900), "v")
    cache.clear()
    assert files_of(tmp_path) == sorted(own)


@pytest.mark.parametrize("nbytes", [0, 1, 5000, 1 << 16, _BLOCK, _BLOCK + 1, 2 * _BLOCK + 77])
def test_ranges_of_a_file_are_those_of_the_bytes(tmp_path: Path, nbytes: int) -> None:
    data = np.random.default_rng(0).bytes(nbytes)
    cache = DiskCache(tmp_path, 10**7)
    cache.put(A, data, None)
    kept = cache.get(A)
    assert kept is not None
    assert (bytes(kept.data), kept.tag) == (data, None)
    rng = np.random.default_rng(1)
    for _ in range(20):
        start = int(rng.integers(0, nbytes + 1))
        one = Range(start, int(rng.integers(0, nbytes - start + 1)))
        for byte_range in (one, Suffix(start)):
            low, high = span(byte_range, nbytes, "s", "a")
            kept = cache.get(A, byte_range)
            assert kept is not None
            assert bytes(kept.data) == data[low:high]
    assert cache.get(A, Range(nbytes, 1)) is None
    assert cache.get(A, Range(-1, 1)) is None


@given(
    where=st.integers(0, 10**6),
    how=st.sampled_from(["flip", "cut", "grow", "empty"]),
    bit=st.integers(0, 7),
)
def test_a_damaged_file_is_a_miss(
    tmp_path_factory: pytest.TempPathFactory, where: int, how: str, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = DiskCache(folder, 10**6)
    cache.put(A, b"some bytes" * 20, "tag")
    (path,) = files_of(folder)
    data = bytearray(path.read_bytes())
    at = where % len(data)
    match how:
        case "flip":
            data[at] ^= 1 << bit
        case "cut":
            del data[at:]
        case "grow":
            data += bytes(1 + where % 9)
        case _:
            data.clear()
    path.write_bytes(data)
    assert cache.get(A) is None
    assert cache.info().failures == 1
    assert files_of(folder) == []


def test_a_file_in_anothers_place_is_a_miss(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10**6)
    cache.put(A, b"a", "v")
    cache.put(B, b"b", "v")
    Path(cache._path(A)).replace(cache._path(B))
    assert cache.get(B) is None


def test_names_and_modes_tell_nobody_anything(tmp_path: Path) -> None:
    server = Server("s3://secret-bucket")
    server.put("patient-7/c/0", b"x")
    store = CachedStore(server, DiskCache(tmp_path / "new" / "cache", 10**6))
    store.get("patient-7/c/0")
    (path,) = files_of(tmp_path)
    assert "patient" not in str(path.relative_to(tmp_path))
    assert b"patient" not in path.read_bytes()
    assert b"secret" not in path.read_bytes()
    if os.name == "posix":
        assert (tmp_path / "new" / "cache" / "zlab-bytes-1").stat().st_mode & 0o077 == 0


def test_what_a_killed_process_leaves_goes_after_an_hour(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10**6)
    for age_s, name in ((0, "1-" + "0" * 32), (4000, "1-" + "1" * 32)):
        path = tmp_path / "zlab-bytes-1" / "begun" / name
        path.write_bytes(b"half")
        then = path.stat().st_mtime - age_s
        os.utime(path, (then, then))
    cache.put(A, b"x", "v")
    assert [p.name for p in files_of(tmp_path) if p.parent.name == "begun"] == ["1-" + "0" * 32]
    assert cache.info().entries == 1


WRITER = """
import sys
from zlab.stores.bytecache import Place, object_of
from zlab.stores.diskcache import DiskCache
cache = DiskCache(sys.argv[1], 3_000_000)
print("begun", flush=True)
number = 0
while True:
    key = str(number % 40)
    cache.put(Place(object_of("s", key), "all"), key.encode() * 50_000, key)
    number += 1
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_a_writer_that_is_killed_leaves_no_entry_in_part(tmp_path: Path) -> None:
    for pause in (0.05, 0.1, 0.15):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            sleep(pause)
            writer.send_signal(signal.SIGKILL)
    cache = DiskCache(tmp_path, 3_000_000)
    found = 0
    for number in range(40):
        kept = cache.get(Place(object_of("s", str(number)), "all"))
        if kept is not None:
            found += 1
            assert (bytes(kept.data), kept.tag) == (str(number).encode() * 50_000, str(number))
    assert found > 0
    assert cache.info().failures == 0


def _share(folder: str, seed: int, problems: Any) -> None:
    rng = np.random.default_rng(seed)
    cache = DiskCache(folder, 200_000)
    seen = 0
    for _ in range(400):
        number = int(rng.integers(0, 60))
        place = Place(object_of("s", str(number)), "all")
        kept = cache.get(place)
        if kept is None:
            cache.put(place, bytes([number]) * 5000, "v")
        else:
            seen += 1
            if bytes(kept.data) != bytes([number]) * 5000:
                problems.put(f"{number} holds {bytes(kept.data[:1])!r}")
    problems.put(None if seen and not cache.info().failures else f"{seen} seen, {cache.info()}")


def test_two_processes_share_a_directory(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    problems = context.Queue()
    processes = [context.Process(target=_share, args=(str(tmp_path), n, problems)) for n in (1, 2)]
    for process in processes:
        process.start()
    assert [problems.get(timeout=120) for _ in processes] == [None, None]
    for process in processes:
        process.join(60)
    # what each may add before it looks again
    assert DiskCache(tmp_path, 200_000).info().nbytes <= 200_000 * 1.1


FULL = """
import resource, sys
from zlab.stores.cached import CachedStore
from zlab.stores.diskcache import DiskCache
from zlab.stores.memory import MemoryStore
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
inner = MemoryStore({"small": b"x", "big": bytes(100_000)})
store = CachedStore(inner, DiskCache(sys.argv[1]), age_s=9)
for _ in range(2):
    assert store.get("small") == b"x" and store.get("big") == bytes(100_000)
info = store.info()
assert (info.cache.entries, info.cache.failures, info.hits) == (1, 2, 1), info
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of files are POSIX's")
def test_a_full_disk_is_a_miss(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=True)
    assert [p for p in files_of(tmp_path) if p.parent.name == "begun"] == []


def test_a_directory_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="directory of the cache cannot be made"):
        DiskCache(tmp_path / "file", 10)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="room"):
            MemoryCache(wrong)
        with pytest.raises(ValueError, match="room"):
            DiskCache(tmp_path, wrong)


def test_the_next_process_finds_what_this_one_kept(tmp_path: Path) -> None:
    server = Server()
    server.put("k", b"bytes")
    CachedStore(server, DiskCache(tmp_path, 10**6), age_s=math.inf).get("k")
    again = CachedStore(Server(), DiskCache(tmp_path, 10**6), age_s=math.inf)
    assert again.get("k") == b"bytes"
    elsewhere = CachedStore(Server("test://other"), DiskCache(tmp_path, 10**6), age_s=math.inf)
    assert elsewhere.get("k") is None


def test_it_pickles(tmp_path: Path) -> None:
    store = CachedStore(MemoryStore({"k": b"v"}), DiskCache(tmp_path, 10**6), age_s=5)
    again = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert (again.age_s, again.cache.directory) == (5, tmp_path)
    assert again.get("k") == b"v"
    memory = pickle.loads(pickle.dumps(MemoryCache(77)))  # noqa: S301
    assert memory.info().max_nbytes == 77


def test_threads_share_a_cached_store(cache: ByteCache) -> None:
    server = Server()
    for number in range(20):
        server.put(str(number), bytes([number]) * 1000)
    store = CachedStore(server, cache, age_s=math.inf)
    wrong: list[int] = []

    def read() -> None:
        for number in [*range(20)] * 5:
            data = store.get(str(number))
            wrong.extend([number] * (data != bytes([number]) * 1000))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    info = store.info()
    assert info.hits + info.misses == 400
    assert 20 <= info.misses <= 80


def test_options_make_a_cache(tmp_path: Path) -> None:
    given: dict[str, Any] = {"cache_dir": str(tmp_path), "other": 1}
    assert Caching.take(given) == (str(tmp_path), 10_000_000_000, 0.0)
    assert given == {"other": 1}
    assert Caching.take({"cache_nbytes": 1e6, "cache_age_s": math.inf}) == (None, 10**6, math.inf)
    assert Caching.take({}) is None
    for wrong in ({"cache_age_s": 1}, {"cache_nbytes": -1}, {"cache_nbytes": 9, "cache_age_s": -1}):
        with pytest.raises(ValueError, match=r"cache|age_s"):
            store_from("memory://x/y", storage_options=wrong)
    for odd in ({"cache_dir": 3}, {"cache_nbytes": "1GB"}, {"cache_nbytes": 9, "cache_age_s": "x"}):
        with pytest.raises(TypeError, match="cache_"):
            store_from("memory://x/y", storage_options=odd)


def test_arrays_are_read_and_written_through_a_cache() -> None:
    server = Server()
    store = CachedStore(server, MemoryCache(10**6), age_s=math.inf)
    values = np.arange(64 * 64).reshape(64, 64)
    array = zlab.create_array(store, data=values, chunks=(8, 8), shards=(32, 32), path="a")
    assert (array[...] == values).all()
    sent = server.sent
    began = monotonic()
    assert (zlab.open_array(store, path="a")[...] == values).all()
    # nothing but the document
    assert server.sent - sent < 2000
    array[3:40, 5:9] = -1
    values[3:40, 5:9] = -1
    assert (array[...] == values).all()
    assert (zlab.open_array(store, path="a")[3:41, 3:10] == values[3:41, 3:10]).all()
    assert monotonic() - began < 60
