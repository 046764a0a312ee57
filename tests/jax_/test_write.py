"""What `from_array` and `write` store is what the tensors held, bit for bit."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import (
    ChunkWriteError,
    DataTypeError,
    EntryError,
    MetadataError,
    NodeExistsError,
    ReadOnlyError,
)
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402  not without jax

SCRIPT = Path(__file__).with_name("two_processes.py")
VALUES = np.arange(16 * 6, dtype="f4").reshape(16, 6)

# -- there and back, whatever the type, the chunks, the shards


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    """A shape, and chunks with cut edges, of many sizes or in shards."""
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=ndim, max_size=ndim)))
    chunks = tuple(draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim)))
    kind = draw(st.sampled_from(["regular", "sharded", "rectilinear"]))
    if kind == "sharded":
        factors = draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim))
        shards = tuple(n * factor for n, factor in zip(chunks, factors, strict=True))
        return shape, {"chunks": chunks, "shards": shards}
    if kind == "rectilinear":
        firsts = [draw(st.integers(1, n)) for n in shape]
        sizes = [[first, max(1, n - first)] for first, n in zip(firsts, shape, strict=True)]
        return shape, {"chunks": sizes}
    return shape, {"chunks": chunks}


DTYPES = [
    *("bool", "int8", "uint16", "int32", "uint64", "float16", "float32", "float64"),
    *("bfloat16", "float8_e4m3", "float8_e5m2", "int4", "uint2", "complex64", "complex128"),
]


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...]) -> NDArray[Any]:
    """Values of any bits, NaNs with payloads among them, and runs of fill."""
    name = draw(st.sampled_from(DTYPES))
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name, name))
    count = int(np.prod(shape))
    pattern = np.frombuffer(draw(st.binary(min_size=1, max_size=64)), "u1")
    data = np.resize(pattern, count * dtype.itemsize)
    if draw(st.booleans()):
        data[: len(data) // 2] = 0
    if name == "bool":
        data &= 1
    if name in ("int4", "uint2"):
        data = (data & (15 if name == "int4" else 3)).astype("u1")
        return (data.astype("i1") - (8 if name == "int4" else 0)).astype(dtype).reshape(shape)
    return data.view(dtype).reshape(shape)


def bits(values: object) -> bytes:
    array = np.asarray(values)
    # of the smallest types only the bits that they hold
    return array.astype("i1").tobytes() if array.dtype.name == "int4" else array.tobytes()


@given(data=st.data())
def test_a_stream_goes_to_jax_and_back_bit_for_bit(data: st.DataObject) -> None:
    shape, options = data.draw(grids())
    values = data.draw(tensors(shape))
    fill = data.draw(st.sampled_from([None, values.reshape(-1)[0]]))
    source = zlab.create_array(
        {}, shape=shape, dtype=values.dtype.name, fill_value=fill, **data.draw(grids_of(shape))
    )
    source[...] = values
    target = zlab.create_array({}, shape=shape, dtype=values.dtype.name, **options)
    ordered = data.draw(st.sampled_from([None, True, False]))
    with jax.enable_x64(True):
        chunks = zlab.jax.chunks(source, include_missing=True, ordered=ordered)
        if data.draw(st.booleans()):
            report = zlab.jax.write(target, chunks)
        else:
            report = zlab.jax.write(target, ((chunk.region, chunk.data) for chunk in chunks))
        assert bits(target[...]) == bits(values)
        assert report.nentries == source.nchunks
        batch_size = data.draw(st.integers(1, 8))
        again = zlab.create_array({}, shape=shape, dtype=values.dtype.name, **options)
        zlab.jax.write(again, zlab.jax.batches(source, batch_size))
        assert bits(again[...]) == bits(values)
        copied = zlab.jax.from_array(zlab.jax.to_array(source), {}, **options)
        assert bits(copied[...]) == bits(values)
        assert copied.metadata.data_type == source.metadata.data_type


@st.composite
def grids_of(draw: st.DrawFn, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"chunks": tuple(draw(st.integers(1, n + 1)) for n in shape)}


# -- from_array


def test_a_tensor_is_stored_with_what_is_said_of_it() -> None:
    store: dict[str, bytes] = {}
    array = zlab.jax.from_array(
        jnp.asarray(VALUES),
        store,
        path="a/b",
        chunks=(4, 3),
        shards=(8, 6),
        dimension_names=["y", None],
        attributes={"units": "m"},
        fill_value=7,
        compressors=None,
    )
    assert zlab.open_array(store, path="a/b").metadata == array.metadata
    assert (array.chunks, array.shards, array.fill_value) == ((4, 3), (8, 6), 7)
    assert (array.dimension_names, dict(array.attrs)) == (("y", None), {"units": "m"})
    np.testing.assert_array_equal(array[...], VALUES)
    old = zlab.jax.from_array(jnp.asarray(VALUES), {}, zarr_format=2, order="F")
    assert (old.zarr_format, old.order) == (2, "F")
    np.testing.assert_array_equal(old[...], VALUES)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_tensors_without_axes_or_elements(shape: tuple[int, ...]) -> None:
    tensor = jnp.ones(shape, "int16")
    array = zlab.jax.from_array(tensor, {})
    assert array.shape == shape
    assert array.dtype == "int16"
    assert (array[...] == 1).all()


def test_numpy_arrays_are_tensors_too() -> None:
    times = np.array(["2020-01-01", "NaT"], "M8[D]")
    assert zlab.jax.from_array(times, {})[...].tolist() == times.tolist()
    assert zlab.jax.from_array(np.float64(3), {})[...] == 3


def test_what_is_there_stays_unless_it_is_replaced() -> None:
    store: dict[str, bytes] = {}
    zlab.jax.from_array(jnp.zeros(3), store)
    with pytest.raises(NodeExistsError):
        zlab.jax.from_array(jnp.ones(3), store)
    assert zlab.jax.from_array(jnp.ones(2), store, overwrite=True)[...].tolist() == [1, 1]


def test_nothing_is_created_of_what_is_no_tensor() -> None:
    store: dict[str, bytes] = {}
    donated = jnp.ones(3)
    donated.delete()
    with pytest.raises(ValueError, match="deleted, or donated"):
        zlab.jax.from_array(donated, store)
    with pytest.raises(TypeError, match="while a function is traced"):
        jax.jit(lambda x: zlab.jax.from_array(x, store))(jnp.ones(3))
    for wrong in ([1, 2], "x", None, 3):
        with pytest.raises(TypeError, match=r"x must be a jax\.Array, a NumPy array or"):
            zlab.jax.from_array(wrong, store)
    with pytest.raises(DataTypeError, match="float8_e4m3fn"):
        zlab.jax.from_array(jnp.zeros(3, "float8_e4m3fn"), store)
    with pytest.raises(MetadataError, match="multiples"):
        zlab.jax.from_array(jnp.zeros(4), store, chunks=2, shards=3)
    for option in ({"dtype": "f2"}, {"shape": (2, 2)}, {"data": 1}, {"chunk": 2}):
        with pytest.raises(TypeError, match="unexpected keyword"):
            zlab.jax.from_array(jnp.zeros(4), store, **option)
    assert store == {}


def test_memory_of_the_cpu_is_encoded_as_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = jnp.asarray(np.zeros((4, 8), "f4")) + 1
    seen: list[int] = []
    asarray = np.asarray

    def record(data: Any, *more: Any, **options: Any) -> Any:
        array = asarray(data, *more, **options)
        if data is tensor:
            seen.append(array.ctypes.data)
        return array

    monkeypatch.setattr("numpy.asarray", record)
    zlab.jax.from_array(tensor, {})
    assert seen == [tensor.unsafe_buffer_pointer()]


@pytest.mark.needs("xarray")
def test_dimension_names_go_to_xarray_and_come_back() -> None:
    xr = pytest.importorskip("xarray")
    array = zlab.create_array(
        {}, data=VALUES, chunks=4, dimension_names=["y", "x"], attributes={"units": "m"}
    )
    named = xr.DataArray(
        zlab.jax.to_array(array), dims=array.dimension_names, attrs=dict(array.attrs)
    )
    assert isinstance(named.data, jax.Array)
    half = named.isel(x=slice(0, 3)) / 2
    assert isinstance(half.data, jax.Array)
    again = zlab.jax.from_array(half.assign_attrs(units="m"), {}, chunks=(4, 3))
    assert (again.dimension_names, dict(again.attrs)) == (("y", "x"), {"units": "m"})
    np.testing.assert_array_equal(again[...], VALUES[:, :3] / 2)
    renamed = zlab.jax.from_array(half, {}, dimension_names=["a", "b"], attributes={})
    assert (renamed.dimension_names, dict(renamed.attrs)) == (("a", "b"), {})
    of_numpy = zlab.jax.from_array(xr.DataArray(VALUES, dims=("u", "v")), {})
    assert of_numpy.dimension_names == ("u", "v")
    with pytest.raises(TypeError, match="not Dataset"):
        zlab.jax.from_array(xr.Dataset({"a": named}), {})
    with pytest.raises(MetadataError, match="text or None"):
        zlab.jax.from_array(xr.DataArray(VALUES, dims=(0, 1)), {})


# -- write


def empty_array(**options: Any) -> tuple[zlab.Array, CountingStore]:
    store = CountingStore(MemoryStore())
    options = {"shape": (16, 6), "chunks": (5, 6), "dtype": "f4"} | options
    return zlab.create_array(store, **options), store


def batches_of(size: int) -> list[Any]:
    return [jnp.asarray(VALUES[n : n + size]) for n in range(0, 16, size)]


@pytest.mark.parametrize("size", [1, 3, 5, 16])
@pytest.mark.parametrize("options", [{}, {"chunks": (2, 3), "shards": (4, 6)}])
def test_batches_are_written_one_after_another(size: int, options: dict[str, Any]) -> None:
    array, store = empty_array(**options)
    report = zlab.jax.write(array, iter(batches_of(size)))
    np.testing.assert_array_equal(array[...], VALUES)
    assert report.nentries == len(batches_of(size))
    assert report.nbytes == VALUES.nbytes
    assert {n for key, n in store.counts.keys.items() if key.startswith("c/")} <= {1, 2}
    assert report.written == 4


def test_they_may_begin_anywhere_and_be_of_numpy() -> None:
    array, _ = empty_array()
    zlab.jax.write(array, [VALUES[10:]], start=10)
    np.testing.assert_array_equal(array[10:], VALUES[10:])
    assert (array[:10] == 0).all()


def test_entries_are_those_of_write_stream() -> None:
    array, _ = empty_array()
    source = zlab.create_array({}, data=VALUES, chunks=(2, 6))
    entries = [
        ((slice(0, 5), slice(0, 6)), jnp.asarray(VALUES[:5])),
        ((3, 0), jnp.asarray(VALUES[15:])),
        (slice(5, 10), VALUES[5:10]),
        *source.stream_slices(start=10, stop=12),
        *zlab.jax.chunks(source, region=slice(12, 15)),
    ]
    assert zlab.jax.write(array, entries).written == 4
    np.testing.assert_array_equal(array[...], VALUES)


def test_a_write_goes_on_where_it_stopped(tmp_path: Path) -> None:
    array, store = empty_array()
    with pytest.raises(ZeroDivisionError):
        zlab.jax.write(
            array,
            (batch if n < 2 else batch / (1 // 0) for n, batch in enumerate(batches_of(5))),
            checkpoint=tmp_path / "done",
            batch_size=1,
        )
    store.reset()
    report = zlab.jax.write(array, batches_of(5), checkpoint=tmp_path / "done")
    assert (report.skipped, report.written) == (2, 2)
    np.testing.assert_array_equal(array[...], VALUES)


@pytest.mark.parametrize(
    ("batches", "says"),
    [
        ([jnp.zeros((5, 6), "float16")], "dtype float16, where the array has float32"),
        ([jnp.zeros((5, 6), "int32")], "dtype int32"),
        ([jnp.zeros((5, 5))], r"shape \(5, 5\), where the array has \(5, 6\)"),
        ([jnp.zeros(())], r"shape \(\), where the array has \(1, 6\)"),
        ([jnp.zeros((17, 6))], "region 0:17 is not inside axis 0"),
        ([((0, 0), jnp.zeros((5, 6))), jnp.zeros((5, 6))], "an earlier entry wrote this chunk"),
        ([jnp.zeros((4, 6))], "incomplete"),
        ([7], "int is no entry"),
    ],
)
def test_what_does_not_fit_is_refused(batches: list[Any], says: str) -> None:
    array, _ = empty_array()
    with pytest.raises(EntryError, match=says):
        zlab.jax.write(array, batches)
    if len(batches) == 1:
        assert array.nchunks_initialized == 0


def test_arguments_of_write_are_checked() -> None:
    array, _ = empty_array()
    for wrong in (jnp.zeros((5, 6)), VALUES, 3):
        with pytest.raises(TypeError, match="batches must be an iterable of tensors"):
            zlab.jax.write(array, wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"array must be a zlab\.Array"):
        zlab.jax.write(VALUES, [])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="start must be at least 0"):
        zlab.jax.write(array, [], start=-1)
    with pytest.raises(TypeError, match="unexpected keyword"):
        zlab.jax.write(array, [], worker=2)
    with pytest.raises(TypeError, match="entry 0 is a pair of tensors"):
        zlab.jax.write(array, [(jnp.zeros((16, 6)), jnp.zeros(16))])
    with pytest.raises(ReadOnlyError):
        zlab.jax.write(zlab.open_array(array.store, mode="r"), batches_of(5))


def test_a_chunk_that_cannot_be_put_is_an_error() -> None:
    class Full(MemoryStore):
        def put(self, key: str, data: Any) -> None:
            if key == "c/2/0":
                raise zlab.errors.StoreError("no space left")
            super().put(key, data)

    array = zlab.create_array(Full(), shape=(16, 6), chunks=(5, 6), dtype="f4")
    with pytest.raises(ChunkWriteError) as caught:
        zlab.jax.write(array, batches_of(5))
    assert caught.value.coords == (2, 0)
    failed: list[Any] = []
    report = zlab.jax.write(array, batches_of(5), on_error=failed.append)
    assert [error.coords for error in failed] == [(2, 0)]
    assert report.written == 3


def test_a_loop_that_donates_its_tensors_is_written_as_it_was() -> None:
    """The next tensor is made when the one before is with the host."""
    array = zlab.create_array({}, shape=(8, 1000), chunks=(1, 1000), dtype="f4")
    step = jax.jit(lambda x: x * 2, donate_argnums=0)

    def loop() -> Any:
        x = jnp.ones((1, 1000))
        for _ in range(8):
            yield x
            x = step(x)

    zlab.jax.write(array, loop(), concurrency=1)
    np.testing.assert_array_equal(array[:, 0], 2.0 ** np.arange(8))
    assert (array[...] == array[:, :1]).all()


# -- chunks


def test_chunks_are_those_of_stream_chunks_on_the_device() -> None:
    source = zlab.create_array({}, shape=(16, 6), chunks=(5, 4), dtype="f4", shards=(10, 4))
    source[3:, :5] = VALUES[3:, :5]
    options: list[dict[str, Any]] = [
        {},
        {"include_missing": True, "ordered": True},
        {"region": (slice(2, 12), slice(1, 6)), "ordered": False},
        {"filter": lambda coords: coords[0] == 1, "by": "shard"},
    ]
    for each in options:
        ours = sorted(zlab.jax.chunks(source, **each), key=lambda chunk: chunk.coords)
        theirs = sorted(source.stream_chunks(**each), key=lambda chunk: chunk.coords)
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            assert isinstance(one.data, jax.Array)
            assert (one.coords, one.region) == (other.coords, other.region)
            assert (one.nbytes_stored, one.present) == (other.nbytes_stored, other.present)
            np.testing.assert_array_equal(one.data, other.data)


def test_chunks_are_taken_over_without_a_copy_and_not_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[int] = []
    put = jax.device_put

    def record(data: Any, *where: Any) -> Any:
        given.append(data.ctypes.data)
        return put(data, *where)

    monkeypatch.setattr("jax.device_put", record)
    # so large that the memory of chunks is used again
    values = np.arange(16 << 15, dtype="f4").reshape(16, 1 << 15)
    source = zlab.create_array({}, data=values, chunks=(1, 1 << 15))
    kept = list(zlab.jax.chunks(source, include_missing=True))
    assert [chunk.data.unsafe_buffer_pointer() for chunk in kept] == given
    assert len(set(given)) == 16
    np.testing.assert_array_equal(np.concatenate([chunk.data for chunk in kept]), values)
    given.clear()
    for _ in zlab.jax.chunks(source, include_missing=True, concurrency=1):
        pass
    assert len(set(given)) < 16


def test_a_stream_of_tensors_is_a_stream() -> None:
    source = zlab.create_array({}, data=VALUES, chunks=(4, 6), fill_value=-1)
    stream = zlab.jax.chunks(source, max_bytes=1000)
    assert (stream.max_nchunks, stream.item_nbytes, stream.max_bytes) == (4, 96, 1000)
    assert repr(stream).startswith("<TensorStream of float32 of <ChunkStream memory:")
    sums = stream.map(lambda chunk: float(chunk.data.sum()), workers=2)
    assert list(sums) == [float(VALUES[n : n + 4].sum()) for n in range(0, 16, 4)]
    assert [len(pair) for pair in stream.batch(2)] == [2, 2]
    assert stream.stats().max == 95
    seen: list[int] = []
    with zlab.jax.chunks(source, progress=lambda event: seen.append(event.nchunks)) as told:
        assert repr(next(iter(told))).startswith("<TensorChunk (0, 0) [0:4, 0:6] float32, ")
    assert len(seen) == 1

    async def collect() -> list[tuple[int, ...]]:
        return [chunk.coords async for chunk in stream]

    assert asyncio.run(collect()) == [(n, 0) for n in range(4)]


def test_a_stream_of_tensors_goes_on_from_its_state() -> None:
    source = zlab.create_array({}, data=VALUES, chunks=(4, 6), fill_value=-1)
    stream = zlab.jax.chunks(source)
    fresh = stream.state()
    for chunk in stream:
        if chunk.coords == (1, 0):
            break
    state = json.loads(json.dumps(stream.state()))
    rest = zlab.jax.chunks(source, state=state)
    assert [chunk.coords for chunk in rest] == [(2, 0), (3, 0)]
    assert [chunk.coords for chunk in source.stream_chunks(state=state)] == [(2, 0), (3, 0)]
    assert len(list(zlab.jax.chunks(source, state=fresh))) == 4
    assert stream.report().nchunks == 2


def test_chunks_are_cast_only_when_it_is_asked_for() -> None:
    store = CountingStore(MemoryStore())
    wide = zlab.create_array(store, data=np.arange(6.0), chunks=2)
    store.reset()
    with pytest.raises(DataTypeError, match=r"dtype='float32'"):
        zlab.jax.chunks(wide)
    assert not any(key.startswith("c/") for key in store.counts.keys)
    with pytest.raises(TypeError, match=r"device must be a jax\.Device"):
        zlab.jax.chunks(wide, dtype="float32", device="cpu")
    (first, *_) = zlab.jax.chunks(wide, dtype="bfloat16", device=jax.devices()[0])
    assert first.data.dtype == "bfloat16"
    with jax.enable_x64(True):
        stream = zlab.jax.chunks(wide)
    with pytest.raises(DataTypeError, match=r"chunk \(0,\) is float64"):
        list(stream)


# -- several processes


def test_two_processes_hold_and_write_one_tensor(tmp_path: Path) -> None:
    zlab.create_array(tmp_path / "source", data=VALUES, chunks=(4, 6), compressors=None)
    target = zlab.create_array(tmp_path / "target", shape=(16, 6), chunks=(2, 6), dtype="f4")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(number), port, tmp_path],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    first, second = (json.loads((tmp_path / f"{n}.json").read_text()) for n in range(2))
    assert (first.pop("read"), second.pop("read")) == (["c/0/0", "c/1/0"], ["c/2/0", "c/3/0"])
    assert first.pop("exists") == "NodeExistsError"
    assert second.pop("exists") == "process 0 could not create the array"
    assert first == second
    assert first["auto"] == [4, 6]
    assert first["cut"][0].startswith("each device holds (4, 6) elements, and along axis 0")
    assert first["cut"][1] is False
    assert first["written"] == [4, 192]
    np.testing.assert_array_equal(target[...], VALUES)
