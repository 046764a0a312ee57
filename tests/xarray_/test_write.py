"""`zlab.xarray.write` against `Dataset.to_zarr`, read back by xarray's own engine."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("xarray")
pytest.importorskip("zarr")
pytest.importorskip("dask")

import xarray as xr

import zlab
from zlab.errors import (
    ChunkWriteError,
    DataTypeError,
    MetadataError,
    NodeExistsError,
    NodeNotFoundError,
)
from zlab.testing import CountingStore, Fault, FaultStore

if TYPE_CHECKING:
    from pathlib import Path

    from zlab.metadata import ZarrFormat

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::UserWarning", "ignore::RuntimeWarning"
)

RAW = {"mask_and_scale": False, "decode_times": False, "decode_coords": False}


@pytest.fixture(params=[2, 3], ids=["v2", "v3"])
def version(request: pytest.FixtureRequest) -> ZarrFormat:
    found: ZarrFormat = request.param
    return found


def opened(place: Any, **options: Any) -> xr.Dataset:
    """Opened by zlab; xarray's types know no stores of its engines."""
    return xr.open_dataset(place, engine="zlab", **options)


def read(path: Path, **options: Any) -> xr.Dataset:
    return xr.open_dataset(path, engine="zarr", **options).load()


def assert_same(ours: Path, theirs: Path) -> None:
    for options in ({}, RAW):
        mine, other = read(ours, **options), read(theirs, **options)
        xr.testing.assert_identical(mine, other)
        assert {n: v.dtype for n, v in mine.variables.items()} == {
            n: v.dtype for n, v in other.variables.items()
        }


def test_a_new_dataset(weather: xr.Dataset, tmp_path: Path, version: ZarrFormat) -> None:
    reports = zlab.xarray.write(weather, tmp_path / "a.zarr", zarr_format=version)
    weather.to_zarr(tmp_path / "b.zarr", zarr_format=version)
    assert_same(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert set(reports) == {str(name) for name in weather.variables}
    assert reports["warmth"].written == 8
    group = zlab.open_group(tmp_path / "a.zarr")
    assert group.consolidated
    assert group.array("warmth").chunks == (8, 3)


def test_encodings_are_taken(weather: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    encoding = {"wind": {"chunks": (5, 3), "shards": (10, 6), "compressors": ["gzip"]}}
    zlab.xarray.write(weather, path, encoding=encoding, consolidated=False)
    wind = zlab.open_group(path).array("wind")
    assert (wind.chunks, wind.shards) == ((5, 3), (10, 6))
    assert [codec.name for codec in wind.compressors] == ["gzip"]
    np.testing.assert_array_equal(read(path, consolidated=False).wind, weather.wind)
    unknown: list[dict[str, dict[str, Any]]] = [{"wind": {"chunk": 3}}, {"wnd": {}}]
    for wrong in unknown:
        with pytest.raises(ValueError, match="encoding="):
            zlab.xarray.write(weather, tmp_path / "c.zarr", encoding=wrong)
    assert not list((tmp_path / "c.zarr").rglob("*"))


@pytest.mark.parametrize("chunks", [None, {}, {"day": 7}], ids=["lazy", "dask", "other chunks"])
def test_what_is_not_in_memory(
    weather: xr.Dataset, tmp_path: Path, version: ZarrFormat, chunks: Any
) -> None:
    zlab.xarray.write(weather, tmp_path / "a.zarr", zarr_format=version)
    lazy = opened(tmp_path / "a.zarr", chunks=chunks)
    zlab.xarray.write(lazy, tmp_path / "b.zarr", zarr_format=version)
    assert not lazy.warmth.variable._in_memory
    xr.testing.assert_identical(read(tmp_path / "b.zarr"), read(tmp_path / "a.zarr"))
    xr.testing.assert_identical(
        read(tmp_path / "b.zarr", **RAW).drop_vars("day"),
        read(tmp_path / "a.zarr", **RAW).drop_vars("day"),
    )
    with pytest.raises(NodeExistsError):
        zlab.xarray.write(lazy, tmp_path / "b.zarr")


def test_blocks_bound_what_is_held(tmp_path: Path) -> None:
    store = CountingStore(zlab.create_group(tmp_path / "a.zarr").store)
    group = zlab.create_group(store, overwrite=True)
    array = group.create_array(
        "v", shape=(64, 512, 512), chunks=(1, 512, 512), dtype="f8", dimension_names=["t", "y", "x"]
    )
    array[:] = np.arange(64.0)[:, None, None]
    store.reset()
    dataset = opened(store)
    tracemalloc.start()
    try:
        zlab.xarray.write(dataset, tmp_path / "b.zarr", max_bytes=32 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # each chunk is read once, and the array has 128 MiB
    assert {n for key, n in store.counts.keys.items() if "/c/" in key} == {1}
    assert peak < 96 << 20
    assert read(tmp_path / "b.zarr").v[:, 0, 0].values.tolist() == list(range(64))


def test_appending(weather: xr.Dataset, tmp_path: Path, version: ZarrFormat) -> None:
    weather = weather.drop_vars("nothing")
    more = weather.isel(day=slice(0, 5))
    more = more.assign_coords(day=more.day + np.timedelta64(30, "D"))
    for path, write in (
        (tmp_path / "a.zarr", zlab.xarray.write),
        (tmp_path / "b.zarr", lambda data, *args, **options: data.to_zarr(*args, **options)),
    ):
        write(weather, path, zarr_format=version)
        write(more, path, append_dim="day")
    assert_same(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert read(tmp_path / "a.zarr").sizes["day"] == 35


def test_an_append_that_fails_leaves_the_dataset_as_it_was(weather: xr.Dataset) -> None:
    whole = zlab.create_group({}).store
    zlab.xarray.write(weather[["wind", "label"]], whole, mode="w")
    before = opened(whole).load()
    broken = FaultStore(whole, [Fault("put", "label/c/*")])
    more = weather[["wind", "label"]].isel(day=slice(0, 8))
    with pytest.raises(ChunkWriteError):
        zlab.xarray.write(more, broken, append_dim="day")
    xr.testing.assert_identical(opened(whole), before)
    zlab.xarray.write(more, whole, append_dim="day")
    assert opened(whole).sizes["day"] == 38


def test_a_write_that_fails_leaves_no_array(weather: xr.Dataset) -> None:
    whole = zlab.create_group({}).store
    broken = FaultStore(whole, [Fault("put", "data/wind/c/*")])
    with pytest.raises(ChunkWriteError):
        zlab.xarray.write(weather[["label", "wind"]], broken, group="data")
    with pytest.raises(NodeNotFoundError):
        zlab.open(whole, path="data")
    zlab.xarray.write(weather[["label", "wind"]], whole, group="data")
    np.testing.assert_array_equal(opened(whole, group="data").wind, weather.wind)


def test_regions(weather: xr.Dataset, tmp_path: Path, version: ZarrFormat) -> None:
    part = (weather[["warmth", "wind"]].isel(day=slice(2, 9)) + 1).drop_vars(["name", "run"])
    named = part.drop_vars(["day", "place"])
    for path in (tmp_path / "a.zarr", tmp_path / "b.zarr"):
        weather.to_zarr(path, zarr_format=version)
    zlab.xarray.write(part, tmp_path / "a.zarr", region="auto")
    part.to_zarr(tmp_path / "b.zarr", region="auto")
    assert_same(tmp_path / "a.zarr", tmp_path / "b.zarr")
    zlab.xarray.write(named + 2, tmp_path / "a.zarr", region={"day": slice(20, 27)})
    (named + 2).to_zarr(tmp_path / "b.zarr", region={"day": slice(20, 27)})
    assert_same(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_variables_are_added(weather: xr.Dataset, tmp_path: Path) -> None:
    zlab.xarray.write(weather[["wind"]], tmp_path / "a.zarr")
    zlab.xarray.write(
        weather[["label"]].assign(wind=weather.wind * 2), tmp_path / "a.zarr", mode="a"
    )
    found = read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(found.wind, weather.wind * 2)
    np.testing.assert_array_equal(found.label, weather.label)


def test_trees_and_arrays(weather: xr.Dataset, tmp_path: Path) -> None:
    tree = xr.DataTree.from_dict({"/": weather[["version"]], "/a/b": weather[["wind", "label"]]})
    encoding = {"/a/b": {"label": {"chunks": (3,)}}}
    zlab.xarray.write(tree, tmp_path / "a.zarr", encoding=encoding)
    tree.to_zarr(tmp_path / "b.zarr", encoding=encoding)
    found = xr.open_datatree(tmp_path / "a.zarr", engine="zarr")
    xr.testing.assert_identical(found, xr.open_datatree(tmp_path / "b.zarr", engine="zarr"))
    assert found["a/b"].label.encoding["chunks"] == (3,)
    zlab.xarray.write(weather.wind, tmp_path / "c.zarr")
    xr.testing.assert_identical(read(tmp_path / "c.zarr").wind, weather.wind)
    with pytest.raises(ValueError, match="has none"):
        zlab.xarray.write(weather.wind.rename(None), tmp_path / "d.zarr")
    with pytest.raises(ValueError, match="no groups of the tree"):
        zlab.xarray.write(tree, tmp_path / "d.zarr", encoding={"/none": {}})


def test_what_does_not_fit_is_refused_before_anything_is_written(
    weather: xr.Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "a.zarr"
    zlab.xarray.write(weather, path)
    stamps = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    lazy = opened(path)
    cases: list[tuple[type[Exception], str, Any, dict[str, Any]]] = [
        (NodeExistsError, "a group already", weather, {}),
        (ValueError, "replaces", lazy, {"mode": "w"}),
        (ValueError, "positions along 'day'", weather.isel(day=slice(3)), {"mode": "a"}),
        (ValueError, "would not grow", weather[["wind"]], {"append_dim": "day"}),
        (ValueError, "append_dim is 'none'", weather[["wind"]], {"append_dim": "none"}),
        (ValueError, "pass one", weather, {"append_dim": "day", "region": "auto"}),
        (ValueError, "drop them", weather, {"region": {"day": slice(0, 30)}}),
        (NodeNotFoundError, "do not exist", weather.wind.to_dataset(name="n"), {"region": "auto"}),
        (ValueError, "mode must be", weather, {"mode": "r"}),
        (ValueError, "keeps its encoding", weather, {"mode": "a", "encoding": {"wind": {}}}),
        (TypeError, "a Dataset", 3, {}),
        (
            DataTypeError,
            "keeps its type",
            weather[["label"]].assign_coords(name=weather.name.astype("U9")),
            {"mode": "a"},
        ),
    ]
    for kind, message, data, options in cases:
        with pytest.raises(kind, match=message):
            zlab.xarray.write(data, path, **options)
    with pytest.raises(MetadataError):
        zlab.xarray.write(weather.assign_attrs(wrong=object()), tmp_path / "b.zarr")
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == stamps
