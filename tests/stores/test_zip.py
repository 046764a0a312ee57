from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.config import settings
from zlab.errors import StoreError, StoreNotFoundError
from zlab.stores.base import Entry, Listing, Range, Suffix
from zlab.stores.zip import ZipStore

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]


def keys(store: ZipStore) -> list[str]:
    return sorted(entry.key for entry in store.list())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "data.zip"
    with ZipStore(path) as store:
        store.put("zarr.json", b"{}")
        store.put("c/0", bytes(range(256)))
    return path


def test_members_are_stored_plainly(archive: Path) -> None:
    with zipfile.ZipFile(archive) as plain:
        assert plain.testzip() is None
        assert plain.namelist() == ["zarr.json", "c/0"]
        assert all(info.compress_type == zipfile.ZIP_STORED for info in plain.infolist())
        assert all(info.external_attr >> 16 == 0o100644 for info in plain.infolist())


def test_the_same_objects_make_the_same_archive(tmp_path: Path, archive: Path) -> None:
    with ZipStore(tmp_path / "other.zip") as store:
        store.put("zarr.json", b"{}")
        store.put("c/0", bytes(range(256)))
    assert (tmp_path / "other.zip").read_bytes() == archive.read_bytes()


def test_a_rewritten_object_is_one_member(archive: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ZipStore(archive) as store:
            for number in range(5):
                store.put("c/0", bytes([number]))
                assert store.get("c/0") == bytes([number])
            store.put("c/1", b"one")
            store.delete("zarr.json")
    with zipfile.ZipFile(archive) as plain:
        assert plain.testzip() is None
        assert sorted(plain.namelist()) == ["c/0", "c/1"]
    assert ZipStore(archive, read_only=True).get("c/0") == bytes([4])


def test_deleting_alone_changes_the_archive(archive: Path) -> None:
    with ZipStore(archive) as store:
        store.delete("c/0")
        assert keys(store) == ["zarr.json"]
    with zipfile.ZipFile(archive) as plain:
        assert plain.namelist() == ["zarr.json"]


def test_an_archive_that_is_only_read_is_not_touched(archive: Path) -> None:
    before = archive.stat()
    with ZipStore(archive) as store:
        assert store.get("zarr.json") == b"{}"
        store.delete("nothing")
        store.delete_prefix("nothing")
    after = archive.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_replaced_bytes_are_left_out_once_they_are_the_most(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with ZipStore(path) as store:
        store.put("small", b"x")
        for number in range(5):
            store.put("large", bytes([number]) * 1_000_000)
    assert path.stat().st_size < 1_010_000
    store = ZipStore(path, read_only=True)
    assert store.get("large") == bytes([4]) * 1_000_000
    assert store.get("small") == b"x"


def test_until_it_is_closed_others_see_the_old_archive(archive: Path) -> None:
    store = ZipStore(archive)
    store.put("c/0", b"new")
    store.delete("zarr.json")
    assert store.list_dir() == Listing([], ["c"])
    other = ZipStore(archive, read_only=True)
    assert (other.get("c/0"), other.get("zarr.json")) == (bytes(range(256)), b"{}")
    store.close()
    assert other.get("c/0") == bytes(range(256))  # what it opened
    assert ZipStore(archive, read_only=True).get("c/0") == b"new"
    assert list(archive.parent.iterdir()) == [archive]


def test_after_closing_every_call_says_so(archive: Path) -> None:
    store = ZipStore(archive)
    store.put("c/1", b"x")
    store.close()
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.get("c/1"),
        lambda: store.put("c/1", b"y"),
        lambda: store.delete("c/1"),
        lambda: store.delete_prefix(""),
        store.list,
        store.list_dir,
        lambda: store.nbytes("c/1"),
    ]
    for call in calls:
        with pytest.raises(StoreError, match=r"closed.*Open it again"):
            call()


def test_a_store_that_is_forgotten_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    stores = [ZipStore(path)]
    stores[0].put("a", b"x")
    with pytest.warns(ResourceWarning, match="never closed"):
        stores.clear()
    gc.collect()
    assert ZipStore(path, read_only=True).get("a") == b"x"


def test_the_end_of_the_interpreter_closes(tmp_path: Path) -> None:
    path = tmp_path / "below" / "data.zip"
    code = "import sys; from zlab.stores.zip import ZipStore; s = ZipStore(sys.argv[1]); "
    code += "s.put('a', b'x')"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert ZipStore(path, read_only=True).get("a") == b"x"


@pytest.mark.skipif(os.name != "posix", reason="POSIX only")
def test_a_killed_writer_leaves_the_old_archive(archive: Path) -> None:
    code = """
        import sys
        from zlab.stores.zip import ZipStore
        store = ZipStore(sys.argv[1])
        for i in range(10**9):
            store.put(f"c/{i % 7}", bytes(100_000))
            print(i, flush=True)
    """
    before = archive.read_bytes()
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(archive)], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    for _ in range(20):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert archive.read_bytes() == before


def test_a_change_by_another_program_is_not_overwritten(archive: Path) -> None:
    one, other = ZipStore(archive), ZipStore(archive)
    one.put("a", b"one")
    other.put("a", b"other")
    one.close()
    with pytest.raises(StoreError, match="another program has changed") as caught:
        other.close()
    assert ZipStore(archive, read_only=True).get("a") == b"one"
    assert caught.value.hint is not None
    kept = caught.value.hint.rpartition(" ")[2]
    assert ZipStore(kept, read_only=True).get("a") == b"other"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_does_not_write_into_its_parents_draft(archive: Path) -> None:
    store = ZipStore(archive)
    store.put("a", b"parent")

    def child(answer: Callable[[object], None]) -> None:
        try:
            store.put("b", b"child")
        except StoreError as error:
            answer(str(error))
        store.close()

    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue.put,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert "forked" in queue.get()
    store.put("c/1", b"parent")
    store.close()
    assert keys(ZipStore(archive, read_only=True)) == ["a", "c/0", "c/1", "zarr.json"]


def test_missing(tmp_path: Path) -> None:
    for options in ({"read_only": True}, {"create": False}):
        with pytest.raises(StoreNotFoundError, match="no such archive"):
            ZipStore(tmp_path / "data.zip", **options)
    ZipStore(tmp_path / "data.zip").close()
    assert not (tmp_path / "data.zip").exists()  # nothing was written


@pytest.mark.parametrize("left", [0, 1, 21, -1, -30, "half"])
def test_a_truncated_archive_is_refused(archive: Path, left: Any) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2] if left == "half" else data[:left])
    for read_only in (True, False):
        with pytest.raises(StoreError, match="not a whole zip archive") as caught:
            ZipStore(archive, read_only=read_only)
        assert caught.value.store == str(archive)
        assert not isinstance(caught.value, StoreNotFoundError)


def test_a_directory_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        ZipStore(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_compressed_members_of_others_are_read(tmp_path: Path, method: int) -> None:
    data = b"0123456789" * 1000
    with zipfile.ZipFile(tmp_path / "data.zip", "w", method) as plain:
        plain.writestr("c/", b"")
        plain.writestr("c/0", data)
    store = ZipStore(tmp_path / "data.zip")
    assert store.get("c/0") == data
    assert store.get("c/0", Range(11, 4)) == b"1234"
    assert store.get("c/0", Suffix(3)) == b"789"
    assert store.nbytes("c/0") == 10_000
    assert list(store.list()) == [Entry("c/0", 10_000)]  # not the directory
    store.put("c/1", b"x")
    store.close()
    assert ZipStore(tmp_path / "data.zip").get("c/0") == data


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_small_member_that_grows_large_is_refused(tmp_path: Path, method: int) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", method) as written:
        written.writestr("a", bytes(1 << 24))
    with ZipStore(archive, read_only=True) as store:
        with settings.override(max_chunk_bytes=1 << 20):
            tracemalloc.start()
            with pytest.raises(StoreError, match="max_chunk_bytes"):
                store.get("a")
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert store.get("a", Range(1 << 23, 10)) == bytes(10)
        assert peak < 1 << 20
        assert store.get("a") == bytes(1 << 24)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_corrupt_member_is_an_error(tmp_path: Path, method: int) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", method) as plain:
        plain.writestr("c/0", np.random.default_rng(0).bytes(1000))
    data = bytearray(path.read_bytes())
    data[500] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(StoreError, match="corrupt") as caught:
        ZipStore(path).get("c/0")
    assert caught.value.key == "c/0"


def test_a_directory_that_points_nowhere_is_an_error(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x03\x04", 4)  # the second member's header
    data[at : at + 4] = b"XXXX"
    archive.write_bytes(data)
    with pytest.raises(StoreError, match="no member starts"):
        ZipStore(archive).get("c/0")


def test_a_name_that_is_not_the_members_own_is_an_error(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[data.rindex(b"c/0") + 2] ^= 0x01  # in the directory, which has no checksum
    archive.write_bytes(data)
    store = ZipStore(archive)
    with pytest.raises(StoreError, match="the directory says 'c/1', and the member itself b'c/0'"):
        store.get("c/1")
    with pytest.raises(StoreError, match="the directory says 'c/1'"):
        store.get("c/1", Range(0, 1))


@pytest.mark.parametrize("name", ["plain", "é/ü", "日本/0"])
def test_names_of_others_are_their_own(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as plain:
        plain.writestr(name, b"bytes")
    assert ZipStore(tmp_path / "data.zip").get(name) == b"bytes"


def test_a_name_without_the_mark_of_utf8_is_read(archive: Path) -> None:
    data = archive.read_bytes().replace(b"c/0", b"c/\x82")  # as DOS programs write "é"
    archive.write_bytes(data)
    assert ZipStore(archive).get("c/é") == bytes(range(256))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        pytest.param(10, 99, id="an unknown method"),
        pytest.param(10, 9, id="deflate64"),
        pytest.param(8, 1 << 5, id="patched data"),
        pytest.param(27, 0x7F, id="a size of 2 GB"),
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_cannot_be_read_is_an_error(
    tmp_path: Path, method: int, offset: int, value: int
) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", method) as plain:
        plain.writestr("c/0", bytes(1000))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + offset] = value
    path.write_bytes(data)
    store = ZipStore(path)
    try:
        assert store.get("c/0") == bytes(1000)
    except StoreError as error:
        assert error.key == "c/0"  # noqa: PT017  either is right, anything else is not


@given(data=st.data())
def test_no_flipped_bit_is_read_as_something_else(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "data.zip")
        objects = {"c/0": bytes(40), "c/1": b"1" * 40}
        with zipfile.ZipFile(path, "w") as plain:
            plain.writestr("c/0", objects["c/0"], data.draw(st.sampled_from(METHODS)))
            plain.writestr("c/1", objects["c/1"], data.draw(st.sampled_from(METHODS)))
        flipped = bytearray(path.read_bytes())
        bit = data.draw(st.integers(0, 8 * len(flipped) - 1))
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            store = ZipStore(path)
        except StoreError:
            return
        for key, value in objects.items():
            try:
                found = store.get(key)
            except StoreError:
                continue
            # names in the directory have no checksum: one that is damaged is another, which
            # `zlab verify` shows
            assert found == value or (found is None and keys(store) != sorted(objects))


def test_an_encrypted_member_is_an_error(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02")  # the first entry of the directory
    data[at + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(StoreError, match="encrypted"):
        ZipStore(archive).get("zarr.json")


def test_of_two_members_of_one_name_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as plain:
            plain.writestr("c/0", b"old")
            plain.writestr("c/0", b"new")
    store = ZipStore(path)
    assert store.get("c/0") == b"new"
    assert keys(store) == ["c/0"]
    store.put("c/1", b"x")
    store.close()
    with zipfile.ZipFile(path) as plain:
        assert sorted(plain.namelist()) == ["c/0", "c/1"]


def test_names_that_lead_out_are_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as plain:
        for name in ("../evil", "/etc/passwd", "a//b", "good"):
            plain.writestr(name, b"x")
    assert keys(ZipStore(path)) == ["good"]


def test_more_members_and_bytes_than_the_old_format_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 500)
    path = tmp_path / "data.zip"
    with ZipStore(path) as store:
        for number in range(10):
            store.put(f"c/{number}", bytes([number]) * 1000)
    assert b"PK\x06\x06" in path.read_bytes()  # the end record of zip64
    monkeypatch.undo()
    with ZipStore(path) as store:
        assert store.get("c/7") == bytes([7]) * 1000
        store.put("c/7", b"new")
    with zipfile.ZipFile(path) as plain:
        assert plain.testzip() is None
        assert plain.read("c/7") == b"new"
        assert plain.read("c/9") == bytes([9]) * 1000


def test_a_disk_that_is_full_leaves_the_old_archive(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = archive.read_bytes()
    store = ZipStore(archive)
    store.put("a", b"x")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "writestr", fail)
        with pytest.raises(StoreError, match="disk is full"):
            store.put("b", b"y")
    assert store.get("b") is None
    monkeypatch.setattr(zipfile.ZipFile, "_write_end_record", fail)
    with pytest.raises(StoreError, match="disk is full"):
        store.close()
    assert archive.read_bytes() == before
    assert list(archive.parent.iterdir()) == [archive]


@pytest.mark.skipif(os.name != "posix", reason="POSIX only")
def test_a_limit_of_the_system_leaves_the_old_archive(archive: Path) -> None:
    code = """
        import resource, sys
        from zlab.errors import StoreError
        from zlab.stores.zip import ZipStore
        store = ZipStore(sys.argv[1])
        store.put("small", b"x")
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        try:
            store.put("large", bytes(1_000_000))
        except StoreError as error:
            print(error.errno, error.key, store.get("large"), store.get("small"))
        try:
            store.close()
        except StoreError as error:
            print(error.errno)
    """
    before = archive.read_bytes()
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), str(archive)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stderr == ""
    assert answer.stdout == f"{errno.EFBIG} large None b'x'\n{errno.EFBIG}\n"
    assert archive.read_bytes() == before
    assert list(archive.parent.iterdir()) == [archive]


def test_a_pickle_carries_the_place(archive: Path) -> None:
    store = ZipStore(archive, read_only=True)
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert copy == store
    assert copy.read_only
    assert copy.get("zarr.json") == b"{}"


@pytest.mark.needs("zarr")
def test_zarr_reads_what_we_write_and_we_what_zarr_writes(tmp_path: Path) -> None:
    import zarr

    data = np.arange(60, dtype="int32").reshape(6, 10)
    theirs = zarr.storage.ZipStore(tmp_path / "theirs.zip", mode="w")
    array = zarr.create_array(theirs, shape=(6, 10), chunks=(3, 5), dtype="int32")
    array[:] = data
    theirs.close()
    ours = ZipStore(tmp_path / "theirs.zip", read_only=True)
    with ZipStore(tmp_path / "ours.zip") as copy:
        for entry in ours.list():
            value = ours.get(entry.key)
            assert value is not None
            copy.put(entry.key, value)
    again = zarr.storage.ZipStore(tmp_path / "ours.zip", mode="r")
    np.testing.assert_array_equal(zarr.open_array(again, mode="r")[:], data)
    again.close()
