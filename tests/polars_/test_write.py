"""Frames written as arrays are read back as the same frames."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import (
    ChunkWriteError,
    ConversionError,
    DataTypeError,
    MemoryBudgetError,
    MetadataError,
    NodeExistsError,
    ReadOnlyError,
)
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, Fault, FaultStore

if TYPE_CHECKING:
    from collections.abc import Iterator

pl = pytest.importorskip("polars")
testing = pytest.importorskip("polars.testing")

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  Polars' times have no zone


def read(group: zlab.Group, **options: Any) -> Any:
    """The table as `frames` gives it; without rows there is no frame, and the schema alone."""
    frames = zlab.polars.frames(group, **options)
    return pl.concat([frames.schema.to_frame(), *frames])


def check(frame: Any, group: zlab.Group, **options: Any) -> None:
    """What is stored is the frame, by either way of reading it."""
    testing.assert_frame_equal(read(group, **options), frame, categorical_as_str=True)
    scanned = zlab.polars.scan(group, **options)
    assert scanned.collect_schema() == frame.schema
    testing.assert_frame_equal(scanned.collect(), frame, categorical_as_str=True)


# -- what is written is read


def ints(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low = -(1 << (bits - 1)) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
INSTANTS = st.integers(-(2**63) + 1, 2**63 - 1)
LABELS = ["", "a b", "é", "z"]

# for each type its values; those that have a null of their own may be None
COLUMNS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (pl.Boolean(), st.booleans()),
    *((getattr(pl, f"Int{bits}")(), ints(bits, signed=True)) for bits in (8, 16, 32, 64)),
    *((getattr(pl, f"UInt{bits}")(), ints(bits, signed=False)) for bits in (8, 16, 32, 64)),
    (pl.Float16(), st.floats(width=16)),
    (pl.Float32(), st.floats(width=32)),
    (pl.Float64(), st.floats()),
    (pl.String(), TEXT),
    (pl.Binary(), st.binary(max_size=4)),
    (pl.Date(), st.none() | st.dates()),
    *((pl.Datetime(unit), st.none() | INSTANTS) for unit in ("ns", "us", "ms")),
    (pl.Datetime("us", "Asia/Kathmandu"), st.none() | ints(50, signed=True)),
    *((pl.Duration(unit), st.none() | INSTANTS) for unit in ("ns", "us", "ms")),
    (pl.Enum(LABELS), st.none() | st.sampled_from(LABELS)),
    (pl.Categorical(), st.none() | TEXT),
    (
        pl.Struct({"a": pl.Int8(), "b": pl.Struct({"c": pl.Boolean(), "d": pl.Date()})}),
        st.fixed_dictionaries(
            {
                "a": ints(8, signed=True),
                "b": st.fixed_dictionaries({"c": st.booleans(), "d": st.none() | st.dates()}),
            }
        ),
    ),
]


@st.composite
def tables(draw: st.DrawFn) -> Any:
    height = draw(st.integers(0, 12))
    chosen = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=4))
    columns = []
    for place, (dtype, values) in enumerate(chosen):
        made = draw(st.lists(values, min_size=height, max_size=height))
        name = f"{'zyxw'[place]} {place}"
        if isinstance(dtype, (pl.Datetime, pl.Duration)):
            columns.append(pl.Series(name, made, pl.Int64).cast(dtype))
        else:
            columns.append(pl.Series(name, made, dtype))
    return pl.DataFrame(columns)


@given(st.data())
def test_a_frame_comes_back(data: st.DataObject) -> None:
    frame = data.draw(tables())
    chunks = data.draw(st.integers(1, 5))
    shards = data.draw(st.none() | st.integers(1, 3).map(lambda n: n * chunks))
    lazy = data.draw(st.booleans())
    group = zlab.polars.write(
        frame.lazy() if lazy else frame, {}, chunks=chunks, shards=shards, max_bytes=1 << 20
    )
    check(frame, group)
    again = zlab.open_group(group.store)
    check(frame, again)
    assert {array.dimension_names for array in again.array_values()} == {("row",)}
    assert zlab.polars.frames(again).columns == tuple(frame.columns)


NUMBERS = [f"{sign}int{8 * n}" for sign in ("", "u") for n in (1, 2, 4, 8)]


@given(st.data())
def test_arrays_go_through_polars_bit_for_bit(data: st.DataObject) -> None:
    dtypes = data.draw(
        st.lists(
            st.sampled_from([*NUMBERS, "float16", "float32", "float64", "M8[us]", "m8[ns]"]),
            min_size=1,
            max_size=3,
        )
    )
    length, chunks = data.draw(st.integers(0, 11)), data.draw(st.integers(1, 4))
    shards = data.draw(st.none() | st.integers(1, 3).map(lambda n: n * chunks))
    group = zlab.create_group({})
    for place, dtype in enumerate(dtypes):
        size = length * np.dtype(dtype).itemsize
        # payloads of NaN too
        values = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), dtype)
        array = group.create_array(
            f"a{place}", shape=length, dtype=dtype, chunks=chunks, shards=shards
        )
        array.write(..., values, write_empty_chunks=True)
    names = list(group.array_keys())
    table = zlab.polars.scan(group, columns=names)
    back = zlab.polars.write(table, {}, chunks=data.draw(st.integers(1, 4)))
    for name in names:
        assert back.array(name).dtype == group.array(name).dtype
        assert back.array(name)[...].tobytes() == group.array(name)[...].tobytes()


@given(st.data())
def test_rows_are_added(data: st.DataObject) -> None:
    frame = data.draw(tables())
    cuts = sorted(data.draw(st.lists(st.integers(0, frame.height), max_size=3)))
    chunks = data.draw(st.integers(1, 5))
    shards = data.draw(st.none() | st.integers(1, 3).map(lambda n: n * chunks))
    store = MemoryStore()
    bounds = [0, *cuts, frame.height]
    for start, stop in pairwise(bounds):
        part = frame[start:stop]
        zlab.polars.write(part, store, path="t", chunks=chunks, shards=shards, append=True)
    check(frame, zlab.open_group(store, path="t"))


def test_columns_are_found_by_name_when_rows_are_added() -> None:
    store = MemoryStore()
    zlab.polars.write(pl.DataFrame({"b": [1], "a": ["x"]}), store, attributes={"source": "here"})
    group = zlab.polars.write(pl.DataFrame({"a": ["y"], "b": [2]}), store, append=True)
    check(pl.DataFrame({"b": [1, 2], "a": ["x", "y"]}), group)
    assert dict(group.attrs) == {"source": "here", "column-order": ["b", "a"]}


@pytest.mark.parametrize("shards", [None, 4])
def test_a_table_may_be_added_to_itself(shards: int | None) -> None:
    frame = pl.DataFrame({"a": range(7), "k": pl.Series(list("abcabca"), dtype=pl.Categorical)})
    group = zlab.polars.write(frame, {}, chunks=2, shards=shards)
    zlab.polars.write(zlab.polars.scan(group), group.store, append=True)
    check(pl.concat([frame, frame]), group)


def test_positions_are_a_column_for_those_who_ask() -> None:
    group = zlab.polars.write(pl.DataFrame({"a": [5, 6, 7]}), {}, chunks=2)
    assert read(group, columns=["row", "a"]).rows() == [(0, 5), (1, 6), (2, 7)]
    group = zlab.polars.write(pl.DataFrame({"row": [5]}), {}, dimension="place")
    assert group.array("row").dimension_names == ("place",)


# -- nulls


@pytest.mark.parametrize(
    ("dtype", "values", "null"),
    [
        (pl.Int16(), [1, None, 3], -1),
        (pl.UInt64(), [1, None, 3], 2**64 - 1),
        (pl.Float32(), [1.5, None, math.inf], math.nan),
        (pl.Float64(), [1.5, None, math.nan], -999.0),
        (pl.String(), ["", None, "b"], "NA"),
        (pl.Binary(), [b"\0", None, b""], b"-"),
        (pl.Boolean(), [False, None, False], True),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_value_stands_for_null(dtype: Any, values: list[Any], null: Any, lazy: bool) -> None:
    frame = pl.DataFrame({"v": pl.Series(values, dtype=dtype), "n": pl.Series([0, 1, 0])})
    group = zlab.polars.write(frame.lazy() if lazy else frame, {}, chunks=2, null_value={"v": null})
    check(frame, group, fill_to_null="v")
    assert "_FillValue" in group.array("v").attrs
    stored = group.array("v")[1]
    assert stored == null or np.isnan([stored, null]).all()
    # and rows with nulls are added
    zlab.polars.write(frame, group.store, append=True, null_value={"v": null})
    check(pl.concat([frame, frame]), group, fill_to_null=["v"])


@pytest.mark.needs("xarray", "zarr")
def test_xarray_takes_the_value_for_missing_too() -> None:
    xr = pytest.importorskip("xarray")
    import zlab.zarr as bridge

    frame = pl.DataFrame({"v": [1.0, None, 3.0]})
    group = zlab.polars.write(frame, {}, null_value={"v": -9.0})
    data = xr.open_zarr(bridge.Store(group.store), consolidated=False)
    assert data["v"].dims == ("row",)
    np.testing.assert_array_equal(data["v"].values, [1.0, math.nan, 3.0])


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (pl.Int8(), [1, None]),
        (pl.Float64(), [1.0, None]),
        (pl.String(), ["a", None]),
        (pl.Struct({"a": pl.Int8()}), [{"a": 1}, None]),
    ],
)
def test_nulls_without_a_value_are_refused_before_anything_is_written(
    dtype: Any, values: list[Any]
) -> None:
    store = MemoryStore()
    frame = pl.DataFrame({"v": pl.Series(values, dtype=dtype)})
    with pytest.raises(ConversionError, match=r"column 'v' holds 1 nulls.*null_value=\{'v': "):
        zlab.polars.write(frame, store)
    assert list(store.list()) == []
    # what a query gives is seen when it comes: no row is there
    with pytest.raises(ConversionError, match="column 'v' holds 1 nulls") as caught:
        zlab.polars.write(frame.lazy(), store)
    assert caught.value.__notes__ == ["No row was added: the table has 0, as before"]
    assert zlab.open_group(store).array("v").shape == (0,)


def test_nulls_inside_a_struct_are_refused() -> None:
    frame = pl.DataFrame({"v": [{"a": 1, "b": 2}, {"a": 1, "b": None}]})
    with pytest.raises(ConversionError, match="column 'v' holds nulls in 'b'"):
        zlab.polars.write(frame, {})


@pytest.mark.parametrize(
    ("values", "null"), [([1, None], 1), ([math.nan, None], math.nan), (["a", None], "a")]
)
def test_a_value_of_the_column_cannot_stand_for_null(values: list[Any], null: Any) -> None:
    frame = pl.DataFrame({"v": values})
    with pytest.raises(ConversionError, match="which stands for null there"):
        zlab.polars.write(frame, {}, null_value={"v": null})


@pytest.mark.parametrize(
    ("frame", "null", "error", "says"),
    [
        ({"v": [1]}, {"w": 1}, ValueError, "null_value names 'w'; the columns are v"),
        ({"v": [1]}, {"v": "x"}, DataTypeError, "null_value of 'v' is 'x', no value of Int64"),
        ({"v": [1]}, {"v": 2**70}, DataTypeError, "no value of Int64"),
        ({"v": [2]}, {"v": True}, DataTypeError, "is True, no value of Int64"),
        ({"v": [1]}, 5, TypeError, "null_value must be a mapping of values by column name"),
        ({"v": [EPOCH]}, {"v": EPOCH}, ValueError, "is stored as it is"),
        ({"v": [{"a": 1}]}, {"v": {"a": 1}}, ValueError, "has no value"),
    ],
)
def test_the_value_for_null_is_checked(
    frame: Any, null: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        zlab.polars.write(pl.DataFrame(frame), {}, null_value=null)


def test_the_one_time_that_is_nat_is_refused() -> None:
    frame = pl.DataFrame({"v": pl.Series([-(2**63)]).cast(pl.Duration("ns"))})
    with pytest.raises(ConversionError, match="column 'v' holds the one time that NumPy takes"):
        zlab.polars.write(frame, {})


# -- categories


@pytest.mark.parametrize(("n", "dtype"), [(0, "i1"), (128, "i1"), (129, "i2"), (32769, "i4")])
def test_codes_are_as_small_as_the_categories_allow(n: int, dtype: str) -> None:
    labels = [f"label {k}" for k in range(n)]
    frame = pl.DataFrame({"k": pl.Series([*labels[-1:], None], dtype=pl.Enum(labels))})
    group = zlab.polars.write(frame, {})
    array = group.array("k")
    assert array.dtype == dtype
    assert array[...].tolist() == [n - 1] * min(n, 1) + [-1]
    assert array.fill_value == -1
    check(frame, group)


def test_categories_that_come_later_get_the_next_codes() -> None:
    store = MemoryStore()
    for labels in (["b", "a"], ["c", "b"]):
        frame = pl.DataFrame({"k": pl.Series(labels, dtype=pl.Categorical)})
        zlab.polars.write(frame, store, append=True)
    group = zlab.open_group(store)
    assert group.array("k")[...].tolist() == [0, 1, 2, 0]
    assert dict(group.array("k").attrs) == {"categories": ["b", "a", "c"], "ordered": False}


def test_other_categories_cannot_be_appended() -> None:
    store = MemoryStore()
    zlab.polars.write(pl.DataFrame({"k": pl.Series(["a"], dtype=pl.Enum(["a", "b"]))}), store)
    with pytest.raises(ValueError, match=r"'k' cannot be appended: its array has categories="):
        zlab.polars.write(
            pl.DataFrame({"k": pl.Series(["a"], dtype=pl.Enum(["a", "c"]))}), store, append=True
        )


# -- types that Zarr has not


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [
        (pl.List(pl.Int8()), "Explode it"),
        (pl.Array(pl.Int8(), 2), "array of two axes"),
        (pl.Decimal(10, 2), "Cast it to Float64"),
        (pl.Time(), "Cast it to Duration"),
        (pl.Null(), "Cast it to the type"),
        (pl.Int128(), "Cast it to Int64"),
        (pl.Object(), "Make text"),
        (pl.Struct({"a": pl.String()}), "Unnest it"),
        (pl.Struct({"a": pl.List(pl.Int8())}), "Explode it"),
        (pl.Struct({"a": pl.Datetime("us", "UTC")}), "Unnest it"),
    ],
)
def test_what_zarr_has_no_type_for_is_refused_before_anything_is_written(
    dtype: Any, hint: str
) -> None:
    store = MemoryStore()
    frame = pl.DataFrame(schema={"ok": pl.Int8(), "v": dtype})
    with pytest.raises(DataTypeError, match=f"column 'v'.*{hint}"):
        zlab.polars.write(frame, store)
    assert list(store.list()) == []


# -- streaming


class OrderedStore(CountingStore):
    """Notes which keys are put, in order."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.puts: list[str] = []

    def put(self, key: str, data: Any) -> None:
        self.puts.append(key)
        super().put(key, data)


def batches_of(n: int, seen: list[int]) -> Any:
    """A query of `n` batches that notes how many were asked for."""
    from polars.io.plugins import register_io_source

    def source(with_columns: Any, predicate: Any, n_rows: Any, batch_size: Any) -> Iterator[Any]:
        for k in range(n):
            seen.append(k)
            yield pl.DataFrame({"a": np.full(1000, k)})

    return register_io_source(source, schema={"a": pl.Int64()})


def test_each_object_is_put_once_and_the_row_counts_last() -> None:
    store = OrderedStore()
    frame = pl.DataFrame({"a": range(10), "b": range(10)})
    zlab.polars.write(frame.lazy(), store, chunks=2, shards=4)
    data = [key for key in store.puts if "/c/" in key]
    assert sorted(data) == [f"{name}/c/{n}" for name in "ab" for n in range(3)]
    assert store.puts.index(data[0]) == 3  # the empty table's documents
    assert store.puts[-2:] == ["a/zarr.json", "b/zarr.json"]
    assert not [key for key in store.counts.keys if "/c/" in key]  # nothing is read


def test_appending_reads_the_last_object_of_each_column_alone() -> None:
    store = OrderedStore()
    zlab.polars.write(pl.DataFrame({"a": range(5)}), store, chunks=2)
    store.puts.clear()
    store.reset()
    zlab.polars.write(pl.DataFrame({"a": range(5)}), store, append=True)
    assert sorted(store.puts[:3]) == ["a/c/2", "a/c/3", "a/c/4"]
    assert store.puts[3:] == ["a/zarr.json"]
    assert [key for key in store.counts.keys if "/c/" in key] == ["a/c/2"]


def test_a_query_is_written_as_it_comes() -> None:
    seen: list[int] = []
    store = OrderedStore()
    when: list[int] = []
    put = store.put

    def noting(key: str, data: Any) -> None:
        if key.startswith("a/c/"):
            when.append(len(seen))
        put(key, data)

    store.put = noting  # type: ignore[method-assign]
    group = zlab.polars.write(batches_of(400, seen), store, chunks=1000, max_bytes=30_000)
    assert group.array("a").shape == (400_000,)
    assert len(seen) == 400
    # the first chunk was put long before the last batch was made
    assert when[0] < 200
    np.testing.assert_array_equal(read(group)["a"], np.arange(400).repeat(1000))


def test_a_query_that_fails_adds_no_row() -> None:
    from polars.io.plugins import register_io_source

    def source(with_columns: Any, predicate: Any, n_rows: Any, batch_size: Any) -> Iterator[Any]:
        yield pl.DataFrame({"a": [1, 2, 3]})
        msg = "the source broke"
        raise RuntimeError(msg)

    store = MemoryStore()
    zlab.polars.write(pl.DataFrame({"a": [7]}), store, chunks=1)
    query = register_io_source(source, schema={"a": pl.Int64()})
    # as it is, or wrapped by older Polars
    broken = (RuntimeError, pl.exceptions.ComputeError)
    with pytest.raises(broken, match="the source broke") as caught:
        zlab.polars.write(query, store, append=True)
    assert caught.value.__notes__ == ["No row was added: the table has 1, as before"]
    assert read(zlab.open_group(store)).rows() == [(7,)]
    # and what lies there already is overwritten
    group = zlab.polars.write(pl.DataFrame({"a": [8, 9]}), store, append=True)
    assert read(group).rows() == [(7,), (8,), (9,)]


def test_a_chunk_that_cannot_be_put_adds_no_row() -> None:
    store = FaultStore(MemoryStore(), [Fault("put", "b/c/1")])
    with pytest.raises(ChunkWriteError) as caught:
        zlab.polars.write(pl.DataFrame({"a": range(4), "b": range(4)}), store, chunks=2)
    assert caught.value.coords == (1,)
    assert {array.shape for array in zlab.open_group(store).array_values()} == {(0,)}


def test_numbers_are_not_copied() -> None:
    from zlab.polars.values import ColumnValues

    values = np.arange(64, dtype="f4")
    series = pl.Series("v", values)
    encoded = ColumnValues("v", pl.Float32()).encode(series)
    assert encoded.ctypes.data == values.ctypes.data
    times = pl.Series("t", np.arange(64)).cast(pl.Datetime("us"))
    encoded = ColumnValues("t", pl.Datetime("us")).encode(times)
    assert encoded.ctypes.data == times.to_physical().to_numpy(allow_copy=False).ctypes.data


# -- how it is cut


def test_the_default_chunk_is_a_mebibyte_of_the_widest_column() -> None:
    frame = pl.DataFrame(schema={"a": pl.Int8(), "b": pl.Float64(), "c": pl.Float32()})
    group = zlab.polars.write(frame.lazy(), {})
    assert {array.chunks for array in group.array_values()} == {(1 << 17,)}
    group = zlab.polars.write(pl.DataFrame({"a": [1, 2, 3]}), {})
    assert group.array("a").chunks == (3,)
    # what is to grow is not cut by what comes first
    group = zlab.polars.write(pl.DataFrame({"a": [1, 2, 3]}), {}, append=True)
    assert group.array("a").chunks == (1 << 17,)
    group = zlab.polars.write(frame, {})
    assert group.array("a").chunks == (1 << 17,)


def test_compressors_are_those_of_create_array() -> None:
    group = zlab.polars.write(pl.DataFrame({"a": [1]}), {}, compressors="gzip")
    assert [codec.name for codec in group.array("a").compressors] == ["gzip"]
    group = zlab.polars.write(pl.DataFrame({"a": [1]}), {}, compressors=None)
    assert group.array("a").compressors == ()


# -- what does not fit


@pytest.mark.parametrize(
    ("frame", "options", "error", "says"),
    [
        (pl.DataFrame(), {}, ValueError, "a frame without columns"),
        ([1], {}, TypeError, "frame must be a polars.DataFrame or LazyFrame, not list"),
        ({"row": [1]}, {}, ValueError, "the name of the dimension, 'row': pass another"),
        ({"a/b": [1]}, {}, ValueError, "no array can be called 'a/b'"),
        ({"": [1]}, {}, ValueError, "no array can be called ''"),
        ({"..": [1]}, {}, ValueError, "no array can be called '..'"),
        ({"zarr.json": [1]}, {}, MetadataError, "can be named 'zarr.json'"),
        ({"a": [1]}, {"chunks": 0}, ValueError, "chunks must be at least 1"),
        ({"a": [1]}, {"shards": 4}, ValueError, "shards= needs chunks="),
        ({"a": [1]}, {"shards": 5, "chunks": 2}, MetadataError, "multiple"),
        ({"a": [1]}, {"chunks": 1000, "max_bytes": 100}, MemoryBudgetError, "1000 rows are"),
        ({"a": [1]}, {"append": True, "overwrite": True}, ValueError, "pass one of them"),
        ({"a": [1]}, {"append": 1}, TypeError, "append must be True or False"),
        ({"a": [1]}, {"dimension": 1}, TypeError, "dimension must be a name, not int"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    frame: Any, options: Any, error: type[Exception], says: str
) -> None:
    store = MemoryStore()
    frame = pl.DataFrame(frame) if isinstance(frame, dict) else frame
    with pytest.raises(error, match=says):
        zlab.polars.write(frame, store, **options)
    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("frame", "options", "says"),
    [
        ({"a": [1]}, {}, "the table has the columns a, b, and the frame a"),
        ({"a": [1.5], "b": ["x"]}, {}, "column 'a' has the type int64, and the frame has Float64"),
        ({"a": [1], "b": ["x"]}, {"chunks": 3}, r"column 'a' has chunks of \(2,\), not 3"),
        ({"a": [1], "b": ["x"]}, {"chunks": 2, "shards": 4}, "has shards of None, not 4"),
        ({"a": [1], "b": ["x"]}, {"compressors": "gzip"}, "is compressed otherwise"),
        ({"a": [1], "b": ["x"]}, {"null_value": {"a": -1}}, "its array has _FillValue=None"),
    ],
)
def test_rows_that_do_not_fit_the_table_are_refused(frame: Any, options: Any, says: str) -> None:
    store = MemoryStore()
    zlab.polars.write(pl.DataFrame({"a": [1], "b": ["x"]}), store, chunks=2)
    before = dict(store.mapping)
    with pytest.raises(ValueError, match=says):
        zlab.polars.write(pl.DataFrame(frame), store, append=True, **options)
    assert dict(store.mapping) == before


def test_what_is_there_is_replaced_when_asked_for() -> None:
    store = MemoryStore()
    frame = pl.DataFrame({"a": [1]})
    zlab.polars.write(frame, store)
    with pytest.raises(NodeExistsError, match="array or group already"):
        zlab.polars.write(frame, store)
    group = zlab.polars.write(pl.DataFrame({"b": [2]}), store, overwrite=True)
    assert list(group.array_keys()) == ["b"]


def test_a_query_cannot_replace_what_it_reads(tmp_path: Any) -> None:
    frame = pl.DataFrame({"a": range(100), "b": ["x"] * 100})
    for store in (tmp_path / "t.zarr", tmp_path / "t.zip", MemoryStore()):
        zlab.polars.write(frame, store, path="t", chunks=7).close()
        with zlab.open_group(store, path="t") as group:
            query = zlab.polars.scan(group).filter(pl.col("a") > 3)
            with pytest.raises((ValueError, pl.exceptions.ComputeError), match="replaces just now"):
                zlab.polars.write(query, store, path="t", overwrite=True)
            with pytest.raises((ValueError, pl.exceptions.ComputeError), match="replaces just now"):
                zlab.polars.write(query, store, overwrite=True)
            check(frame, group)
            zlab.polars.write(query, store, path="elsewhere", overwrite=True).close()
            assert query.collect().height == 96
            zlab.polars.write(query.collect(), store, path="t", overwrite=True).close()
        with zlab.open_group(store, path="t") as group:
            check(frame[4:], group)


def test_a_query_that_fails_at_once_replaces_nothing() -> None:
    store = MemoryStore()
    frame = pl.DataFrame({"a": ["1", "x"]})
    group = zlab.polars.write(frame, store)
    with pytest.raises(pl.exceptions.InvalidOperationError):
        zlab.polars.write(frame.lazy().select(pl.col("a").cast(pl.Int8)), store, overwrite=True)
    check(frame, group)


def test_a_write_that_is_stopped_at_its_very_end_says_what_to_do() -> None:
    class Full(MemoryStore):
        full = False

        def put(self, key: str, value: Any) -> None:
            if self.full and key == "b/zarr.json":
                raise OSError(28, "no space left")
            super().put(key, value)

    store = Full()
    frame = pl.DataFrame({"a": [1, 2], "b": [1, 2]})
    zlab.polars.write(frame, store, chunks=2)
    store.full = True
    with pytest.raises(OSError, match="no space") as caught:
        zlab.polars.write(frame, store, append=True)
    assert "resize all to 2, and append again" in caught.value.__notes__[-1]
    store.full = False
    group = zlab.open_group(store, mode="r+")
    # until all row counts have grown, readers see the table as it was
    assert (group.array("a").shape, group.array("b").shape) == ((4,), (2,))
    check(frame, group)
    scanned = zlab.polars.scan(group)
    assert scanned.filter(pl.col("a") > 0).select("b").collect().height == 2
    for name in ("a", "b"):
        group.array(name).resize(2)
    check(pl.concat([frame, frame]), zlab.polars.write(frame, store, append=True))


def test_columns_of_different_lengths_cannot_be_appended_to() -> None:
    store = MemoryStore()
    group = zlab.polars.write(pl.DataFrame({"a": [1], "b": [1]}), store, chunks=2)
    group.array("b").resize(3)
    with pytest.raises(ValueError, match=r"'a' has 1 rows and 'b' 3.*Resize all columns to 1"):
        zlab.polars.write(pl.DataFrame({"a": [1], "b": [1]}), store, append=True)


def test_a_store_for_reading_is_not_written_to(tmp_path: Any) -> None:
    zlab.polars.write(pl.DataFrame({"a": [1]}), tmp_path / "t.zarr")
    store = zlab.open_group(tmp_path / "t.zarr").store
    with pytest.raises(ReadOnlyError):
        zlab.polars.write(pl.DataFrame({"a": [1]}), store, append=True)


def test_a_path_is_made_with_the_groups_above_it(tmp_path: Any) -> None:
    frame = pl.DataFrame({"day": [date(2020, 1, 1), None], "took": [timedelta(1), None]})
    for _ in range(2):
        zlab.polars.write(frame, tmp_path / "t.zarr", path="a/b", append=True)
    check(pl.concat([frame, frame]), zlab.open(tmp_path / "t.zarr", path="a/b"))  # type: ignore[arg-type]
