"""The benchmark measures what it says: each contender of each row reads and writes right values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from benchmarks.datasets import datasets
from benchmarks.measure import Result, measure
from benchmarks.operations import OPERATIONS
from benchmarks.peers import load, versions
from benchmarks.rows import ROWS
from benchmarks.table import document, environment, heading, lines, old_peers, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIDE = 64
PEERS = versions()
CASES = {
    (contender.peer, contender.operation, row.dataset)
    for row in ROWS
    for contender in row.contenders
    if contender.peer in PEERS
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture
def quiet_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ends the listening that an operation begins: a worker ends with it, this process goes on."""
    subscriptions = []
    subscribe = zlab.telemetry.subscribe

    def remember(*arguments: Any) -> Any:
        subscriptions.append(subscribe(*arguments))
        return subscriptions[-1]

    monkeypatch.setattr(zlab.telemetry, "subscribe", remember)
    yield
    zlab.telemetry.disable()
    for subscription in subscriptions:
        subscription.close()


@pytest.mark.usefixtures("quiet_afterwards")
@pytest.mark.parametrize(("peer", "operation", "name"), sorted(CASES))
def test_every_operation_does_its_work(root: Path, peer: str, operation: str, name: str) -> None:
    dataset = datasets(SIDE)[name]
    task = OPERATIONS[operation](load(peer), dataset, dataset.write(root))
    cost = task.run()
    assert cost.wall_s > 0
    assert cost.cpu_s >= 0
    assert task.times == (dataset.nchunks if operation == "read_chunks" else 1)


def test_a_wrong_value_is_noticed(tmp_path: Path) -> None:
    dataset = datasets(SIDE)["raw"]
    place = dataset.write(tmp_path)
    chunk = place / "c" / "0" / "0" / "0"
    chunk.write_bytes(bytes([1]) + chunk.read_bytes()[1:])
    for operation in ("read_all", "read_chunks", "stream"):
        with pytest.raises(AssertionError):
            OPERATIONS[operation](load("zlab"), dataset, place)


def test_values_shrink_as_measurements_do(root: Path) -> None:
    dataset = datasets(128)["zstd"]
    stored = sum(path.stat().st_size for path in dataset.write(root / "128").rglob("c/**/*"))
    assert 1.3 < dataset.nbytes / stored < 2.5


def test_rows_name_what_there_is() -> None:
    assert {row.dataset for row in ROWS} <= datasets(SIDE).keys()
    assert {contender.operation for row in ROWS for contender in row.contenders} == set(OPERATIONS)
    assert len({row.title for row in ROWS}) == len(ROWS)
    assert all(row.contenders[0].peer == "zlab" for row in ROWS)


def test_contenders_take_turns_in_processes_of_their_own(tmp_path: Path) -> None:
    (row,) = (row for row in ROWS if row.title == "open an array")
    place = datasets(SIDE)[row.dataset].write(tmp_path)
    results = measure(row, place, ["zlab"], rounds=2, repeats=1, side=SIDE)
    assert [(result.row, result.contender) for result in results] == [(row.title, "zlab")]
    assert len(results[0].rounds_s) == 2
    assert results[0].ratio == 1


def test_a_contender_that_fails_ends_the_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match="zlab ended early"):
        measure(ROWS[0], tmp_path / "nowhere", ["zlab"], rounds=1, repeats=1, side=SIDE)
    assert "there is no such directory" in capfd.readouterr().err


RESULTS = [
    Result("read", "zlab", [0.002, 0.001, 0.003], cpu_s=0.004, ratio=1.0, held_nbytes=17_000_000),
    Result("read", "zarr", [2.0, 1.0, 3.0], cpu_s=0.5, ratio=1000.0, held_nbytes=None),
]


def test_table() -> None:
    assert list(lines(RESULTS))[2:] == [
        "| read | zlab | 2.00 ms | 1.00 ms to 3.00 ms | 1.00 | 4.00 ms | 17 MB |",
        "|  | zarr | 2.00 s | 1.00 s to 3.00 s | 1000.00 | 500 ms |  |",
    ]


def test_json() -> None:
    written = json.loads(json.dumps(document(environment({"zlab": "1"}), RESULTS)))
    assert written["old_peers"] is True
    assert written["results"][0]["median_s"] == 0.002
    assert written["results"][1]["rounds_s"] == [2.0, 1.0, 3.0]
    assert written["environment"]["numpy"] == np.__version__


@pytest.mark.parametrize(
    ("version", "old"),
    [("3.1.6", True), ("3.3.9", True), ("3.4.0", False), ("3.10.0", False), ("4.0.0rc1", False)],
)
def test_old_peers_claim_nothing(version: str, old: bool) -> None:
    about = environment({"zlab": "1", "zarr": version})
    assert old_peers(about["peers"]) is old
    assert any("claim nothing" in line for line in heading(about)) is old


def test_without_zarr_python_nothing_is_claimed() -> None:
    assert old_peers({"zlab": "1"})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0000345, "34.5 µs"), (0.00123, "1.23 ms"), (0.9996, "1000 ms"), (75, "75.0 s")],
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text
