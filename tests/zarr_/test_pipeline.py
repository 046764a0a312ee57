"""zarr-python's arrays on zlab's engine: the same values, errors that say where, and fallbacks."""

from __future__ import annotations

import asyncio
import pickle
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec  # noqa: E402
from zarr.core.array_spec import ArrayConfig, ArraySpec  # noqa: E402
from zarr.core.buffer import cpu  # noqa: E402
from zarr.core.codec_pipeline import BatchedCodecPipeline  # noqa: E402
from zarr.registry import register_codec  # noqa: E402
from zarr.storage import LocalStore, WrapperStore  # noqa: E402
from zarr.storage import MemoryStore as ZarrMemory  # noqa: E402

import zlab  # noqa: E402
from zlab import telemetry  # noqa: E402
from zlab.errors import ChunkReadError, UnknownCodecError  # noqa: E402
from zlab.stores.memory import MemoryStore  # noqa: E402
from zlab.testing import CountingStore, Fault, FaultStore  # noqa: E402
from zlab.zarr import CodecPipeline, FallbackWarning, Store, model  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("_pipeline")

PLAIN = "zarr.core.codec_pipeline.BatchedCodecPipeline"


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails what zarr-python's own pipeline would have to do."""

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("zarr-python's own pipeline was asked")

    monkeypatch.setattr(BatchedCodecPipeline, "read", never)
    monkeypatch.setattr(BatchedCodecPipeline, "write", never)


def _memory(_: Path) -> Any:
    return ZarrMemory()


def _directory(where: Path) -> Any:
    return LocalStore(where / "store")


def _zlab(_: Path) -> Any:
    return Store(MemoryStore())


def _remote(_: Path) -> Any:
    return Store(CountingStore(MemoryStore(), local=False))


class Awaited(WrapperStore[ZarrMemory]):
    """A store that has coroutines alone."""

    _supports_sync_io = False


def _awaited(_: Path) -> Any:
    return Awaited(ZarrMemory())


STORES = [_memory, _directory, _zlab, _remote, _awaited]
MakeStore = "Callable[[Path], Any]"


@pytest.fixture(params=STORES, ids=lambda make: make.__name__[1:])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return request.param(tmp_path)


LAYOUTS: list[dict[str, Any]] = [
    {"zarr_format": 2, "dtype": ">i4"},
    {"zarr_format": 2, "dtype": "<i4", "order": "F"},
    {"zarr_format": 3, "dtype": "<i4"},
    {"zarr_format": 3, "dtype": "<i4", "shards": (8, 6)},
    {"zarr_format": 3, "dtype": "<i4", "compressors": None, "config": {"order": "F"}},
]

SELECTIONS: list[tuple[str, Any]] = [
    ("get_basic_selection", np.s_[...]),
    ("get_basic_selection", np.s_[3]),
    ("get_basic_selection", np.s_[16, 12]),
    ("get_basic_selection", np.s_[2:9:2, 1:7]),
    ("get_basic_selection", np.s_[..., 5]),
    ("get_basic_selection", np.s_[5:5]),
    ("get_orthogonal_selection", ([1, 5, 16], slice(2, 9))),
    ("get_orthogonal_selection", ([16, 1, 1], slice(None, None, 3))),
    ("get_orthogonal_selection", (3, [12, 0])),
    ("get_orthogonal_selection", (np.arange(17) % 3 == 0, [4])),
    ("get_coordinate_selection", ([16, 1, 5, 1], [12, 0, 0, 0])),
    ("get_block_selection", (2, slice(1, 3))),
]


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_selection_is_read_and_written(place: Any, layout: dict[str, Any]) -> None:
    data = np.random.default_rng(7).integers(1, 100, (17, 13)).astype("i4")
    array = zarr.create_array(place, name="a/b", shape=data.shape, chunks=(4, 3), **layout)
    assert isinstance(array._async_array.codec_pipeline, CodecPipeline)
    array[...] = data
    # zarr-python's blocks are the stored objects
    chunks = layout.get("shards", (4, 3))
    plain = zarr.create_array({}, shape=data.shape, chunks=chunks, dtype="i4")
    model = data.copy()
    plain[...] = data
    for number, (method, selection) in enumerate(SELECTIONS):
        expected = getattr(plain, method)(selection)
        np.testing.assert_array_equal(getattr(array, method)(selection), expected)
        setter = method.replace("get", "set")
        for value in (np.asarray(expected) + number, -number):
            getattr(plain, setter)(selection, value)
            getattr(array, setter)(selection, value)
        np.testing.assert_array_equal(array[...], plain[...])
    mask = data > 50
    np.testing.assert_array_equal(array.vindex[mask], plain[...][mask])
    assert not np.array_equal(plain[...], model)


@pytest.mark.usefixtures("_alone")
def test_an_array_grows_below_its_pipeline(place: Any) -> None:
    array = zarr.create_array(place, shape=(5,), chunks=(2,), shards=(4,), dtype="i2")
    array[:] = [1, 2, 3, 4, 5]
    array.resize((9,))
    assert array[:].tolist() == [1, 2, 3, 4, 5, 0, 0, 0, 0]
    array[7:] = [8, 9]
    array.append(np.array([10], "i2"))
    assert array[:].tolist() == [1, 2, 3, 4, 5, 0, 0, 8, 9, 10]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("f8", np.array([np.nan, -0.0, np.inf, 1.5])),
        ("M8[s]", np.array(["NaT", 0, 1, 2], "M8[s]")),
        ("U3", np.array(["", "é", "日本語", "abc"])),
        ("S3", np.array([b"", b"a", b"ab", b"abc"])),
        ("c8", np.array([1 + 2j, 0, -1j, 3], "c8")),
        ([("x", "i2"), ("y", "f4")], np.array([(1, 2), (0, 0), (3, -1), (5, 6)], "i2,f4")),
        (str, np.array(["", "é", "日本", "a" * 100], np.dtypes.StringDType())),
    ],
    ids=lambda part: str(part)[:8] if isinstance(part, str) else None,
)
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
def test_data_types(dtype: Any, values: NDArray[Any], zarr_format: int) -> None:
    store = ZarrMemory()
    values = values.astype(dtype) if not isinstance(dtype, type) else values
    array = zarr.create_array(store, shape=(5,), chunks=(2,), dtype=dtype, zarr_format=zarr_format)
    array[:4] = values
    assert array._async_array.codec_pipeline._model is not None
    assert array[:4].dtype == array.dtype
    np.testing.assert_array_equal(array[:4], values)
    with zarr.config.set({"codec_pipeline.path": PLAIN}):
        np.testing.assert_array_equal(zarr.open_array(store)[...], array[...])


@pytest.mark.usefixtures("_alone")
def test_an_array_without_axes() -> None:
    array = zarr.create_array({}, shape=(), dtype="f8")
    assert array[()] == 0
    array[...] = 4.5
    assert array[()] == 4.5


@pytest.mark.usefixtures("_alone")
def test_a_shard_is_read_in_parts() -> None:
    objects = CountingStore(MemoryStore())
    array = zarr.create_array(
        Store(objects), shape=(64,), chunks=(4,), shards=(64,), dtype="i8", compressors=None
    )
    array[:] = np.arange(64)
    objects.reset()
    assert array[8:12].tolist() == [8, 9, 10, 11]
    assert objects.counts.nbytes_read < 64 * 8


def test_empty_chunks_are_stored_where_that_is_asked_for() -> None:
    for keep, expected in ((True, 2), (False, 0)):
        store = ZarrMemory()
        array = zarr.create_array(
            store, shape=(4,), chunks=(2,), dtype="i1", config={"write_empty_chunks": keep}
        )
        array[:] = 0
        assert array.nchunks_initialized == expected


def test_telemetry_sees_what_zarr_python_reads() -> None:
    array = zarr.create_array({}, shape=(4,), chunks=(2,), dtype="i1")
    array[:] = 1
    with telemetry.capture("chunk.*") as seen:
        array[:]
    assert sum(len(event.coords) for event in seen.events) == 2


def test_a_failed_read_names_the_chunk_and_is_never_fill(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path, name="a", shape=(4,), chunks=(2,), dtype="i4")
    array[:] = 7
    (tmp_path / "a" / "c" / "1").write_bytes(b"broken")
    with pytest.raises(ChunkReadError, match="zstd") as caught:
        array[:]
    assert caught.value.coords == (1,)
    assert caught.value.key == "a/c/1"


def test_a_store_that_fails_is_an_error() -> None:
    objects = MemoryStore()
    store = Store(FaultStore(objects, [Fault("get", "c/1")]))
    array = zarr.create_array(store, shape=(4,), chunks=(2,), dtype="i4")
    array[:] = 7
    with pytest.raises(ChunkReadError, match="Whether the chunk exists is not known"):
        array[:]


def test_what_was_deleted_by_other_means_is_absent(place: Any) -> None:
    make = {"name": "a", "shape": (8,), "chunks": (2,), "shards": (8,), "dtype": "i4"}
    array = zarr.create_array(place, **make)
    array[:] = 7
    assert array[0] == 7
    array = zarr.create_array(place, overwrite=True, **make)
    assert array[:].tolist() == [0] * 8


def test_pipelines_are_pickled_and_compared() -> None:
    store = ZarrMemory()
    array = zarr.create_array(store, shape=(4,), chunks=(2,), dtype="i4")
    array[:] = 7
    mine = array._async_array.codec_pipeline
    copy = pickle.loads(pickle.dumps(mine))  # noqa: S301
    assert copy == mine
    assert hash(copy) == hash(mine)
    assert repr(mine) == "zlab.zarr.CodecPipeline(BytesCodec, ZstdCodec)"
    assert [type(codec).__name__ for codec in mine] == ["BytesCodec", "ZstdCodec"]
    assert not mine.supports_partial_decode
    assert not mine.supports_partial_encode
    other = zarr.create_array({}, shape=(4,), chunks=(2,), dtype="i4", compressors=None)
    assert other._async_array.codec_pipeline != mine
    assert mine != object()
    with pytest.raises(TypeError, match="made of codecs"):
        CodecPipeline()


def test_chunks_in_memory() -> None:
    array = zarr.create_array({}, shape=(5,), chunks=(3,), dtype="i4", fill_value=9)
    mine = array._async_array.codec_pipeline
    spec = ArraySpec((3,), array.metadata.dtype, 9, ArrayConfig.from_dict({}), cpu.buffer_prototype)
    chunk = cpu.NDBuffer.from_numpy_array(np.array([1, 2, 3], "i4"))

    async def there_and_back(one: Any) -> tuple[Any, Any]:
        data = list(await one.encode([(chunk, spec), (None, spec)]))
        return data, list(await one.decode([(data[0], spec), (None, spec)]))

    data, chunks = asyncio.run(there_and_back(mine))
    assert data[1] is None
    assert chunks[1] is None
    assert chunks[0].as_numpy_array().tolist() == [1, 2, 3]
    theirs = BatchedCodecPipeline.from_codecs(list(mine))
    assert asyncio.run(there_and_back(theirs))[1][0].as_numpy_array().tolist() == [1, 2, 3]
    of_codecs = CodecPipeline.from_codecs(list(mine)).evolve_from_array_spec(spec)
    assert asyncio.run(there_and_back(of_codecs))[0][0].to_bytes() == data[0].to_bytes()


def test_threads_share_an_array(place: Any) -> None:
    array = zarr.create_array(place, shape=(64, 8), chunks=(4, 8), dtype="i4")
    wrong: list[int] = []

    def work(number: int) -> None:
        rows = slice(8 * number, 8 * number + 8)
        array[rows] = number + 1
        if not (array[rows] == number + 1).all():
            wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert array[:, 0].tolist() == [row // 8 + 1 for row in range(64)]


def test_from_an_event_loop_of_the_users_own(place: Any) -> None:
    async def work() -> Any:
        array = await zarr.api.asynchronous.create_array(
            place, shape=(6, 6), chunks=(2, 6), dtype="i4"
        )
        await array.setitem((slice(None), slice(None)), np.arange(36).reshape(6, 6))
        return await array.getitem((slice(1, 5), 3))

    assert asyncio.run(work()).tolist() == [9, 15, 21, 27]


# -- of zarr-python 3.4

newer = pytest.mark.skipif(
    not hasattr(zarr.abc.codec, "GetResult"), reason="zarr-python 3.4 needs Python 3.12"
)


@newer
@pytest.mark.usefixtures("_alone")
def test_missing_chunks_are_told(place: Any) -> None:
    array = zarr.create_array(
        place, shape=(4,), chunks=(2,), dtype="i4", config={"read_missing_chunks": False}
    )
    array[:2] = 1
    assert array[:2].tolist() == [1, 1]
    with pytest.raises(zarr.errors.ChunkNotFoundError, match="c/1"):
        array[:]


@newer
@pytest.mark.usefixtures("_alone")
def test_chunks_of_many_sizes(place: Any) -> None:
    data = np.arange(60, dtype="i4").reshape(10, 6)
    with zarr.config.set({"array.rectilinear_chunks": True}):
        array = zarr.create_array(place, shape=(10, 6), chunks=[[3, 3, 4], [2, 4]], dtype="i4")
        array[...] = data
        np.testing.assert_array_equal(array[2:8:3, 1:5], data[2:8:3, 1:5])
        np.testing.assert_array_equal(array.oindex[[9, 0]], data[[9, 0]])
        np.testing.assert_array_equal(array.vindex[[0, 9], [5, 1]], data[[0, 9], [5, 1]])


# -- what zlab has not


@dataclass(frozen=True)
class _Flip(BytesBytesCodec):
    is_fixed_size = True

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> _Flip:
        return cls()

    def to_dict(self) -> dict[str, Any]:
        return {"name": "test.flip", "configuration": {}}

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        return spec.prototype.buffer.from_bytes(bytes(255 - byte for byte in data.to_bytes()))

    async def _encode_single(self, data: Any, spec: Any) -> Any:
        return await self._decode_single(data, spec)

    def compute_encoded_size(self, size: int, _: Any) -> int:
        return size


@dataclass(frozen=True)
class _Negative(ArrayArrayCodec):
    is_fixed_size = True

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> _Negative:
        return cls()

    def to_dict(self) -> dict[str, Any]:
        return {"name": "test.negative", "configuration": {}}

    async def _decode_single(self, chunk: Any, spec: Any) -> Any:
        return cpu.NDBuffer.from_numpy_array(-chunk.as_numpy_array())

    async def _encode_single(self, chunk: Any, spec: Any) -> Any:
        return await self._decode_single(chunk, spec)

    def compute_encoded_size(self, size: int, _: Any) -> int:
        return size


@dataclass(frozen=True)
class _Text(ArrayBytesCodec):
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> _Text:
        return cls()

    def to_dict(self) -> dict[str, Any]:
        return {"name": "test.text", "configuration": {}}

    def _decode_sync(self, data: Any, spec: Any) -> Any:
        values = np.array(data.to_bytes().split(), spec.dtype.to_native_dtype())
        return cpu.NDBuffer.from_numpy_array(values.reshape(spec.shape))

    def _encode_sync(self, chunk: Any, spec: Any) -> Any:
        text = " ".join(map(str, chunk.as_numpy_array().ravel().tolist()))
        return spec.prototype.buffer.from_bytes(text.encode())

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        return self._decode_sync(data, spec)

    async def _encode_single(self, chunk: Any, spec: Any) -> Any:
        return self._encode_sync(chunk, spec)

    def compute_encoded_size(self, size: int, _: Any) -> int:
        raise NotImplementedError


@pytest.fixture
def _codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    for codec in (_Flip(), _Negative(), _Text()):
        register_codec(codec.to_dict()["name"], type(codec))
    monkeypatch.setattr(model, "_said", set())


@pytest.mark.usefixtures("_codecs", "_alone")
@pytest.mark.parametrize(
    ("codecs", "name"),
    [
        ({"compressors": [_Flip()]}, "test.flip"),
        ({"compressors": [_Flip(), {"name": "zstd", "configuration": {}}]}, "test.flip"),
        ({"filters": [_Negative()]}, "test.negative"),
        ({"serializer": _Text()}, "test.text"),
        ({"compressors": [_Flip()], "shards": (6, 6)}, "test.flip"),
    ],
)
def test_a_codec_that_only_zarr_python_has_is_taken_from_there(
    codecs: dict[str, Any], name: str
) -> None:
    store = ZarrMemory()
    array = zarr.create_array(store, shape=(6, 6), chunks=(3, 2), dtype="i4", **codecs)
    data = np.arange(36, dtype="i4").reshape(6, 6)
    with pytest.warns(FallbackWarning, match=f"zlab has no codec '{name}'"):
        array[...] = data
    again = zarr.open_array(store)
    assert again[1:5, 3].tolist() == data[1:5, 3].tolist()  # and it is said once
    with zarr.config.set({"codec_pipeline.path": PLAIN}):
        assert "zlab" not in repr(zarr.open_array(store)._async_array.codec_pipeline)
    with pytest.raises(UnknownCodecError, match=name):
        zlab.open_array(store)  # what zlab reads by itself does not depend on what was read before


@pytest.mark.usefixtures("_codecs")
def test_what_is_not_understood_is_left_to_zarr_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UnknownCodecError("unknown thing")

    monkeypatch.setattr(model, "parse_node", refuse)
    array = zarr.create_array({}, shape=(4,), chunks=(2,), dtype="i4")
    with pytest.warns(FallbackWarning, match="by itself: unknown thing"):
        array[:] = [1, 2, 3, 4]
    assert array[1:].tolist() == [2, 3, 4]
