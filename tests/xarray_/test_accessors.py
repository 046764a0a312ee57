"""`Dataset.zlab`: blocks and batches have the values that xarray shows, each chunk read once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("xarray")

import xarray as xr

import zlab
from zlab.errors import ChunkReadError, DataTypeError, MemoryBudgetError
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture
def store(weather: xr.Dataset) -> CountingStore:
    found = CountingStore(zlab.create_group({}).store)
    zlab.xarray.write(weather, found, mode="w")
    found.reset()
    return found


@pytest.fixture
def dataset(store: CountingStore) -> xr.Dataset:
    return opened(store, cache=False)


def opened(place: Any, **options: Any) -> xr.Dataset:
    """Opened by zlab; xarray's types know no stores of its engines."""
    return xr.open_dataset(place, engine="zlab", **options)


def joined(blocks: list[xr.Dataset]) -> xr.Dataset:
    return xr.concat(
        blocks, "day", data_vars="minimal", coords="minimal", compat="override", join="outer"
    )


def test_blocks_are_the_dataset(dataset: xr.Dataset) -> None:
    dataset = dataset.drop_vars("nothing")
    stream = dataset.zlab.stream()
    # warmth is cut at 8 days and 3 places, wind at 4 days: both at 8 days
    assert stream.edges == {"day": (0, 8, 16, 24, 30), "place": (0, 6)}
    assert len(stream) == 4
    blocks = list(stream)
    assert all(block.warmth.variable._in_memory for block in blocks)
    assert not any(dataset[name].variable._in_memory for name in ("warmth", "height", "version"))
    xr.testing.assert_identical(joined(blocks), dataset.load())


def test_each_chunk_is_read_once(dataset: xr.Dataset, store: CountingStore) -> None:
    store.reset()
    for _ in dataset[["warmth", "wind", "height"]].zlab.stream():
        pass
    read = {key: n for key, n in store.counts.keys.items() if "/c/" in key}
    assert set(read.values()) == {1}
    assert sum(key.startswith("warmth") for key in read) == 8
    assert sum(key.startswith("wind") for key in read) == 8


def test_parts_are_cut_where_chunks_are(dataset: xr.Dataset) -> None:
    part = dataset[["warmth"]].isel(day=slice(3, 20), place=slice(1, 6)).rename(day="d")
    stream = part.zlab.stream()
    assert stream.edges == {"d": (0, 5, 13, 17), "place": (0, 2, 5)}
    assert [tuple(block.warmth.shape) for block in stream] == [
        (5, 2), (5, 3), (8, 2), (8, 3), (4, 2), (4, 3)
    ]  # fmt: skip
    steps = dataset[["warmth"]].isel(day=slice(None, None, 2)).zlab.stream()
    assert steps.edges["day"] == (0, 15)
    one = dataset[["warmth"]].isel(place=2).zlab.stream(blocks={"day": 10})
    xr.testing.assert_identical(joined(list(one)), dataset[["warmth"]].isel(place=2).load())


def test_streams_of_data_arrays_and_of_functions(dataset: xr.Dataset) -> None:
    parts = list(dataset.wind.zlab.stream())
    assert [part.shape for part in parts] == [(4, 6)] * 7 + [(2, 6)]
    assert {part.name for part in parts} == {"wind"}
    means = dataset.zlab.stream(blocks={"day": -1}).map(lambda block: block.wind.mean().item())
    assert list(means) == [dataset.wind.mean().item()]

    async def shapes() -> list[tuple[int, ...]]:
        return [block.wind.shape async for block in dataset[["wind"]].zlab.stream(by="shard")]

    assert asyncio.run(shapes()) == [(4, 6)] * 7 + [(2, 6)]


def test_dask_and_computed_variables_stream_beside_lazy_ones(dataset: xr.Dataset) -> None:
    pytest.importorskip("dask")
    both = dataset[["wind"]].assign(twice=dataset.wind.chunk({"day": 5}) * 2)
    found = joined(list(both.zlab.stream()))
    np.testing.assert_array_equal(found.twice, found.wind * 2)


def test_memory_is_bounded(dataset: xr.Dataset) -> None:
    with pytest.raises(MemoryBudgetError, match="blocks="):
        dataset.zlab.stream(max_bytes=100)
    stream = dataset[["wind"]].zlab.stream(max_bytes=400)
    assert stream.item_nbytes <= 400
    assert len(list(stream)) == 8
    assert stream.report().nbytes == sum(block.nbytes for block in stream)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"blocks": {"nowhere": 3}}, ValueError, "blocks= names 'nowhere'"),
        ({"blocks": {"day": 0}}, ValueError, "at least 1"),
        ({"by": "chunks"}, ValueError, "by must be"),
        ({"ordered": 1}, TypeError, "True or False"),
        ({"concurrency": 0}, ValueError, "at least 1"),
    ],
)
def test_bad_arguments(
    dataset: xr.Dataset, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        dataset.zlab.stream(**options)


def test_what_zlab_does_not_read_is_streamed_too(dataset: xr.Dataset, weather: xr.Dataset) -> None:
    assert set(dataset.zlab.arrays) >= {"warmth", "wind", "label"}
    assert weather.zlab.arrays == {}
    assert len(weather.zlab.stream()) == 1
    xr.testing.assert_identical(joined(list(weather.zlab.stream(blocks={"day": 7}))), weather)
    with pytest.raises(ValueError, match="in memory"):
        _ = weather.wind.zlab.array
    assert dataset.wind[3].zlab.array.shape == (30, 6)
    pytest.importorskip("dask")
    chunked = (dataset[["wind"]] * 2).chunk({"day": 9})
    assert [block.sizes["day"] for block in chunked.zlab.stream()] == [9, 9, 9, 3]


def test_broken_chunks_end_a_stream(weather: xr.Dataset, tmp_path: Path) -> None:
    zlab.xarray.write(weather[["wind"]], tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "wind" / "c" / "2" / "0").write_bytes(b"no chunk")
    dataset = opened(tmp_path / "a.zarr")
    blocks = iter(dataset.zlab.stream())
    assert [next(blocks).sizes["day"] for _ in range(2)] == [4, 4]
    with pytest.raises(ChunkReadError) as caught:
        next(blocks)
    assert caught.value.coords == (2, 0)


# -- batches


def test_batches_have_the_values_that_xarray_shows(
    dataset: xr.Dataset, weather: xr.Dataset
) -> None:
    pytest.importorskip("jax")
    stream = dataset.zlab.batches(8, x=["warmth", "wind"], y="label", dtype={"warmth": "float32"})
    batches = list(stream)
    assert [len(y) for _, y in batches] == [8, 8, 8, 6]
    shown = dataset.load()
    for name in ("warmth", "wind"):
        found = np.concatenate([np.asarray(x[name]) for x, _ in batches])
        np.testing.assert_array_equal(found, shown[name].values.astype("f4"))
    labels = np.concatenate([np.asarray(y) for _, y in batches])
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, weather.label)


def test_a_function_has_decoded_values(dataset: xr.Dataset) -> None:
    jax = pytest.importorskip("jax")
    seen = []

    def note(batch: Any) -> Any:
        seen.append(np.asarray(batch).copy())
        return batch

    list(dataset.warmth.zlab.batches(16, dtype="float32", transform=note))
    np.testing.assert_array_equal(np.concatenate(seen), dataset.warmth.values.astype("f4"))
    with pytest.raises(ValueError, match=r"without jax\.jit"):
        dataset.warmth.zlab.batches(16, dtype="float32", transform=jax.jit(note))


def test_shuffled_batches_and_names_of_axes(dataset: xr.Dataset) -> None:
    pytest.importorskip("jax")
    renamed = dataset.rename(place="where", day="when")
    options: dict[str, Any] = {"axis": "where", "shuffle": "window", "seed": 1, "dtype": "f4"}
    batches = list(renamed[["height", "wind"]].zlab.batches(4, **options))
    assert [batch["wind"].shape for batch in batches] == [(4, 30), (2, 30)]
    heights = np.concatenate([np.asarray(batch["height"]) for batch in batches])
    wind = np.concatenate([np.asarray(batch["wind"]) for batch in batches])
    assert sorted(heights) == list(range(6))
    np.testing.assert_array_equal(wind, dataset.wind.values.T[heights.astype(int)])


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda d: d.isel(day=slice(4)).wind.zlab.batches(2), ValueError, "a part of"),
        (lambda d: (d.wind + 1).zlab.batches(2), ValueError, "in memory"),
        (lambda d: d.zlab.batches(2, x="none"), ValueError, "no variable 'none'"),
        (lambda d: d.zlab.batches(2, x="wind", axis="none"), ValueError, "no dimension 'none'"),
        (lambda d: d.zlab.batches(2, x="wind", dtype={"w": "f4"}), ValueError, "dtype= names"),
        (lambda d: d.warmth.zlab.batches(2), DataTypeError, "float32 without a word"),
        (lambda d: d.lag.zlab.batches(2), DataTypeError, "lag|array"),
    ],
)
def test_batches_that_cannot_be_made(
    dataset: xr.Dataset, make: Any, kind: type[Exception], message: str
) -> None:
    pytest.importorskip("jax")
    with pytest.raises(kind, match=message):
        make(dataset)


# -- tables


def test_coordinates_are_columns_by_name(dataset: xr.Dataset, store: CountingStore) -> None:
    pl = pytest.importorskip("polars")
    raw = opened(store, cache=False, mask_and_scale=False)
    table = raw[["wind"]].rename(place="where").zlab.scan()
    assert table.collect_schema().names() == ["day", "where", "wind"]
    expected = raw.wind.to_series()
    found = table.collect().sort("day", "where")
    assert found["wind"].to_list() == expected.to_list()
    assert found["day"].to_list() == list(expected.index.get_level_values("day"))
    assert found["where"].to_list() == list(expected.index.get_level_values("place"))
    store.reset()
    late = table.filter(pl.col("day") >= pl.date(2000, 1, 29)).collect()
    assert late["wind"].to_list() == raw.wind[28:].values.reshape(-1).tolist()
    assert [key for key in store.counts.keys if key.startswith("wind/c/")] == ["wind/c/7/0"]


def test_packed_values_are_no_table(dataset: xr.Dataset) -> None:
    pytest.importorskip("polars")
    with pytest.raises(ValueError, match="xarray decodes 'warmth'"):
        dataset[["warmth"]].zlab.scan()
    with pytest.raises(ValueError, match="a part of 'label'"):
        dataset[["label"]].isel(day=slice(3)).zlab.scan()
