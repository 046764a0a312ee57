"""The benchmark measures what it says: each contender of each row reads and writes right values."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import zlab
from benchmarks.chart import COLOURS, draw
from benchmarks.compare import compare
from benchmarks.datasets import Dataset, datasets
from benchmarks.measure import Result, measure
from benchmarks.operations import OPERATIONS
from benchmarks.peers import SOURCES, CannotDoError, Setting, available, load
from benchmarks.report import Report, dump, load_reports, merge, page
from benchmarks.rows import FLOOR, FLOORS, GROUPS, ROWS, Contender, Row
from benchmarks.table import document, environment, heading, lines, old_peers, seconds, summary
from benchmarks.weather import QUERIES, Weather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.peers import Shuffle

SIDE = 32


def _at_once(setting: Setting) -> Setting:
    """The same without most of the waiting."""
    return replace(setting, step_s=0.0, latency_s=setting.latency_s and 0.001)


PEERS = available()
CASES = {
    (contender.peer, contender.operation, row.dataset, _at_once(row.setting))
    for row in ROWS
    for contender in row.contenders
    if contender.peer in PEERS
}


TRAINING_OPERATIONS = {
    contender.operation
    for row in GROUPS["training"]
    for contender in row.contenders
    if contender.operation != "read_samples"
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


def _has_what_it_takes(operation: str) -> bool:
    """Whether the library is here into which zlab reads."""
    into = {"query": "polars", "query_by_statistics": "polars"}
    into |= dict.fromkeys(TRAINING_OPERATIONS, "jax")
    return operation not in into or find_spec(into[operation]) is not None


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
        if peer == "zlab" and _has_what_it_takes(operation):
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


@pytest.mark.needs("polars")
def test_a_wrong_answer_is_noticed(tmp_path: Path) -> None:
    weather = Weather("weather", 16)
    place = weather.write(tmp_path)
    t = zlab.open_array(place / "t", mode="r+")
    t[0, 15, 0] = 300.0  # 90 degrees north: not asked for
    task = OPERATIONS["query"](load("zlab"), weather, place, Setting(query="north"))
    task.run()
    t[0, 12, 0] = 300.0  # 54 degrees north
    with pytest.raises(AssertionError):
        task.run()


def _change(samples: NDArray[Any]) -> NDArray[Any]:
    samples[3, 5] += 1
    return samples


def _drop(samples: NDArray[Any]) -> NDArray[Any]:
    return samples[1:]


def _repeat(samples: NDArray[Any]) -> NDArray[Any]:
    samples[0] = samples[1]
    return samples


def _reverse(samples: NDArray[Any]) -> NDArray[Any]:
    return samples[::-1]


def _keep(samples: NDArray[Any]) -> NDArray[Any]:
    return samples


@pytest.mark.needs("jax")
@pytest.mark.parametrize(
    ("shuffle", "spoil"),
    [
        *product(["none", "window", "global"], [_change, _drop, _repeat]),
        ("none", _reverse),
        # an order that is no other than the array's
        ("window", _keep),
        ("global", _keep),
    ],
)
def test_a_wrong_epoch_is_noticed(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    shuffle: Shuffle,
    spoil: Callable[[NDArray[Any]], NDArray[Any]],
) -> None:
    dataset = datasets(SIDE)["samples/x"]
    assert isinstance(dataset, Dataset)
    place, library = dataset.write(root), load("zlab")
    samples = spoil(np.array(dataset.expected(place)))
    monkeypatch.setattr(library, "batches", lambda *_: lambda: iter([samples[:64], samples[64:]]))
    with pytest.raises(AssertionError):
        OPERATIONS["train"](library, dataset, place, Setting(shuffle=shuffle))


@pytest.mark.needs("jax")
@pytest.mark.parametrize("peer", sorted(PEERS & {"zlab", "zarr-python", "xbatcher"}))
def test_patches_are_those_of_the_loop(root: Path, peer: str) -> None:
    dataset = datasets(128)["patches/x"]
    assert isinstance(dataset, Dataset)
    assert dataset.shape == (12, 64, 128)
    place = dataset.write(root / "128")
    values = dataset.expected(place)
    batches = list(map(np.asarray, load(peer).patches(dataset, place, Setting())()))
    # 10 in time, 2 by 6 in space
    assert [batch.shape for batch in batches] == [(4, 3, 48, 48)] * 30
    np.testing.assert_array_equal(batches[0][1], values[:3, :48, 16:64])
    np.testing.assert_array_equal(batches[-1][-1], values[9:, 16:, 80:])


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
    assert {contender.peer for row in ROWS for contender in row.contenders} == set(SOURCES)
    assert {row.setting.query for row in ROWS} == {"", *QUERIES}
    assert {source for source in SOURCES if source != "zlab"} <= set(COLOURS)
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
    results = measure(row, place, peers, rounds=2, seconds=0.6, side=SIDE)
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
    Result(
        "read",
        "zlab",
        [0.002, 0.001, 0.003],
        [0.004],
        17_000_000,
        20_000_000,
        read_nbytes=1_250_000,
        unit="samples",
    ),
    Result("read", "zarr-python", [2.0, 1.0, 3.0], [0.5]),
    Result("read", "zarr-python on zlab", [0.0001], [0.0001]),
    Result("read", "tensorstore", [0.004], [0.6]),
    Result("read", "zarrista", cannot="no such thing"),
    Result("read", "codec floor", [0.001], [0.001]),
    Result("alone", "zlab", [1.0], [1.0]),
]


def test_table() -> None:
    assert list(lines(RESULTS))[2:] == [
        (
            "| read | zlab | 2.00 ms, 500 samples/s | 1.00 ms to 3.00 ms | 1.00 | 4.00 ms | 1.00 "
            "| 17 of 20 MB | 1.2 MB |"
        ),
        "|  | zarr-python | 2.00 s | 1.00 s to 3.00 s | 1000.00 | 500 ms | 125.00 |  |  |",
        "|  | zarr-python on zlab | 100 µs | 100 µs to 100 µs | 0.05 | 100 µs | 0.03 |  |  |",
        "|  | tensorstore | 4.00 ms | 4.00 ms to 4.00 ms | 2.00 | 600 ms | 150.00 |  |  |",
        "|  | zarrista | no such thing | | | | | | |",
        "|  | codec floor | 1.00 ms | 1.00 ms to 1.00 ms | 0.50 | 1.00 ms | 0.25 |  |  |",
        "| alone | zlab | 1.00 s | 1.00 s to 1.00 s | 1.00 | 1.00 s | 1.00 |  |  |",
    ]


def test_a_row_that_zlab_cannot_do() -> None:
    results = [Result("row", "zlab", cannot="no JAX"), Result("row", "grain", [1.0], [1.0])]
    assert list(compare(results)) == []
    assert list(lines(results))[2:] == [
        "| row | zlab | no JAX | | | | | | |",
        "|  | grain | 1.00 s | 1.00 s to 1.00 s |  | 1.00 s |  |  |  |",
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


@pytest.mark.parametrize("floor", FLOORS)
def test_each_floor_is_one(floor: str) -> None:
    (found,) = compare([Result("row", "zlab", [2.0], [1.0]), Result("row", floor, [1.0], [1.0])])
    assert found.floor_ratio == 2.0
    assert found.fastest is None


def test_a_group_is_published_without_the_others(tmp_path: Path) -> None:
    about = environment({"zlab": "1", "zarr": "3.4.2"})
    later = about | {"load": 7.5}
    rest = [Result("sum", "zlab", [1.0], [1.0])]
    path = tmp_path / "results.json"
    assert load_reports(path) == {}
    path.write_text(dump({"streams": Report(about, rest), "arrays": Report(about, RESULTS)}))
    old = load_reports(path)
    assert old == {"streams": Report(about, rest), "arrays": Report(about, RESULTS)}
    anew = [Result("scan", "zlab", [2.0], [2.0]), Result("scan", "grain", cannot="no tables")]
    both = merge(old, {"frames": Report(later, anew), "streams": Report(later, anew)})
    assert list(both) == ["arrays", "streams", "frames"]
    assert both["arrays"] == Report(about, RESULTS)
    assert both["streams"] == both["frames"] == Report(later, anew)
    text = page(both)
    # the machine once for those that were measured together
    assert [text.count(f"load {load} at the start") for load in (about["load"], 7.5)] == [1, 1]
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["### Arrays", "### Streams", "### Tables"]


def test_what_is_published_is_what_was_measured() -> None:
    from benchmarks.__main__ import PUBLISHED

    reports = load_reports(PUBLISHED["json"])
    assert PUBLISHED["markdown"].read_text(encoding="utf-8") == page(reports)
    assert PUBLISHED["json"].read_text(encoding="utf-8") == dump(reports)
    published = {result.row for report in reports.values() for result in report.results}
    assert published <= {row.title for row in ROWS}


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
