from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import ChunkReadError, DataTypeError, MemoryBudgetError
from zlab.stores.memory import MemoryStore
from zlab.stream.budget import process_held
from zlab.telemetry import capture
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pl = pytest.importorskip("polars")
testing = pytest.importorskip("polars.testing")

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  NumPy's times have no zone
NEW_YEAR = datetime(2020, 1, 1)  # noqa: DTZ001


def table(frames: Iterable[Any]) -> Any:
    return pl.concat(list(frames))


@pytest.fixture
def climate() -> tuple[zlab.Group, CountingStore]:
    """Two variables over time and place, with their coordinates."""
    store = CountingStore(MemoryStore())
    group = zlab.create_group(store)
    dims = ("time", "place")
    group.create_array(
        "time",
        data=np.arange("2020-01-01", "2020-01-08", dtype="M8[D]"),
        chunks=4,
        dimension_names=("time",),
    )
    group.create_array(
        "place", data=np.array(["Bern", "Oslo", "Rome"]), chunks=2, dimension_names=("place",)
    )
    values = np.arange(21).reshape(7, 3)
    t = group.create_array("t", shape=(7, 3), dtype="f4", chunks=(4, 2), dimension_names=dims)
    t[...] = values + 0.5
    n = group.create_array("n", shape=(7, 3), dtype="i8", chunks=(4, 2), dimension_names=dims)
    n.write(..., values, write_empty_chunks=True)
    store.reset()
    return group, store


def chunk_gets(store: CountingStore) -> set[str]:
    return {key for key in store.counts.keys if "/c/" in key or key.startswith("c/")}


@given(st.data())
def test_the_frames_are_the_array(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(0, 3))
    shape = tuple(data.draw(st.integers(0, 7)) for _ in range(ndim))
    chunks = tuple(data.draw(st.integers(1, 4)) for _ in range(ndim))
    shards = None
    if data.draw(st.booleans()):
        shards = tuple(c * data.draw(st.integers(1, 3)) for c in chunks)
    values = np.arange(int(np.prod(shape))).reshape(shape)
    array = zlab.create_array(
        "memory://", shape=shape, chunks=chunks, shards=shards, dtype="int32", fill_value=-1
    )
    array.write(..., values, write_empty_chunks=True)
    bounds = [sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n)))) for n in shape]
    region = tuple(slice(*pair) for pair in bounds)
    frames = zlab.polars.frames({"value": array}, region=region)
    got = sorted(row for frame in frames for row in frame.rows())
    start = [pair[0] for pair in bounds]
    inside = values[region]
    assert got == sorted(
        (*(i + s for i, s in zip(index, start, strict=True)), inside[index])
        for index in np.ndindex(*inside.shape)
    )


def test_one_frame_a_chunk_with_the_coordinates_of_a_group(
    climate: tuple[zlab.Group, CountingStore],
) -> None:
    group, _ = climate
    frames = zlab.polars.frames(group)
    assert [frame.height for frame in frames] == [8, 4, 6, 3]
    first, *_ = frames
    expected = pl.DataFrame(
        {
            "time": [date(2020, 1, 1 + day) for day in (0, 0, 1, 1, 2, 2, 3, 3)],
            "place": ["Bern", "Oslo"] * 4,
            "n": pl.Series([0, 1, 3, 4, 6, 7, 9, 10], dtype=pl.Int64),
            "t": pl.Series([0.5, 1.5, 3.5, 4.5, 6.5, 7.5, 9.5, 10.5], dtype=pl.Float32),
        }
    )
    testing.assert_frame_equal(first, expected)
    assert frames.schema == first.schema


def test_columns_choose_what_is_read_and_its_order(
    climate: tuple[zlab.Group, CountingStore],
) -> None:
    group, store = climate
    whole = table(zlab.polars.frames(group, columns=["t", "place"]))
    assert whole.columns == ["t", "place"]
    assert whole["t"].sort().to_list() == [n + 0.5 for n in range(21)]
    assert {key.split("/")[0] for key in chunk_gets(store)} == {"t", "place"}


def test_a_region_crops_rows_and_coordinates(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, _ = climate
    rows = table(
        zlab.polars.frames(group, columns=["place", "n"], region=(slice(3, 5), slice(1, 3)))
    ).rows()
    assert rows == [("Oslo", 10), ("Rome", 11), ("Oslo", 13), ("Rome", 14)]


def test_dimensions_without_names_are_numbered() -> None:
    array = zlab.create_array("memory://", data=np.array([[5, 6]], "i2"))
    (frame,) = zlab.polars.frames(array)
    assert frame.rows(named=True) == [
        {"dim_0": 0, "dim_1": 0, "value": 5},
        {"dim_0": 0, "dim_1": 1, "value": 6},
    ]


def test_an_array_of_a_group_goes_by_its_name(climate: tuple[zlab.Group, CountingStore]) -> None:
    frame, *_ = zlab.polars.frames(climate[0].array("t"))
    assert frame.columns == ["time", "place", "t"]
    assert frame["time"].to_list()[:3] == [0, 0, 1]


def test_coordinates_may_be_given(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, _ = climate
    frames = zlab.polars.frames(
        {"value": group.array("n")},
        coords={"time": group.array("time"), "place": np.array([1.5, 2.5, 3.5])},
    )
    assert dict(frames.schema) == {"time": pl.Date, "place": pl.Float64, "value": pl.Int64}
    assert table(frames).row(-1) == (date(2020, 1, 7), 3.5, 20)


def test_columns_of_one_axis_stand_beside_each_other() -> None:
    group = zlab.create_group("memory://")
    for name, dtype in {"price": "f8", "volume": "i4"}.items():
        group.create_array(name, data=np.arange(10).astype(dtype), chunks=4)
    assert [frame.height for frame in zlab.polars.frames(group)] == [4, 4, 2]
    assert table(zlab.polars.frames(group)).columns == ["dim_0", "price", "volume"]


# -- types


def pointer(series: Any) -> int:
    return int(series.to_numpy(allow_copy=False).ctypes.data)


@pytest.mark.parametrize(
    "dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
)
def test_numbers_are_not_copied(dtype: str) -> None:
    array = zlab.create_array("memory://", data=np.arange(64).astype(dtype).reshape(8, 8), chunks=8)
    (chunk,) = zlab.polars.frames({"v": array}).streams["v"]
    column = zlab.polars.columns.column("v", chunk.data.reshape(-1))
    assert pointer(column) == chunk.data.ctypes.data
    (frame,) = zlab.polars.frames({"v": array})
    assert pointer(frame["v"]) % 64 == 0
    assert frame["v"].to_list() == list(range(64))


@pytest.mark.parametrize(
    ("dtype", "values", "expected", "type_"),
    [
        ("bool", [True, False], [True, False], pl.Boolean),
        ("string", ["", "Zürich"], ["", "Zürich"], pl.String),
        ("U4", ["a", "é"], ["a", "é"], pl.String),
        ("bytes", [b"\0\1", b"x\0"], [b"\0\1", b"x\0"], pl.Binary),
        ("S3", [b"ab", b"c"], [b"ab", b"c"], pl.Binary),
        ("M8[ns]", [1, 2], [EPOCH, EPOCH], pl.Datetime("ns")),
        (
            "M8[us]",
            [1, 2],
            [EPOCH + timedelta(microseconds=n) for n in (1, 2)],
            pl.Datetime("us"),
        ),
        ("M8[ms]", [1000], [EPOCH + timedelta(seconds=1)], pl.Datetime("ms")),
        ("M8[s]", [61], [EPOCH + timedelta(seconds=61)], pl.Datetime("ms")),
        ("M8[h]", [25], [EPOCH + timedelta(hours=25)], pl.Datetime("ms")),
        ("M8[D]", [1, -1], [date(1970, 1, 2), date(1969, 12, 31)], pl.Date),
        ("M8[M]", [1], [date(1970, 2, 1)], pl.Date),
        ("m8[us]", [5], [timedelta(microseconds=5)], pl.Duration("us")),
        ("m8[s]", [5], [timedelta(seconds=5)], pl.Duration("ms")),
        ("m8[D]", [5], [timedelta(days=5)], pl.Duration("ms")),
    ],
)
def test_values_keep_their_type(
    dtype: str, values: list[Any], expected: list[Any], type_: Any
) -> None:
    array = zlab.create_array("memory://", shape=len(values), dtype=dtype)
    array.write(..., np.array(values, array.dtype), write_empty_chunks=True)
    frames = zlab.polars.frames(array, columns=["value"])
    (frame,) = frames
    assert frame["value"].to_list() == expected
    assert frame.schema == frames.schema == {"value": type_}


def test_no_time_is_null() -> None:
    array = zlab.create_array("memory://", data=np.array(["NaT", "2020-01-01"], "M8[s]"))
    (frame,) = zlab.polars.frames(array)
    assert frame["value"].to_list() == [None, NEW_YEAR]


def test_times_that_do_not_fit_are_an_error_and_no_other_time() -> None:
    array = zlab.create_array("memory://", data=np.array([2**62], "M8[s]"))
    with pytest.raises(DataTypeError, match="column 'value' holds times"):
        list(zlab.polars.frames(array))


@pytest.mark.parametrize(
    "dtype", ["M8[ps]", "m8[as]", "m8", [("a", "i4"), ("b", [("c", "M8[fs]")])]]
)
def test_what_polars_has_no_type_for_is_refused_before_any_read(dtype: Any) -> None:
    store = CountingStore(MemoryStore())
    array = zlab.create_array(store, path="odd", shape=4, dtype=dtype)
    array.write(..., np.zeros(4, array.dtype), write_empty_chunks=True)
    store.reset()
    with pytest.raises(DataTypeError, match="for which there is no Polars column"):
        zlab.polars.frames(array)
    assert chunk_gets(store) == set()


# -- missing chunks


def test_missing_chunks_make_frames_when_asked_for() -> None:
    array = zlab.create_array("memory://", shape=6, chunks=2, dtype="i1", fill_value=9)
    array[2:4] = 1
    assert table(zlab.polars.frames(array)).rows() == [(2, 1), (3, 1)]
    rows = table(zlab.polars.frames(array, include_missing=True)).rows()
    assert rows == [(0, 9), (1, 9), (2, 1), (3, 1), (4, 9), (5, 9)]


@pytest.mark.parametrize("shards", [None, 4])
def test_a_chunk_that_only_one_array_has_is_filled_in_the_other(shards: int | None) -> None:
    group = zlab.create_group("memory://")
    a = group.create_array("a", shape=8, chunks=2, shards=shards, dtype="i1", fill_value=7)
    b = group.create_array("b", shape=8, chunks=2, shards=shards, dtype="string", fill_value="-")
    a[0:2] = 1
    b[0:2] = "x"
    a[2:4] = 2
    b[6:8] = "y"
    assert table(zlab.polars.frames(group)).rows() == [
        (0, 1, "x"),
        (1, 1, "x"),
        (2, 2, "-"),
        (3, 2, "-"),
        (6, 7, "y"),
        (7, 7, "y"),
    ]


# -- what does not fit


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"shape": (4, 5), "chunks": (2, 2)}, r"shapes \(4, 4\) and \(4, 5\)"),
        ({"shape": (4, 4), "chunks": (2, 4)}, r"different shapes, \(2, 2\) and \(2, 4\)"),
        (
            {"shape": (4, 4), "chunks": (2, 2), "dimension_names": ("y", "z")},
            r"dimensions \('dim_0', 'dim_1'\) and \('y', 'z'\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_an_error_that_names_both(
    other: dict[str, Any], what: str
) -> None:
    group = zlab.create_group("memory://")
    group.create_array("one", shape=(4, 4), chunks=(2, 2), dtype="i1")
    group.create_array("two", dtype="i1", **other)
    with pytest.raises(ValueError, match=f"'one' and 'two' do not fit together: .*{what}"):
        zlab.polars.frames(group)
    assert zlab.polars.frames(group, columns=["one"]).columns == ("one",)


def test_any_name_is_the_name_of_a_column() -> None:
    array = zlab.create_array({}, data=[1, 2], dimension_names=["x"])
    for name in ("", "é b", "column_1"):
        table = zlab.polars.frames({name: array})
        (frame,) = table
        assert frame.schema == table.schema
        assert frame.rows() == zlab.polars.scan({name: array}).collect().rows() == [(0, 1), (1, 2)]


def test_axes_of_one_name_are_left_out() -> None:
    covariance = zlab.create_array({}, data=[[1, 2], [2, 4]], dimension_names=["x", "x"])
    with pytest.raises(ValueError, match=r"two columns would be called 'x'.*columns="):
        zlab.polars.frames({"c": covariance})
    (frame,) = zlab.polars.frames({"c": covariance}, columns="c")
    assert frame["c"].to_list() == [1, 2, 2, 4]
    table = zlab.polars.scan({"c": covariance}, columns="c")
    assert table.filter(pl.col("c") > 1).collect()["c"].to_list() == [2, 2, 4]


def test_arguments_are_checked(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, _ = climate
    with pytest.raises(ValueError, match="no column 'q'; there are time, place, n"):
        zlab.polars.frames(group, columns=["q", "n"])
    with pytest.raises(ValueError, match="no column of values; there are n, t"):
        zlab.polars.frames(group, columns=["time"])
    with pytest.raises(ValueError, match="no dimension 'x'; the dimensions are time, place"):
        zlab.polars.frames(group, coords={"x": np.arange(3)})
    with pytest.raises(ValueError, match=r"coordinates of 'time' have shape \(3,\), not \(7,\)"):
        zlab.polars.frames(group, coords={"time": np.arange(3)})
    with pytest.raises(ValueError, match="two columns would be called 'time'"):
        zlab.polars.frames({"time": group.array("n")})
    with pytest.raises(ValueError, match="no column of values; there are no arrays"):
        zlab.polars.frames(zlab.create_group("memory://"))
    with pytest.raises(DataTypeError, match=r"coordinate 'time' is timedelta64\[ps\]"):
        zlab.polars.frames(group, coords={"time": np.zeros(7, "m8[ps]")})


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (np.arange(3), "arrays must be a zlab.Array, a zlab.Group or a mapping .* not ndarray"),
        (None, "arrays must be .* not NoneType"),
        ("x", "arrays must be .* not str"),
        ([1, 2], "arrays must be .* not list"),
        ({"a": np.arange(3)}, r"arrays\['a'\] must be a zlab.Array, not ndarray"),
        ({1: np.arange(3)}, "the name 1 in arrays must be .* a str, not int"),
    ],
)
def test_only_arrays_in_stores_are_taken(arrays: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        zlab.polars.frames(arrays)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"columns": ["n", "n"]}, ValueError, "columns names 'n' twice"),
        ({"columns": 5}, TypeError, "columns must be a sequence of names, not int"),
        ({"columns": ["n", 5]}, TypeError, r"columns\[1\] must be the name of a column, not int"),
        ({"coords": 5}, TypeError, "coords must be a mapping .* by dimension name, not int"),
        ({"include_missing": "no"}, TypeError, "include_missing must be True or False, not 'no'"),
        ({"concurrency": 2.5}, TypeError, "concurrency must be a whole number, not 2.5"),
        ({"max_bytes": "1"}, TypeError, "max_bytes must be a whole number, not '1'"),
    ],
)
def test_the_argument_that_is_wrong_is_named(
    climate: tuple[zlab.Group, CountingStore],
    arguments: dict[str, Any],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        zlab.polars.frames(climate[0], **arguments)


def test_one_column_is_named_by_itself(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, _ = climate
    assert zlab.polars.frames(group, columns="n").columns == ("n",)


def test_coordinates_beyond_the_budget_are_refused(
    climate: tuple[zlab.Group, CountingStore],
) -> None:
    group, _ = climate
    with pytest.raises(MemoryBudgetError, match="the coordinates need 104 bytes"):
        zlab.polars.frames(group, max_bytes=100)
    assert table(zlab.polars.frames(group, columns=["n"], max_bytes=100)).height == 21


# -- a stream


def test_nothing_is_read_before_the_first_frame_is_asked_for(
    climate: tuple[zlab.Group, CountingStore],
) -> None:
    group, store = climate
    frames = zlab.polars.frames(group)
    assert repr(frames) == (
        "<Frames [time: Date, place: String, n: Int64, t: Float32], at most 4, one a chunk>"
    )
    iterator = iter(frames)
    assert chunk_gets(store) == set()
    next(iterator)
    iterator.close()


def test_leaving_early_ends_the_stream(climate: tuple[zlab.Group, CountingStore]) -> None:
    with capture("stream.st*") as captured:
        for _ in zlab.polars.frames(climate[0]):
            break
    start, stop = captured.events
    assert (start.kind, start.nchunks) == ("frames", 8)
    assert (stop.kind, stop.outcome) == ("frames", "closed")


def test_a_corrupt_chunk_is_an_error(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, store = climate
    store.put("n/c/1/0", b"not zstd")
    frames = iter(zlab.polars.frames(group))
    assert [next(frames).height, next(frames).height] == [8, 4]
    with pytest.raises(ChunkReadError) as caught:
        next(frames)
    assert caught.value.coords == (1, 0)


def test_frames_go_on_into_polars(climate: tuple[zlab.Group, CountingStore]) -> None:
    warmest = table(
        frame.group_by("place").agg(pl.col("t").max()) for frame in zlab.polars.frames(climate[0])
    )
    assert dict(warmest.group_by("place").agg(pl.col("t").max()).rows()) == {
        "Bern": 18.5,
        "Oslo": 19.5,
        "Rome": 20.5,
    }


def test_what_is_held_is_known_and_kept_to(climate: tuple[zlab.Group, CountingStore]) -> None:
    group, _ = climate
    frames = zlab.polars.frames(group, columns=["time", "n", "t"], max_bytes=400)
    # 8 rows of a day, an int64 and a float32
    assert (frames.item_nbytes, frames.max_bytes) == (8 * (8 + 8 + 4), 400)
    for _ in frames:
        assert process_held() <= 400
    assert table(frames.within(200)).rows() == table(frames).rows()
    assert frames.within(200).max_bytes == 200
    with pytest.raises(MemoryBudgetError, match=r"batch\(4\) holds up to 3 items"):
        frames.batch(4)
    assert [len(several) for several in frames.batch(2)] == [2, 2]


def test_frames_travel_to_other_processes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"k": pl.Series(["b", None], dtype=pl.Enum(["a", "b"])), "n": [1, 2]})
    frames = zlab.polars.frames(
        zlab.polars.write(frame, tmp_path / "t.zarr"), fill_to_null="n", columns=["k", "n"]
    )
    again = pickle.loads(pickle.dumps(frames))  # noqa: S301  our own
    assert again.schema == frames.schema
    assert table(again).equals(frame)


def test_without_polars_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['polars'] = None\n"
        "import zlab\n"
        "try:\n    zlab.polars\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "MissingExtraError zlab.polars needs polars, which is not installed. "
        "Install it with: pip install 'zlab[polars]'\n"
    )
