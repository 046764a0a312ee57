from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import ChunkReadError, DataTypeError, NodeNotFoundError, StoreError
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore

pl = pytest.importorskip("polars")

ENGINES: list[Any] = ["in-memory", "streaming"]
NOON = datetime(2020, 1, 3)  # noqa: DTZ001  NumPy's times have no zone


@pytest.fixture
def climate() -> tuple[zlab.Group, CountingStore]:
    """Two variables over 8 days and 6 places, in chunks of 2 days and 3 places."""
    store = CountingStore(MemoryStore())
    group = zlab.create_group(store)
    days = np.arange("2020-01-01", "2020-01-09", dtype="M8[D]").astype("M8[ns]")
    group.create_array("time", data=days, chunks=8, dimension_names=("time",))
    lat = np.array([50.0, 10.0, 30.0, -20.0, 60.0, 40.0])  # in no order
    group.create_array("lat", data=lat, chunks=6, dimension_names=("lat",))
    values = np.arange(48.0).reshape(8, 6)
    for name, factor in (("t", 1.0), ("rain", -1.0)):
        array = group.create_array(
            name, shape=(8, 6), dtype="f8", chunks=(2, 3), dimension_names=("time", "lat")
        )
        array.write(..., values * factor, write_empty_chunks=True)
    store.reset()
    return group, store


def fetched(store: CountingStore) -> list[str]:
    """Keys of the chunks that were read, each as often as it was."""
    keys = []
    for key, n in store.counts.keys.items():
        if "/c/" in key:
            keys += [key.replace("/c/", ":")] * n
    return sorted(keys)


def expected_of(group: zlab.Group) -> Any:
    """The table, made of what NumPy reads, in the order of the chunks."""
    arrays = dict(group.arrays())
    time, lat = arrays["time"][:], arrays["lat"][:]
    rows = []
    for i, j in np.ndindex(4, 2):
        for k, m in np.ndindex(2, 3):
            rows.append((i * 2 + k, j * 3 + m))
    at = np.array(rows)
    return pl.DataFrame(
        {
            "time": time[at[:, 0]],
            "lat": lat[at[:, 1]],
            "t": arrays["t"][:][at[:, 0], at[:, 1]],
            "rain": arrays["rain"][:][at[:, 0], at[:, 1]],
        }
    )


def test_table_is_all_of_it(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, _ = climate
    table = zlab.polars.scan(group)
    for engine in ENGINES:
        assert (
            table.select("time", "lat", "t", "rain")
            .collect(engine=engine)
            .equals(expected_of(group))
        )


def test_schema_and_plan_read_nothing(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, store = climate
    table = zlab.polars.scan(group)
    store.reset()
    assert table.collect_schema() == pl.Schema(
        {
            "time": pl.Datetime("ns"),
            "lat": pl.Float64,
            "rain": pl.Float64,
            "t": pl.Float64,
        }
    )
    assert "zlab" in table.filter(pl.col("t") > 3).explain() or not hasattr(pl, "Float16")
    assert fetched(store) == []


def test_columns_that_are_not_asked_for_are_not_read(
    climate: tuple[zlab.Group, CountingStore],
) -> None:
    group, store = climate
    table = zlab.polars.scan(group)
    store.reset()
    assert table.select("t").collect().height == 48
    assert fetched(store) == sorted(f"t:{i}/{j}" for i in range(4) for j in range(2))
    store.reset()
    # a coordinate alone takes no array of values
    lat = table.select(pl.col("lat").unique().sort()).collect()["lat"].to_list()
    assert lat == [-20, 10, 30, 40, 50, 60]
    assert {key.partition(":")[0] for key in fetched(store)} <= {"lat"}


@pytest.mark.parametrize("engine", ENGINES)
def test_first_rows_take_the_first_chunks(
    engine: Any, climate: tuple[zlab.Group, CountingStore]
) -> None:
    group, store = climate
    table = zlab.polars.scan(group, columns=["t"])
    for n, chunks in ((0, []), (1, ["t:0/0"]), (6, ["t:0/0"]), (7, ["t:0/0", "t:0/1"])):
        store.reset()
        found = table.head(n).collect(engine=engine)
        assert fetched(store) == chunks
        assert found.equals(expected_of(group).select("t").head(n))
    assert (
        table.slice(5, 9).collect(engine=engine).equals(expected_of(group).select("t").slice(5, 9))
    )
    assert table.tail(3).collect(engine=engine).equals(expected_of(group).select("t").tail(3))


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_are_counted_before_a_later_filter(
    engine: Any, climate: tuple[zlab.Group, CountingStore]
) -> None:
    group, store = climate
    store.reset()
    table = zlab.polars.scan(group).select("time", "lat", "t", "rain")
    found = table.head(8).filter(pl.col("t") > 2).collect(engine=engine)
    assert {key for key in fetched(store) if key.startswith("t:")} == {"t:0/0", "t:0/1"}
    assert found.equals(expected_of(group).head(8).filter(pl.col("t") > 2))
    found = table.filter(pl.col("t") > 2).head(4).collect(engine=engine)
    assert found.equals(expected_of(group).filter(pl.col("t") > 2).head(4))


@pytest.mark.parametrize(
    ("predicate", "chunks"),
    [
        (pl.col("time") == NOON, ["1/0", "1/1"]),
        (pl.col("time") < NOON, ["0/0", "0/1"]),
        # coordinates in no order
        (pl.col("lat") > 55, ["0/1", "1/1", "2/1", "3/1"]),
        ((pl.col("lat") == 50) & (pl.col("time") >= datetime(2020, 1, 8)), ["3/0"]),  # noqa: DTZ001
        ((pl.col("lat") == 30) | (pl.col("time") == NOON), ["0/0", "1/0", "1/1", "2/0", "3/0"]),
        (~(pl.col("lat") > -15), ["0/1", "1/1", "2/1", "3/1"]),
        (pl.col("lat").is_in([10.0, 30.0]) & pl.col("time").is_between(NOON, NOON), ["1/0"]),
        (pl.col("lat") > 1000, []),
        # whatever is asked of one coordinate
        (pl.col("lat").sin() > 2, []),
        ((pl.col("time").dt.day() % 4 == 0) & (pl.col("lat") < 0), ["1/1", "3/1"]),
        # nothing is known of it, so all is read
        (pl.col("t").sin() > 2, [f"{i}/{j}" for i in range(4) for j in range(2)]),
        ((pl.col("t").sin() > -2) & (pl.col("time") == NOON), ["1/0", "1/1"]),
        (pl.col("t") > pl.col("lat") + 100, [f"{i}/{j}" for i in range(4) for j in range(2)]),
    ],
)
def test_filters_on_coordinates_choose_chunks(
    predicate: Any, chunks: list[str], climate: tuple[zlab.Group, CountingStore]
) -> None:
    group, store = climate
    table = zlab.polars.scan(group)
    store.reset()
    found = table.filter(predicate).select("t", "time").collect()
    assert [key for key in fetched(store) if key.startswith("t:")] == [f"t:{c}" for c in chunks]
    assert found.equals(expected_of(group).filter(predicate).select("t", "time"))


def test_filters_on_positions_choose_chunks() -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, path="x", data=np.arange(1, 101), chunks=10)
    store.reset()
    table = zlab.polars.scan(array)
    found = table.filter(pl.col("dim_0").is_between(25, 31)).collect()
    assert found["x"].to_list() == list(range(26, 33))
    assert fetched(store) == ["x:2", "x:3"]


def test_filters_on_values_choose_chunks_by_statistics(
    climate: tuple[zlab.Group, CountingStore],
) -> None:
    group, store = climate
    table = zlab.polars.scan(group)
    hot = table.filter(pl.col("t") > 40.5).select("t", "rain")
    expected = expected_of(group).filter(pl.col("t") > 40.5).select("t", "rain")
    store.reset()
    assert hot.collect().equals(expected)
    assert len(fetched(store)) == 16
    zlab.stats.build(dict(group.arrays())["t"])
    store.reset()
    assert hot.collect().equals(expected)
    assert fetched(store) == ["rain:3/0", "rain:3/1", "t:3/0", "t:3/1"]
    # one listing, and no request for a chunk
    assert store.counts.lists == 1
    store.reset()
    both = table.filter((pl.col("t") > 40.5) & (pl.col("lat") > 55)).select("t", "lat")
    assert both.collect().rows() == [(46.0, 60.0)]
    assert [key for key in fetched(store) if key.startswith("t:")] == ["t:3/1"]


def test_what_changed_since_is_read(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, store = climate
    t = dict(group.arrays())["t"]
    zlab.stats.build(t)
    t[0, 0] = 1000.0
    store.reset()
    found = zlab.polars.scan(group).filter(pl.col("t") > 46.5).select("t").collect()
    assert sorted(found["t"].to_list()) == [47.0, 1000.0]
    assert fetched(store) == ["t:0/0", "t:3/1"]


def test_absent_chunks_are_fill() -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, path="x", shape=(40,), chunks=10, dtype="f4", fill_value=-9.0)
    array[10:20] = np.arange(10)
    table = zlab.polars.scan(array)
    assert table.filter(pl.col("x") == -9).collect().height == 30
    zlab.stats.build(array)
    store.reset()
    assert table.filter(pl.col("x") > 3).select("x").collect()["x"].to_list() == [4, 5, 6, 7, 8, 9]
    assert fetched(store) == ["x:1"]
    store.reset()
    assert table.filter(pl.col("x") == -9).collect().height == 30
    assert "x:1" not in fetched(store)
    nullable = zlab.polars.scan(array, fill_to_null=True)
    assert nullable.filter(pl.col("x").is_null()).collect().height == 30
    store.reset()
    assert nullable.filter(pl.col("x") < 100).collect().height == 10
    assert fetched(store) == ["x:1"]


def test_arrays_with_different_chunks_are_read_together() -> None:
    store = CountingStore(MemoryStore())
    group = zlab.create_group(store)
    a, b = np.arange(1, 61).reshape(10, 6), np.arange(1, 61).reshape(10, 6) * 10.0
    group.create_array("a", data=a, chunks=(2, 3), dimension_names=("y", "x"))
    group.create_array("b", data=b, chunks=(4, 6), dimension_names=("y", "x"))
    table = zlab.polars.scan(group)
    store.reset()
    found = table.collect()
    assert len(fetched(store)) == len(set(fetched(store))) == 10 + 3
    assert found.sort("y", "x")["a"].to_list() == a.ravel().tolist()
    assert found.sort("y", "x")["b"].to_list() == b.ravel().tolist()
    store.reset()
    assert table.filter(pl.col("y") == 5).sort("x").collect()["b"].to_list() == b[5].tolist()
    assert fetched(store) == ["a:2/0", "a:2/1", "a:3/0", "a:3/1", "b:1/0"]
    assert table.head(7).collect().equals(found.head(7))


@given(st.data())
def test_any_chunks_give_the_same_table(data: Any) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=3)))
    values = np.arange(int(np.prod(shape)), dtype="f8").reshape(shape)
    group = zlab.create_group({})
    sharded = data.draw(st.booleans())
    for name in ("a", "b"):
        chunks = tuple(data.draw(st.integers(1, 4)) for _ in shape)
        shards = tuple(2 * n for n in chunks) if sharded else None
        array = group.create_array(name, shape=shape, chunks=chunks, shards=shards, dtype="f8")
        array[...] = values if name == "a" else -values
    n = data.draw(st.integers(1, 100))
    limit = data.draw(st.none() | st.integers(0, 10))
    table = zlab.polars.scan(group, max_bytes=data.draw(st.sampled_from([1, 10**6])))
    whole = table.collect()
    assert sorted(whole["a"].to_list()) == values.ravel().tolist()
    assert whole["b"].equals(-whole["a"], null_equal=True) or (whole["b"] == -whole["a"]).all()
    places = np.array([whole[f"dim_{axis}"].to_numpy() for axis in range(len(shape))])
    assert (values[tuple(places)] == whole["a"].to_numpy()).all()
    predicate = (pl.col("dim_0") >= 2) & (pl.col("a") < n)
    query = table if limit is None else table.head(limit)
    assert (
        query.filter(predicate)
        .collect()
        .equals((whole if limit is None else whole.head(limit)).filter(predicate))
    )


def test_long_tables_are_made_a_batch_at_a_time() -> None:
    array = zlab.create_array({}, path="v", shape=(1000, 1000), chunks=(1000, 1000), dtype="u1")
    from zlab.polars.scan import _Source
    from zlab.polars.sources import Sources

    sources = Sources.of({"v": array}, coords=None, columns=None, fill_to_null=False)
    heights = [frame.height for frame in _Source(sources, None, None)(None, None, None, 4096)]
    assert sum(heights) == 10**6
    assert max(heights) <= 2 * 4096


def test_collects_at_once(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, _ = climate
    table = zlab.polars.scan(group).filter(pl.col("t") > 10).select(pl.col("t").sum())
    sums: list[float] = []
    threads = [
        threading.Thread(target=lambda: sums.append(table.collect().item())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [float(sum(range(11, 48)))] * 8
    assert pl.collect_all([table, table])[1].item() == sums[0]


def test_joins_and_sql(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, store = climate
    names = pl.LazyFrame({"lat": [50.0, 60.0], "name": ["Mainz", "Oslo"]})
    table = zlab.polars.scan(group)
    joined = table.join(names, on="lat").group_by("name").agg(pl.col("t").max()).sort("name")
    assert joined.collect(engine="streaming").rows() == [("Mainz", 42.0), ("Oslo", 46.0)]
    store.reset()
    with pl.SQLContext(climate=table) as sql:
        found = sql.execute(
            "SELECT lat, MAX(t) AS t FROM climate WHERE time < '2020-01-03' GROUP BY lat"
            " ORDER BY lat",
            eager=True,
        )
    assert found["t"].to_list() == [9.0, 7.0, 8.0, 11.0, 6.0, 10.0]


def test_coordinates_by_name_may_be_arrays_of_either_kind() -> None:
    array = zlab.create_array(
        {}, path="v", data=np.arange(6).reshape(2, 3), dimension_names=("y", "x")
    )
    x = zlab.create_array({}, data=np.array([5, 6, 7]))
    table = zlab.polars.scan(array, coords={"y": np.array(["a", "b"]), "x": x})
    assert table.filter((pl.col("y") == "b") & (pl.col("x") > 5)).collect().rows() == [
        ("b", 6, 4),
        ("b", 7, 5),
    ]


def test_a_collect_sees_the_array_as_it_is() -> None:
    group = zlab.create_group({})
    array = group.create_array("x", data=np.arange(4), chunks=2)
    table = zlab.polars.scan(group)
    array.append(np.array([9, 9]))
    assert table.collect()["x"].to_list() == [0, 1, 2, 3, 9, 9]
    group.create_array("x", data=np.array(["a"]), overwrite=True)
    with pytest.raises((DataTypeError, pl.exceptions.ComputeError), match="replaced"):
        table.collect()


def test_refusals_come_before_any_read() -> None:
    store = CountingStore(MemoryStore())
    group = zlab.create_group(store)
    group.create_array("a", data=np.arange(4))
    group.create_array("b", data=np.arange(5))
    times = group.create_array("ps", data=np.zeros(4, "M8[ps]"))
    store.reset()
    with pytest.raises(ValueError, match="shapes"):
        zlab.polars.scan(group)
    with pytest.raises(TypeError, match=r"zlab\.Array"):
        zlab.polars.scan(np.arange(3))  # type: ignore[arg-type]
    with pytest.raises(DataTypeError, match="ps"):
        zlab.polars.scan(times)
    with pytest.raises(ValueError, match="no column 'c'"):
        zlab.polars.scan(dict(group.arrays()), columns=["a", "c"])
    with pytest.raises(ValueError, match="max_bytes"):
        zlab.polars.scan({"a": dict(group.arrays())["a"]}, max_bytes=0)
    assert fetched(store) == []


def test_broken_chunks_are_errors() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, path="x", data=np.arange(1, 9), chunks=4)
    store.put("x/c/1", b"nonsense")
    with pytest.raises((ChunkReadError, pl.exceptions.ComputeError), match="cannot read a chunk"):
        zlab.polars.scan(array).collect()
    # a filter that leaves the chunk out never meets it
    assert zlab.polars.scan(array).filter(pl.col("dim_0") < 4).collect().height == 4


def test_deleted_arrays_are_errors() -> None:
    group = zlab.create_group({})
    table = zlab.polars.scan(group.create_array("x", data=np.arange(4)))
    del group["x"]
    with pytest.raises((NodeNotFoundError, pl.exceptions.ComputeError), match="no longer there"):
        table.collect()


def test_a_grid_of_10_to_the_12_is_not_walked() -> None:
    array = zlab.create_array({}, path="x", shape=(10**12,), chunks=1, dtype="i1")
    table = zlab.polars.scan(array)
    assert table.head(3).collect()["x"].to_list() == [0, 0, 0]


@pytest.mark.parametrize("chunks", [1, 7, 1000])
def test_positions_choose_among_10_to_the_12(chunks: int) -> None:
    shape = (10**12, 3)
    array = zlab.create_array({}, path="x", shape=shape, chunks=(chunks, 2), dtype="i1")
    last = 10**12 - 1
    array[last, 1] = 5
    table = zlab.polars.scan(array)
    first, second = pl.col("dim_0"), pl.col("dim_1")
    far = (first >= last) | (first == 8)
    assert table.filter(far).collect().rows() == [
        *[(8, n, 0) for n in range(3)],
        *[(last, n, 5 * (n == 1)) for n in range(3)],
    ]
    assert table.filter(far & (second == 1) & (pl.col("x") > 4)).collect().rows() == [(last, 1, 5)]
    assert table.filter(first < 0).collect().height == 0


def test_statistics_that_cannot_be_used_are_told_of_and_all_is_read() -> None:
    class Unlisted(MemoryStore):
        lists = True

        def list(self, prefix: str = "") -> Any:
            if not self.lists:
                raise StoreError("the objects cannot be listed", store=self.name)
            return super().list(prefix)

    store = Unlisted()
    array = zlab.create_array(store, path="x", data=np.arange(6), chunks=2)
    zlab.stats.build(array)
    high = zlab.polars.scan(array).filter(pl.col("x") > 3)
    store.lists = False
    with pytest.warns(RuntimeWarning, match="statistics of 'x' cannot be used.*cannot be listed"):
        assert high.collect()["x"].to_list() == [4, 5]
    store.lists = True
    store.put("x/" + zlab.stats.KEY, b"")
    with pytest.warns(RuntimeWarning, match="cannot be understood"):
        assert high.collect()["x"].to_list() == [4, 5]


MEMORY = """
import resource, sys
import numpy as np, polars as pl, zlab
array = zlab.open(sys.argv[1])
zlab.settings.memory_budget = 16 << 20
table = zlab.polars.scan({"v": array})
query = table.group_by(pl.col("y") % 4).agg(pl.col("v").sum(), pl.len())
small = table.head(1000).group_by(pl.col("y") % 4).agg(pl.col("v").sum(), pl.len())
small.collect(engine="streaming")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = query.collect(engine="streaming")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(found["len"].sum(), after - before)
"""


def test_memory_is_bounded(tmp_path: Any) -> None:
    """The long table of this array takes 600 MB: 24 million rows of three columns."""
    array = zlab.create_array(
        tmp_path / "a.zarr",
        shape=(6000, 4000),
        chunks=(500, 1000),
        dtype="f8",
        dimension_names=("y", "x"),
    )
    array[:] = 1.0
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "a.zarr")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "POLARS_MAX_THREADS": "2"},
    )
    rows, grown_kb = map(int, result.stdout.split())
    assert rows == 24_000_000
    assert grown_kb < 200_000


def test_arrays_without_axes_are_one_row() -> None:
    array = zlab.create_array({}, path="x", data=np.array(7.5))
    table = zlab.polars.scan(array)
    assert table.collect().rows() == [(7.5,)]
    zlab.stats.build(array)
    assert table.filter(pl.col("x") > 8).collect().height == 0
    assert table.filter(pl.col("x") > 7).collect().height == 1


def test_lists_of_many_members_are_bounded_by_their_ends() -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, path="x", data=np.arange(1, 1001), chunks=100)
    zlab.stats.build(array)
    store.reset()
    members = list(range(350, 450))
    found = zlab.polars.scan(array).filter(pl.col("x").is_in(members)).collect()
    assert found["x"].to_list() == members
    assert fetched(store) == ["x:3", "x:4"]
