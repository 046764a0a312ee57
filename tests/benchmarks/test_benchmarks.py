"""The benchmark measures what it says: each contender of each row reads and writes right values."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import zlab
from benchmarks.chart import draw
from benchmarks.compare import compare
from benchmarks.datasets import Dataset, datasets
from benchmarks.measure import Result, measure
from benchmarks.operations import OPERATIONS
from benchmarks.peers import CannotDoError, Setting, available, load
from benchmarks.rows import FLOOR, ROWS, Contender, Row
from benchmarks.table import document, environment, heading, lines, old_peers, seconds, summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIDE = 32
PEERS = available()
CASES = {
    (contender.peer, contender.operation, row.dataset, row.setting)
    for row in ROWS
    for contender in row.contenders
    if contender.peer in PEERS
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undoes what a row sets for its process: a worker ends with it, this process goes on."""
    subscriptions = []
    subscribe = zlab.telemetry.subscribe

    def remember(*arguments: Any) -> Any:
        subscriptions.append(subscribe(*arguments))
        return subscriptions[-1]

    monkeypatch.setattr(zlab.telemetry, "subscribe", remember)
    before = zlab.settings.threads, zlab.settings.fetch_concurrency
    yield
    zarr.config.reset()
    zlab.settings.threads, zlab.settings.fetch_concurrency = before
    zlab.telemetry.disable()
    for subscription in subscriptions:
        subscription.close()


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(("peer", "operation", "name", "setting"), sorted(CASES, key=str))
def test_every_operation_does_its_work(
    root: Path, peer: str, operation: str, name: str, setting: Setting
) -> None:
    dataset = datasets(SIDE)[name]
    place = dataset.write(root)
    try:
        task = OPERATIONS[operation](load(peer), dataset, place, setting)
    except CannotDoError:
        if peer == "zlab":
            raise
        return
    cost = task.run()
    assert cost.wall_s > 0
    assert cost.cpu_s >= 0
    if operation == "read_chunks":
        assert isinstance(dataset, Dataset)
        assert task.times == dataset.nchunks


@pytest.mark.parametrize("peer", sorted(PEERS & {"zlab", "zarr-python", "tensorstore", FLOOR}))
@pytest.mark.parametrize("operation", ["read_all", "read_chunks"])
def test_a_wrong_value_is_noticed(tmp_path: Path, peer: str, operation: str) -> None:
    dataset = Dataset("array", (8, 8, 8), (4, 4, 4))
    place = dataset.write(tmp_path)
    zlab.open_array(place, mode="r+")[5, 5, 5] = 7
    with pytest.raises(AssertionError):
        OPERATIONS[operation](load(peer), dataset, place, Setting())


def test_a_wrong_sum_is_noticed(tmp_path: Path) -> None:
    dataset = Dataset("array", (8, 8, 8), (4, 4, 4))
    place = dataset.write(tmp_path)
    zlab.open_array(place, mode="r+")[5, 5, 5] = 7
    with pytest.raises(AssertionError):
        OPERATIONS["stream"](load("zlab"), dataset, place, Setting())


def test_values_shrink_as_measurements_do(root: Path) -> None:
    dataset = datasets(64)["zstd"]
    assert isinstance(dataset, Dataset)
    stored = sum(path.stat().st_size for path in dataset.write(root / "64").rglob("c/**/*"))
    assert 1.3 < dataset.nbytes / stored < 2.5


def test_full_size() -> None:
    full = datasets(256)
    tiny, small = full["tiny"], full["small"]
    assert isinstance(tiny, Dataset)
    assert isinstance(small, Dataset)
    assert (tiny.nchunks, tiny.chunk_nbytes) == (65_536, 4096)
    assert (small.nchunks, small.chunk_nbytes) == (2048, 32_768)
    assert full["group"].count == 10_000  # type: ignore[attr-defined]


def test_rows_name_what_there_is() -> None:
    assert {row.dataset for row in ROWS} == datasets(SIDE).keys()
    assert {contender.operation for row in ROWS for contender in row.contenders} == set(OPERATIONS)
    assert len({row.title for row in ROWS}) == len(ROWS)
    assert all(row.contenders[0].peer == "zlab" for row in ROWS)
    assert all((row.setting.threads or 1) <= (os.cpu_count() or 1) for row in ROWS)


def _one(dataset: str, operation: str, *peers: str, setting: Setting | None = None) -> Row:
    contenders = tuple(Contender(peer, peer, operation) for peer in peers)
    return Row("a row", dataset, contenders, setting or Setting())


def test_contenders_take_turns_in_processes_of_their_own(root: Path) -> None:
    place = datasets(SIDE)["zstd"].write(root)
    row = _one("zstd", "read_all", "zlab", "tensorstore", "zarrs")
    peers = ["zlab", "tensorstore"]
    results = measure(row, place, peers, rounds=2, seconds=0.1, side=SIDE)
    assert [(result.row, result.contender, result.cannot) for result in results] == [
        ("a row", "zlab", None),
        ("a row", "tensorstore", None),
        ("a row", "zarrs", "not installed"),
    ]
    assert [len(result.rounds_s) for result in results] == [2, 2, 0]
    assert results[0].bound_nbytes is not None


def test_who_cannot_do_the_work_says_why(root: Path) -> None:
    place = datasets(SIDE)["zstd"].write(root)
    row = _one("zstd", "read_all", "zlab", "tensorstore", setting=Setting(latency_s=0.001))
    results = measure(row, place, ["zlab", "tensorstore"], rounds=1, seconds=0, side=SIDE)
    assert results[0].cannot is None
    assert results[1].cannot == "reads from its own stores, which cannot be slowed"


def test_a_contender_that_fails_ends_the_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    row = _one("zstd", "read_all", "zlab")
    with pytest.raises(RuntimeError, match="zlab ended early"):
        measure(row, tmp_path / "nowhere", ["zlab"], rounds=1, seconds=0, side=SIDE)
    assert "there is no such directory" in capfd.readouterr().err


RESULTS = [
    Result("read", "zlab", [0.002, 0.001, 0.003], [0.004], 17_000_000, 20_000_000),
    Result("read", "zarr-python", [2.0, 1.0, 3.0], [0.5]),
    Result("read", "zarr-python on zlab", [0.0001], [0.0001]),
    Result("read", "tensorstore", [0.004], [0.6]),
    Result("read", "zarrista", cannot="no such thing"),
    Result("read", "codec floor", [0.001], [0.001]),
    Result("alone", "zlab", [1.0], [1.0]),
]


def test_table() -> None:
    assert list(lines(RESULTS))[2:] == [
        "| read | zlab | 2.00 ms | 1.00 ms to 3.00 ms | 1.00 | 4.00 ms | 1.00 | 17 of 20 MB |",
        "|  | zarr-python | 2.00 s | 1.00 s to 3.00 s | 1000.00 | 500 ms | 125.00 |  |",
        "|  | zarr-python on zlab | 100 µs | 100 µs to 100 µs | 0.05 | 100 µs | 0.03 |  |",
        "|  | tensorstore | 4.00 ms | 4.00 ms to 4.00 ms | 2.00 | 600 ms | 150.00 |  |",
        "|  | zarrista | no such thing | | | | | |",
        "|  | codec floor | 1.00 ms | 1.00 ms to 1.00 ms | 0.50 | 1.00 ms | 0.25 |  |",
        "| alone | zlab | 1.00 s | 1.00 s to 1.00 s | 1.00 | 1.00 s | 1.00 |  |",
    ]


def test_summary() -> None:
    assert list(summary(RESULTS))[2:] == [
        "| read | 2.00 ms | tensorstore, 4.00 ms | 0.50 | zarr-python, 500 ms | 0.01 | 2.00 |",
        "| alone | 1.00 s |  |  |  |  |  |",
    ]


def test_neither_zlab_nor_the_floor_is_a_peer() -> None:
    first, alone = compare(RESULTS)
    assert first.fastest == RESULTS[3]
    assert first.thriftiest == RESULTS[1]
    assert first.floor == RESULTS[5]
    assert (alone.fastest, alone.thriftiest, alone.floor, alone.ratio) == (None,) * 4


def test_chart(tmp_path: Path) -> None:
    draw(RESULTS, tmp_path / "one.svg")
    draw(RESULTS, tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert all(name in text for name in ("tensorstore", "codec floor", "read"))
    assert not any(name in text for name in (">zarrista<", ">alone<"))


def test_json() -> None:
    written = json.loads(json.dumps(document(environment({"zlab": "1"}), RESULTS)))
    assert written["old_peers"] is True
    assert written["results"][0]["median_s"] == 0.002
    assert written["results"][1]["rounds_s"] == [2.0, 1.0, 3.0]
    assert written["results"][4]["cannot"] == "no such thing"
    assert written["environment"]["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize(
    ("version", "old"),
    [("3.1.6", True), ("3.3.9", True), ("3.4.0", False), ("3.10.0", False), ("4.0.0rc1", False)],
)
def test_old_peers_claim_nothing(version: str, old: bool) -> None:
    about = environment({"zlab": "1", "zarr": version})
    assert old_peers(about["versions"]) is old
    assert any("claim nothing" in line for line in heading(about)) is old


def test_without_zarr_python_nothing_is_claimed() -> None:
    assert old_peers({"zlab": "1"})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0000345, "34.5 µs"), (0.00123, "1.23 ms"), (0.9996, "1000 ms"), (75, "75.0 s")],
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text
