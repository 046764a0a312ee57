"""The handle on an array: what it says about itself, and what it refuses."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.errors import (
    ChunkReadError,
    DataTypeError,
    MemoryBudgetError,
    MetadataError,
    NodeExistsError,
    NodeNotFoundError,
    ReadOnlyError,
    SelectionError,
    UnknownCodecError,
    UnknownExtensionError,
)
from zlab.memory import ALIGNMENT
from zlab.metadata.document import parse_json

if TYPE_CHECKING:
    from pathlib import Path

    from zlab.metadata import ZarrFormat


def test_a_new_array_reads_as_fill() -> None:
    array = zlab.create_array({}, shape=(3, 4), dtype="f4", chunks=(2, 2), fill_value=np.nan)
    assert np.isnan(array[...]).all()
    assert array.nchunks == 4
    assert array.nchunks_initialized == 0
    assert array.nbytes_stored() == 0
    assert array.nbytes == 48


def test_properties() -> None:
    array = zlab.create_array(
        {},
        path="a/b",
        shape=(10, 20),
        dtype=">i2",
        chunks=(2, 5),
        shards=(4, 10),
        dimension_names=("y", "x"),
        attributes={"units": "m"},
    )
    assert (array.path, array.name) == ("a/b", "b")
    assert (array.ndim, array.size, array.itemsize, len(array)) == (2, 200, 2, 10)
    assert array.chunks == (2, 5)
    assert array.shards == (4, 10)
    assert array.chunk_grid_shape == (5, 4)
    assert array.dtype == np.dtype("=i2")
    assert array.dimension_names == ("y", "x")
    assert array.order == "C"
    assert array.zarr_format == 3
    assert dict(array.attrs) == {"units": "m"}
    assert repr(array).endswith("shape=(10, 20) dtype=int16 chunks=(2, 5), shards=(4, 10)>")


def test_outputs_are_aligned_for_xla_and_arrow() -> None:
    array = zlab.create_array({}, data=np.arange(1000, dtype="u1"), chunks=100)
    for _ in range(5):
        assert array[3:900].ctypes.data % ALIGNMENT == 0


def test_integers_drop_their_axis_and_all_of_them_give_a_scalar() -> None:
    array = zlab.create_array({}, data=np.arange(12, dtype="i4").reshape(3, 4), chunks=2)
    assert array[1].tolist() == [4, 5, 6, 7]
    assert array[:, -1].tolist() == [3, 7, 11]
    assert array[2, 1] == 9
    assert isinstance(array[2, 1], np.int32)
    assert array[...].shape == (3, 4)


def test_an_array_without_axes() -> None:
    array = zlab.create_array({}, data=np.float64(2.5))
    assert array[()] == 2.5
    assert array[...].shape == ()
    array[...] = 7
    assert np.asarray(array) == 7
    assert array.nchunks == 1
    with pytest.raises(TypeError, match="without axes"):
        len(array)


def test_an_axis_of_length_zero() -> None:
    array = zlab.create_array({}, shape=(0, 3), dtype="i4", chunks=(2, 2))
    assert array[...].shape == (0, 3)
    array[...] = np.empty((0, 3), "i4")
    assert array.nchunks == 0
    assert array.stored_sizes().shape == (0, 2)


def test_chunks_of_fill_are_not_stored_and_are_deleted_when_they_become_fill() -> None:
    array = zlab.create_array({}, shape=(4, 4), dtype="i4", chunks=(2, 2), fill_value=-1)
    array[:2] = -1
    assert array.nchunks_initialized == 0
    array[...] = 5
    assert array.nchunks_initialized == 4
    array[:2, :2] = -1
    assert array.nchunks_initialized == 3
    array.write(..., -1, write_empty_chunks=True)
    assert array.nchunks_initialized == 4


def test_negative_zero_is_not_fill() -> None:
    array = zlab.create_array({}, shape=(4,), dtype="f8", chunks=2)
    array[1] = -0.0
    assert array.nchunks_initialized == 1
    assert np.signbit(array[...]).tolist() == [False, True, False, False]


def test_stored_sizes_of_inner_chunks() -> None:
    array = zlab.create_array(
        {}, shape=(7, 7), dtype="u1", chunks=(2, 2), shards=(4, 4), compressors=None
    )
    array[0, 0] = 1
    array[6, 6] = 1
    sizes = array.stored_sizes()
    assert sizes.shape == (4, 4)
    assert sizes[0, 0] == sizes[3, 3] == 4
    assert (sizes >= 0).sum() == array.nchunks_initialized == 2


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("data", "filters", "endian"),
    [
        (["b", "a", "b"], {"name": "categorize", "configuration": {"labels": ["a", "b"]}}, None),
        (np.array(["b", "a"], "U1"), {"id": "categorize", "labels": ["a", "b"]}, None),
        (np.ones((3, 5), bool), {"id": "packbits"}, None),
        (
            np.arange(4.0),
            {"id": "fixedscaleoffset", "offset": 0, "scale": 1, "dtype": "<f8", "astype": "|u1"},
            None,
        ),
        (
            np.arange(4, dtype="u1"),
            {"id": "astype", "encode_dtype": "<u2", "decode_dtype": "|u1"},
            "little",
        ),
    ],
)
def test_what_turns_elements_into_bytes_follows_from_the_last_filter(
    data: Any, filters: dict[str, Any], endian: str | None, zarr_format: ZarrFormat
) -> None:
    dtype = "string" if isinstance(data, list) else data.dtype
    array = zlab.create_array(
        {}, shape=np.shape(data), dtype=dtype, filters=filters, zarr_format=zarr_format
    )
    array[...] = data
    assert array.serializer.name == "bytes"
    assert array.serializer.configuration.get("endian") == endian
    assert zlab.open_array(array.store)[...].tolist() == np.asarray(data).tolist()


@pytest.mark.parametrize("shards", [None, (100, 100)])
def test_what_is_stored_of_very_many_chunks_is_counted_in_little_memory(
    shards: tuple[int, ...] | None,
) -> None:
    array = zlab.create_array(
        {}, shape=(10**7, 10**7), dtype="u1", chunks=(10, 10), shards=shards, compressors=None
    )
    array[5:25, -1] = 1
    assert array.nchunks == 10**12
    assert array.nchunks_initialized == 3
    assert array.nbytes_stored() >= 300
    with pytest.raises(MemoryBudgetError, match="1000000000000 chunks take 8000000000000 bytes"):
        array.stored_sizes()


def test_a_shard_is_written_once_and_only_the_changed_inner_chunks_are_encoded_again() -> None:
    store: dict[str, bytes] = {}
    array = zlab.create_array(
        store, shape=(8,), dtype="u1", chunks=(2,), shards=(8,), compressors=None
    )
    array[...] = np.arange(8)
    with zlab.telemetry.capture("chunk.write") as captured:
        array[3] = 99
    assert [event.coords for event in captured.events] == [(1,)]
    assert array[...].tolist() == [0, 1, 2, 99, 4, 5, 6, 7]
    assert [key for key in store if key.startswith("c/")] == ["c/0"]


def test_broadcasting_and_casting_are_numpys() -> None:
    array = zlab.create_array({}, shape=(3, 4), dtype="f4", chunks=(2, 3))
    array[...] = 1
    array[1] = np.arange(4)
    array[:, 0] = [7, 8, 9]
    expected = np.ones((3, 4), "f4")
    expected[1] = np.arange(4)
    expected[:, 0] = [7, 8, 9]
    np.testing.assert_array_equal(array[...], expected)
    with pytest.raises(ValueError, match="does not fit a selection"):
        array[:2, :2] = np.zeros(3)
    array[2] = np.array([1.5, 2.5, 3.5, 4.5]).astype("f8")
    assert array[2].tolist() == [1.5, 2.5, 3.5, 4.5]


def test_reversed_assignment() -> None:
    array = zlab.create_array({}, shape=(7,), dtype="i4", chunks=3)
    array[::-2] = [1, 2, 3, 4]
    assert array[...].tolist() == [4, 0, 3, 0, 2, 0, 1]


def test_attributes_are_stored_as_they_change(tmp_path: Path) -> None:
    for zarr_format in (2, 3):
        path = tmp_path / f"{zarr_format}.zarr"
        array = zlab.create_array(path, shape=(2,), dtype="i1", zarr_format=zarr_format)
        array.attrs["a"] = 1
        array.attrs.update(b=[1, 2], c=None)
        del array.attrs["a"]
        assert dict(zlab.open_array(path).attrs) == {"b": [1, 2], "c": None}
        with pytest.raises(MetadataError, match="JSON"):
            array.attrs["x"] = float("nan")
        with pytest.raises(KeyError):
            del array.attrs["nothing"]
        assert dict(zlab.open_array(path).attrs) == {"b": [1, 2], "c": None}
        array.attrs.clear()
        assert dict(zlab.open_array(path).attrs) == {}


def test_unknown_fields_of_the_document_survive_a_change_of_attributes() -> None:
    store: dict[str, bytes] = {}
    array = zlab.create_array(store, shape=(2,), dtype="i1")
    document = parse_json(store["zarr.json"], key="zarr.json", store="test")
    document["vendor"] = {"must_understand": False, "note": [1]}
    store["zarr.json"] = str(document).replace("'", '"').replace("False", "false").encode()
    array = zlab.open_array(store, mode="r+")
    array.attrs["a"] = 1
    assert zlab.open_array(store).metadata_document()["vendor"]["note"] == [1]


def test_dimension_names_of_v2_are_xarrays() -> None:
    array = zlab.create_array(
        {}, shape=(2, 3), dtype="i1", zarr_format=2, dimension_names=("y", "x")
    )
    assert array.attrs["_ARRAY_DIMENSIONS"] == ["y", "x"]
    assert zlab.open_array(array.store).dimension_names == ("y", "x")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_strings_of_any_length(zarr_format: ZarrFormat) -> None:
    texts = ["", "zlab", "ä" * 100, "𝄞"]
    array = zlab.create_array({}, shape=(4,), dtype="string", chunks=3, zarr_format=zarr_format)
    array[...] = np.array(texts, np.dtypes.StringDType())
    assert zlab.open_array(array.store)[...].tolist() == texts


def test_handles_are_pickled_and_compared(tmp_path: Path) -> None:
    array = zlab.create_array(tmp_path / "a.zarr", data=np.arange(5))
    again = pickle.loads(pickle.dumps(array))  # noqa: S301  what was pickled here
    assert again == array
    assert hash(again) == hash(array)
    np.testing.assert_array_equal(again[...], np.arange(5))
    assert array != zlab.create_array(tmp_path / "b.zarr", data=np.arange(5))
    assert array != "array"


def test_a_read_only_array_is_not_written(tmp_path: Path) -> None:
    zlab.create_array(tmp_path / "a.zarr", data=np.arange(5))
    array = zlab.open_array(tmp_path / "a.zarr")
    assert array.read_only
    with pytest.raises(ReadOnlyError, match=r"r\+"):
        array[0] = 1
    with pytest.raises(ReadOnlyError):
        array.attrs["a"] = 1
    np.testing.assert_array_equal(array[...], np.arange(5))


def test_creating_over_something_is_refused_or_asked_for() -> None:
    store: dict[str, bytes] = {}
    zlab.create_array(store, data=np.arange(5), chunks=1)
    with pytest.raises(NodeExistsError, match="overwrite=True"):
        zlab.create_array(store, shape=(3,), dtype="i1")
    array = zlab.create_array(store, shape=(3,), dtype="i1", overwrite=True)
    assert array[...].tolist() == [0, 0, 0]
    assert list(store) == ["zarr.json"]


def test_creating_below_an_array_is_refused() -> None:
    store: dict[str, bytes] = {}
    zlab.create_array(store, path="a", shape=(3,), dtype="i1")
    with pytest.raises(NodeExistsError, match="below an array"):
        zlab.create_array(store, path="a/b", shape=(3,), dtype="i1")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"dtype": "O"}, DataTypeError, "string"),
        ({"dtype": "i4", "chunks": (0,)}, MetadataError, "at least 1"),
        ({"dtype": "i4", "chunks": (2, 2)}, MetadataError, "2 lengths for 1 dimensions"),
        ({"dtype": "i4", "chunks": 2, "shards": 3}, MetadataError, "not multiples"),
        ({"dtype": "i4", "shards": 4, "zarr_format": 2, "chunks": 2}, MetadataError, "no shards"),
        ({"dtype": "u1", "fill_value": 256}, MetadataError, "fill_value"),
        ({"dtype": "i4", "compressors": "lzma9"}, UnknownCodecError, "lzma9"),
        ({"dtype": "i4", "compressors": {"id": "zstd", "level": 99}}, MetadataError, "level"),
        (
            {"dtype": "i4", "compressors": {"name": "zstd", "configuration": {"lvl": 1}}},
            MetadataError,
            "lvl",
        ),
        ({"dtype": "i4", "serializer": "zstd"}, MetadataError, "array"),
        ({"dtype": "i4", "order": "K"}, MetadataError, "order"),
        ({"dtype": "i4", "dimension_names": ["a", "b"]}, MetadataError, "dimension_names"),
        ({"dtype": "i4", "dimension_names": "a"}, MetadataError, "dimension_names"),
        ({"dtype": "i4", "dimension_names": [0]}, MetadataError, "text or None"),
        ({"dtype": "i4", "chunk_key_encoding": "zigzag"}, UnknownExtensionError, "zigzag"),
        ({"dtype": "bfloat16", "zarr_format": 2}, MetadataError, "bfloat16"),
        ({"dtype": "i4", "attributes": {"a": {1, 2}}}, MetadataError, "JSON"),
    ],
)
def test_bad_arguments_are_told_before_anything_is_written(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    store: dict[str, bytes] = {}
    with pytest.raises(error, match=words):
        zlab.create_array(store, shape=(8,), **arguments)
    assert store == {}


def test_shape_and_dtype_are_needed() -> None:
    with pytest.raises(TypeError, match="shape and dtype"):
        zlab.create_array({}, shape=(8,))


def test_selections_that_do_not_fit() -> None:
    array = zlab.create_array({}, data=np.arange(5))
    with pytest.raises(SelectionError):
        array[5]
    with pytest.raises(IndexError):
        array[0, 0]
    assert array[5:100].tolist() == []


def test_opening_a_group_as_an_array() -> None:
    group = zlab.create_group({})
    with pytest.raises(NodeNotFoundError, match="group, not an array"):
        zlab.open_array(group.store)


def test_a_codec_that_zlab_has_not() -> None:
    store: dict[str, bytes] = {}
    zlab.create_array(store, shape=(4,), dtype="i4")
    store["zarr.json"] = store["zarr.json"].replace(b'"zstd"', b'"middle-out"')
    with pytest.raises(UnknownCodecError, match="middle-out"):
        zlab.open(store)


def test_numpy_refuses_a_view_without_a_copy() -> None:
    array = zlab.create_array({}, data=np.arange(5))
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(array, copy=False)
    assert np.asarray(array, dtype="f4").dtype == np.float32


def test_many_threads_read_and_write_one_array() -> None:
    array = zlab.create_array({}, shape=(64, 64), dtype="i8", chunks=(16, 16), shards=(32, 32))
    with zlab.settings.override(threads=8):
        array[...] = np.arange(64 * 64).reshape(64, 64)
        np.testing.assert_array_equal(array[...], np.arange(64 * 64).reshape(64, 64))


def test_a_chunk_whose_size_is_wrong_names_itself() -> None:
    store: dict[str, bytes] = {}
    array = zlab.create_array(store, data=np.arange(8, dtype="i4"), chunks=4, compressors=None)
    store["c/1"] = store["c/1"][:-1]
    with pytest.raises(ChunkReadError, match=r"chunk \(1,\)") as caught:
        array[...]
    assert caught.value.coords == (1,)
    assert caught.value.key == "c/1"
    assert caught.value.__cause__ is not None
    assert array[:4].tolist() == [0, 1, 2, 3]


def test_data_that_do_not_fit_leave_what_is_there_as_it_is() -> None:
    store: dict[str, bytes] = {}
    zlab.create_array(store, data=np.arange(1, 7), chunks=2)
    before = dict(store)
    with pytest.raises(MetadataError, match="do not fit"):
        zlab.create_array(store, shape=(3,), data=np.zeros(4), overwrite=True)
    with pytest.raises(MetadataError, match="do not fit"):
        zlab.create_array(store, dtype="i4", data=["a", "b"], overwrite=True)
    assert store == before
    empty: dict[str, bytes] = {}
    with pytest.raises(MetadataError):
        zlab.create_array(empty, shape=(3,), data=np.zeros(4))
    assert empty == {}


@pytest.mark.parametrize("zarr_format", [1, 4, "3"])
def test_other_versions_are_refused(zarr_format: Any) -> None:
    store: dict[str, bytes] = {}
    with pytest.raises(MetadataError, match="there is no Zarr v"):
        zlab.create_array(store, shape=(3,), dtype="f4", zarr_format=zarr_format)
    with pytest.raises(MetadataError, match="there is no Zarr v"):
        zlab.create_group(store, zarr_format=zarr_format)
    with pytest.raises(MetadataError, match="there is no Zarr v"):
        zlab.open(store, zarr_format=zarr_format)
    assert store == {}


def test_a_store_that_is_open_for_writing_is_read_only_through_a_handle_that_is() -> None:
    array = zlab.create_array({}, data=np.arange(4))
    reader = zlab.open_array(array.store)
    assert reader.read_only
    for write in (
        lambda: reader.__setitem__(0, 9),
        lambda: reader.attrs.update(a=1),
        lambda: reader.resize(2),
        lambda: reader.append([1]),
        lambda: reader.oindex.__setitem__([0], 9),
    ):
        with pytest.raises(ReadOnlyError):
            write()
    assert array[...].tolist() == [0, 1, 2, 3]
    zlab.open_array(array.store, mode="r+")[0] = 9
    assert reader[0] == 9


@pytest.mark.parametrize("shape", [(3.0,), (True,), "3", (None,)])
def test_lengths_are_whole_numbers(shape: Any) -> None:
    with pytest.raises(MetadataError, match="whole number"):
        zlab.create_array({}, shape=shape, dtype="i1")


def test_names_of_attributes_are_text() -> None:
    attributes: Any = {1: 2}
    with pytest.raises(MetadataError, match="must be text"):
        zlab.create_array({}, shape=(3,), dtype="i1", attributes=attributes)
    array = zlab.create_array({}, shape=(3,), dtype="i1")
    with pytest.raises(MetadataError, match="must be text"):
        array.attrs.update(attributes)
    assert dict(array.attrs) == {}


def test_a_cache_is_a_cache() -> None:
    cache: Any = "1 GB"
    with pytest.raises(TypeError, match=r"zlab\.Cache or a number of bytes"):
        zlab.open_array(zlab.create_array({}, shape=(3,), dtype="i1").store, cache=cache)
