from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest

from zlab.errors import StoreError, StoreNotFoundError, StorePermissionError
from zlab.stores.base import Entry, Listing, Range, Suffix
from zlab.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_objects_are_plain_files(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "data.zarr")
    assert not (tmp_path / "data.zarr").exists()  # made by the first write
    store.put("a/c/0/1", b"abc")
    assert (tmp_path / "data.zarr/a/c/0/1").read_bytes() == b"abc"
    assert files_below(tmp_path) == ["data.zarr/a/c/0/1"]
    if os.name == "posix":
        mask = os.umask(0)
        os.umask(mask)
        mode = stat.S_IMODE((tmp_path / "data.zarr/a/c/0/1").stat().st_mode)
        assert mode == 0o666 & ~mask


def test_names_and_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = LocalStore("here/../there")
    assert store.name == str(tmp_path / "there")
    assert repr(store) == f"LocalStore({str(tmp_path / 'there')!r})"
    assert store == LocalStore(tmp_path / "there")
    assert store != LocalStore(tmp_path)
    assert LocalStore("/").get("etc/../etc/passwd".replace("/../etc", "")) is not None


@pytest.mark.parametrize("options", [{"read_only": True}, {"create": False}])
def test_a_missing_directory_is_not_an_empty_store(
    tmp_path: Path, options: dict[str, bool]
) -> None:
    (tmp_path / "climate.zarr").mkdir()
    with pytest.raises(StoreNotFoundError) as caught:
        LocalStore(tmp_path / "clmate.zarr", **options)
    assert f"Did you mean {str(tmp_path / 'climate.zarr')!r}?" in str(caught.value)
    with pytest.raises(StoreNotFoundError, match="exists, and has no 'deeper'"):
        LocalStore(tmp_path / "deeper" / "still", **options)


def test_another_name_with_the_same_ending_is_no_hint(tmp_path: Path) -> None:
    (tmp_path / "big.zarr").mkdir()
    with pytest.raises(StoreNotFoundError, match=r"exists, and has no 'nothing\.zarr'"):
        LocalStore(tmp_path / "nothing.zarr", read_only=True)
    with pytest.raises(StoreNotFoundError, match=r"Did you mean .*big\.zarr"):
        LocalStore(tmp_path / "big", read_only=True)


@pytest.mark.skipif(os.name == "nt", reason="links take a privilege there")
def test_a_link_that_leads_nowhere_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "link.zarr").symlink_to(tmp_path / "gone.zarr")
    with pytest.raises(StoreNotFoundError, match=r"link\.zarr' is a link to .*gone\.zarr'"):
        LocalStore(tmp_path / "link.zarr", read_only=True)


def test_a_file_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StoreError, match="not a directory"):
        LocalStore(tmp_path / "file")
    store = LocalStore(tmp_path / "file" / "below")
    with pytest.raises(StoreError) as caught:
        store.put("a", b"x")
    assert caught.value.errno in (errno.ENOTDIR, errno.EEXIST, errno.ENOENT)


def test_a_path_that_no_system_allows() -> None:
    with pytest.raises(StoreError, match="not a valid path"):
        LocalStore("a\0b")


def test_a_root_that_vanishes_is_not_an_absent_object(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "data.zarr")
    assert store.get("a") is None
    store.put("a", b"x")
    (tmp_path / "data.zarr").rename(tmp_path / "elsewhere")
    calls: list[Callable[[], object]] = [
        lambda: store.get("a"),
        lambda: store.nbytes("a"),
        lambda: list(store.list()),
        lambda: store.list_dir("c"),
    ]
    for call in calls:
        with pytest.raises(StoreNotFoundError, match="vanished"):
            call()


def test_leftovers_are_not_listed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a/c/0", b"x")
    for name in (".zlab-1-2.partial", "0.4f2a.partial", ".DS_Store", "0.lock"):
        (tmp_path / "a/c" / name).write_bytes(b"junk")
    (tmp_path / "a/.zlab-1-3.partial").mkdir()
    (tmp_path / "a/.zlab-1-3.partial/deleted").write_bytes(b"junk")
    assert list(store.list()) == [Entry("a/c/0", 1)]
    assert store.list_dir("a/c") == Listing([Entry("a/c/0", 1)], [])
    assert store.list_dir("a") == Listing([], ["a/c"])


def test_a_name_that_is_in_use_by_a_killed_process_is_passed_over(tmp_path: Path) -> None:
    import zlab.stores.local as module

    store = LocalStore(tmp_path)
    number = int(module.partial_path("").split("-")[-1].removesuffix(".partial"))
    for later in range(1, 4):
        (tmp_path / f".zlab-{os.getpid()}-{number + later}.partial").write_bytes(b"old")
    store.put("a", b"x")
    assert list(store.list()) == [Entry("a", 1)]


def test_deleting_the_last_object_leaves_no_directories(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "s")
    store.put("a/b/c/0", b"x")
    store.put("a/d", b"x")
    store.delete("a/b/c/0")
    assert sorted(path.name for path in (tmp_path / "s/a").iterdir()) == ["d"]
    store.delete_prefix("a")
    assert list((tmp_path / "s").iterdir()) == []
    assert store.list_dir() == Listing([], [])


def test_delete_prefix_is_one_step_for_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    store = LocalStore(tmp_path)
    store.put("a/c/0", b"x")
    seen: list[object] = []
    remove = shutil.rmtree

    def watched(path: str) -> None:
        seen.append((store.get("a/c/0"), list(store.list())))
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", watched)
    store.delete_prefix("a")
    assert seen == [(None, [])]


def test_a_directory_where_an_object_should_go(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a/b", b"x")
    with pytest.raises(StoreError) as caught:
        store.put("a", b"y")
    assert caught.value.key == "a"
    assert caught.value.errno is not None
    with pytest.raises(StoreError):
        store.put("a/b/c", b"y")
    assert files_below(tmp_path) == ["a/b"]


@posix
def test_links_are_followed_and_cycles_are_not(tmp_path: Path) -> None:
    elsewhere = LocalStore(tmp_path / "elsewhere")
    elsewhere.put("c/0", b"there")
    store = LocalStore(tmp_path / "s")
    store.put("b/0", b"here")
    (tmp_path / "s/a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "s/b/up").symlink_to(tmp_path / "s")
    assert store.get("a/c/0") == b"there"
    assert sorted(store.list()) == [Entry("a/c/0", 5), Entry("b/0", 4)]
    store.delete_prefix("a")  # the link, not what it points to
    assert store.get("a/c/0") is None
    assert elsewhere.get("c/0") == b"there"
    store.delete_prefix("")
    assert list(store.list()) == []
    assert elsewhere.get("c/0") == b"there"


@posix
@pytest.mark.parametrize("link", ["a.zarr/c/0", "a.zarr/c", "a.zarr"])
def test_what_lies_behind_a_link_that_leads_nowhere_is_not_absent(
    tmp_path: Path, link: str
) -> None:
    store = LocalStore(tmp_path / "s")
    store.put("a.zarr/c/0", b"far")
    store.put("b", b"near")
    (tmp_path / "s" / link).rename(tmp_path / "disk")
    (tmp_path / "s" / link).symlink_to(tmp_path / "disk")
    assert store.get("a.zarr/c/0") == b"far"
    assert sorted(store.list()) == [Entry("a.zarr/c/0", 3), Entry("b", 4)]
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    for call in (
        lambda: store.get("a.zarr/c/0"),
        lambda: store.get("a.zarr/c/0", Suffix(1)),
        lambda: store.nbytes("a.zarr/c/0"),
        lambda: list(store.list()),
        lambda: list(store.list(link)),
    ):
        with pytest.raises(StoreError, match=r"leads to nothing.*not mounted") as caught:
            call()
        assert caught.value.key in (link, "a.zarr/c/0")
    assert store.get("b") == b"near"
    assert store.get("b/0") is None
    assert store.get("elsewhere/c/0") is None
    # a listing of one level shows what stands beside it all the same
    folder, _, _ = link.rpartition("/")
    assert Entry(link, 0) in store.list_dir(folder).entries
    store.delete(link)
    assert store.get("a.zarr/c/0") is None


@posix
def test_a_lock_of_an_editor_is_no_object(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("zarr.json", b"{}")
    (tmp_path / ".#zarr.json").symlink_to("somebody@somewhere.1234:5678")  # as Emacs makes it
    assert list(store.list()) == [Entry("zarr.json", 2)]
    assert store.list_dir() == Listing([Entry("zarr.json", 2)], [])


@posix
def test_a_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    store = LocalStore(tmp_path)
    with pytest.raises(StoreError, match="not a file"):
        store.get("pipe")
    assert store.nbytes("pipe") is None
    assert list(store.list()) == []


def test_a_file_that_is_cut_while_it_is_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zlab.stores.local as module

    store = LocalStore(tmp_path)
    store.put("a", b"0123456789")
    real = module._read_some

    def cut(file: int, nbytes: int, start: int) -> bytes:
        os.truncate(tmp_path / "a", 4)
        return real(file, nbytes, start)

    monkeypatch.setattr(module, "_read_some", cut)
    with pytest.raises(StoreError, match="no bytes at"):
        store.get("a")


def test_reads_that_come_in_parts_are_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zlab.stores.local as module

    store = LocalStore(tmp_path)
    store.put("a", bytes(range(100)))
    real = module._read_some
    monkeypatch.setattr(
        module, "_read_some", lambda file, nbytes, start: real(file, min(nbytes, 7), start)
    )
    assert store.get("a") == bytes(range(100))
    assert store.get("a", Range(10, 30)) == bytes(range(10, 40))
    assert store.get("a", Suffix(30)) == bytes(range(70, 100))


def test_writes_that_go_in_parts_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, memoryview(data)[:7]))
    store = LocalStore(tmp_path)
    store.put("a", bytes(range(100)))
    assert (tmp_path / "a").read_bytes() == bytes(range(100))


def test_fsync_reaches_file_and_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    real = os.fsync

    def watched(file: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(file).st_mode))
        real(file)

    monkeypatch.setattr(os, "fsync", watched)
    LocalStore(tmp_path).put("a", b"x")
    assert synced == []
    LocalStore(tmp_path, fsync=True).put("a", b"y")
    assert synced == ([False, True] if os.name == "posix" else [False])


@pytest.mark.parametrize("code", [5, 32])
def test_windows_says_busy_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real = os.replace
    failures = 3

    def busy(source: str, target: str) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            error = PermissionError(errno.EACCES, "in use")
            error.winerror = code  # type: ignore[attr-defined]
            raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", busy)
    store = LocalStore(tmp_path)
    store.put("a", b"x")
    assert failures == 0
    assert store.get("a") == b"x"


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.ENOSPC, StoreError, "disk is full"),
        (errno.EDQUOT, StoreError, "quota"),
        (errno.EROFS, StoreError, "mounted read-only"),
        (errno.EACCES, StorePermissionError, "Permission denied"),
        (errno.EIO, StoreError, "Input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["open", "write", "replace"])
def test_a_write_that_fails_leaves_the_old_bytes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    kind: type[StoreError],
    words: str,
) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"old")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(StoreError, match=words) as caught:
            store.put("a", b"new")
    assert type(caught.value) is kind
    assert caught.value.errno == code
    assert (caught.value.store, caught.value.key) == (str(tmp_path), "a")
    assert isinstance(caught.value.__cause__, OSError)
    assert store.get("a") == b"old"
    assert files_below(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["open", "pread" if hasattr(os, "pread") else "read"])
def test_a_read_that_fails_is_not_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StoreError, match="Input/output error") as caught:
        store.get("a")
    assert caught.value.errno == errno.EIO


def test_an_interrupted_write_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.put("a", b"x")
    assert files_below(tmp_path) == []


def run_python(code: str, *args: str) -> Any:
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(answer.stdout)


@posix
def test_a_limit_of_the_system_is_a_typed_error_and_leaves_the_old_bytes(tmp_path: Path) -> None:
    answer = run_python(
        """
        import json, os, resource, sys
        from zlab.errors import StoreError
        from zlab.stores.local import LocalStore
        store = LocalStore(sys.argv[1])
        store.put("a/c/0", b"old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        try:
            store.put("a/c/0", bytes(1_000_000))
        except StoreError as error:
            answer = [error.errno, str(error), error.key]
        names = os.listdir(sys.argv[1] + "/a/c")
        print(json.dumps([*answer, bytes(store.get("a/c/0")).decode(), names]))
        """,
        str(tmp_path),
    )
    code, message, key, data, names = answer
    assert (code, key, data, names) == (errno.EFBIG, "a/c/0", "old", ["0"])
    assert "larger than allowed" in message


@posix
@pytest.mark.parametrize("fsync", [False, True])
def test_a_killed_writer_leaves_the_old_or_the_new(tmp_path: Path, fsync: bool) -> None:
    code = """
        import sys
        from zlab.stores.local import LocalStore
        store = LocalStore(sys.argv[1], fsync=sys.argv[2] == "True")
        values = [bytes([i]) * 1_000_003 for i in range(4)]
        for i in range(10**9):
            store.put("a/c/0", values[i % 4])
            print(i, flush=True)
    """
    store = LocalStore(tmp_path)
    dice = random.Random(f"{fsync}")  # noqa: S311
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(fsync)],
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        for _ in range(dice.randrange(1, 30)):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert writer.returncode == -signal.SIGKILL
        data = store.get("a/c/0")
        assert data is not None
        assert len(data) == 1_000_003
        assert len(set(data)) == 1
        assert list(store.list()) == [Entry("a/c/0", 1_000_003)]


@posix
def test_what_may_not_be_read_is_neither_absent_nor_missing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "s")
    store.put("a/c/0", b"x")
    (tmp_path / "s/a").chmod(0)

    def stranger(answer: Callable[[object], None]) -> None:
        failures: list[tuple[str, int | None]] = []
        calls: list[Callable[[], object]] = [
            lambda: store.get("a/c/0"),
            lambda: store.nbytes("a/c/0"),
            lambda: list(store.list()),
            lambda: store.list_dir("a"),
            lambda: store.put("a/c/0", b"y"),
            lambda: store.delete("a/c/0"),
            lambda: store.delete_prefix("a"),
            lambda: LocalStore(tmp_path / "s/a/c", read_only=True),
        ]
        if os.geteuid() == 0:  # whom no mode stops
            os.chdir(tmp_path)
            tmp_path.chmod(0o755)
            os.setuid(65534)
        for call in calls:
            try:
                call()
            except StoreError as error:
                failures.append((type(error).__name__, error.errno))
        answer(failures)

    # pytest's temporary directories are closed to others
    closed = [path for path in tmp_path.parents if path.stat().st_mode & 0o011 != 0o011]
    modes = [path.stat().st_mode for path in closed]
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    try:
        for path, mode in zip(closed, modes, strict=True):
            path.chmod(stat.S_IMODE(mode) | 0o011)
        process = context.Process(target=stranger, args=(queue.put,))
        process.start()
        process.join(60)
    finally:
        for path, mode in zip(closed, modes, strict=True):
            path.chmod(stat.S_IMODE(mode))
        (tmp_path / "s/a").chmod(0o755)
    assert process.exitcode == 0
    assert queue.get() == [("StorePermissionError", errno.EACCES)] * 8


def test_a_put_outlives_the_deletion_of_all_that_is_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "s")
    store.put("a/c/0", b"old")
    real = os.replace
    deletions = [lambda: store.delete_prefix("a"), lambda: store.delete_prefix("")]

    def replace(source: str, target: str) -> None:
        if deletions:
            deletions.pop()()
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    store.put("a/c/0", b"new")
    assert deletions == []
    assert store.get("a/c/0") == b"new"
    assert files_below(tmp_path) == ["s/a/c/0"]


def test_a_put_beside_deletes_of_the_same_directory_does_not_fail(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    failures: list[BaseException] = []

    def churn(name: str) -> None:
        try:
            for _ in range(300):
                store.put(f"a/b/c/{name}", b"x")
                store.delete(f"a/b/c/{name}")
        except BaseException as error:  # noqa: BLE001 - for the main thread
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(name,)) for name in "wxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(store.list()) == []
