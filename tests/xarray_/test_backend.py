"""`engine="zlab"` against xarray's own engine, on stores that xarray and zarr-python wrote."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("xarray")
pytest.importorskip("zarr")
pytest.importorskip("dask")

import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import zlab
from zlab.errors import ChunkReadError, MetadataError, NodeNotFoundError, StoreNotFoundError
from zlab.testing import CountingStore
from zlab.xarray import ZlabBackendEntrypoint

if TYPE_CHECKING:
    from pathlib import Path

    from zlab.metadata import ZarrFormat

# what xarray and zarr-python say of types without a specification, and of what is consolidated
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::UserWarning", "ignore::RuntimeWarning"
)

VERSIONS: tuple[ZarrFormat, ...] = (2, 3)


@pytest.fixture(params=VERSIONS, ids=["v2", "v3"])
def stored(request: pytest.FixtureRequest, weather: xr.Dataset, tmp_path: Path) -> Path:
    path = tmp_path / "weather.zarr"
    weather.to_zarr(path, zarr_format=request.param)
    return path


def opened(place: Any, **options: Any) -> xr.Dataset:
    """Opened by zlab; xarray's types know no stores of its engines."""
    return xr.open_dataset(place, engine="zlab", **options)


def both(path: Any, **options: Any) -> tuple[xr.Dataset, xr.Dataset]:
    return (
        opened(path, **options),
        xr.open_dataset(path, engine="zarr", **options),
    )


def assert_same(ours: xr.Dataset, theirs: xr.Dataset) -> None:
    xr.testing.assert_identical(ours, theirs)
    for name, variable in theirs.variables.items():
        assert ours[name].dtype == variable.dtype, name


@pytest.mark.parametrize("consolidated", [None, True, False])
def test_it_opens_what_the_other_engine_does(stored: Path, *, consolidated: bool | None) -> None:
    assert_same(*both(stored, consolidated=consolidated))


@pytest.mark.parametrize(
    "options",
    [
        {"mask_and_scale": False},
        {"decode_times": False},
        {"decode_cf": False},
        {"decode_coords": "all"},
        {"drop_variables": ["wind", "day"]},
        {"drop_variables": "label"},
    ],
    ids=str,
)
def test_decoding_is_xarrays(stored: Path, options: dict[str, Any]) -> None:
    assert_same(*both(stored, **options))


def test_encodings_are_those_of_the_other_engine(stored: Path) -> None:
    ours, theirs = both(stored)
    for name, variable in theirs.variables.items():
        mine, other = dict(ours[name].encoding), dict(variable.encoding)
        for key in ("compressors", "filters", "serializer"):
            assert _documents(mine.pop(key, ())) == _documents(other.pop(key, ())), (name, key)
        assert mine.keys() == other.keys(), name
        # NaN is equal to none
        assert {k: repr(v) for k, v in mine.items() if k != "dtype"} == {
            k: repr(v) for k, v in other.items() if k != "dtype"
        }
        assert mine["dtype"] == other["dtype"]


def _documents(codecs: Any) -> list[Any]:
    several = codecs if isinstance(codecs, tuple) else (codecs,)
    return [_document(codec) for codec in several]


def _document(codec: Any) -> Any:
    if hasattr(codec, "get_config"):
        return codec.get_config()
    return codec if isinstance(codec, dict) else codec.to_dict()


def test_what_is_open_can_be_written_by_the_other_engine(stored: Path, tmp_path: Path) -> None:
    ours, theirs = both(stored)
    version = zlab.open_group(stored).zarr_format
    ours.to_zarr(tmp_path / "copy.zarr", zarr_format=version)
    assert_same(xr.open_dataset(tmp_path / "copy.zarr", engine="zarr"), theirs)


@given(data=st.data())
def test_selections_are_numpys(data: st.DataObject) -> None:
    values = np.arange(5 * 7 * 3).reshape(5, 7, 3)
    group = zlab.create_group({})
    group.create_array("v", data=values, chunks=(2, 3, 3), dimension_names=["a", "b", "c"])
    lazy = opened(group).v
    plain = xr.DataArray(values, dims=["a", "b", "c"], name="v")
    for _ in range(data.draw(st.integers(1, 3))):
        indexers: dict[Any, Any] = {}
        points = data.draw(st.integers(1, 4))
        for dim, n in plain.sizes.items():
            kinds = ["none", "int", "slice", "list", "points"] if n else ["none", "slice"]
            kind = data.draw(st.sampled_from(kinds))
            index = st.integers(-n, max(n - 1, -n))
            if kind == "int":
                indexers[dim] = data.draw(index)
            elif kind == "slice":
                edge = st.none() | index
                step = data.draw(st.sampled_from([None, 1, 2, 3, -1, -2]))
                indexers[dim] = slice(data.draw(edge), data.draw(edge), step)
            elif kind == "list":
                indexers[dim] = data.draw(st.lists(index, max_size=4))
            elif kind == "points" and dim != "p":
                chosen = data.draw(st.lists(index, min_size=points, max_size=points))
                indexers[dim] = xr.DataArray(chosen, dims="p")
        if "p" in plain.dims and any(isinstance(i, xr.DataArray) for i in indexers.values()):
            break
        lazy, plain = lazy.isel(indexers), plain.isel(indexers)
    xr.testing.assert_identical(lazy.load(), plain)
    assert lazy.dtype == plain.dtype


def test_only_what_is_selected_is_read() -> None:
    store = CountingStore(zlab.create_group({}).store)
    group = zlab.create_group(store, overwrite=True)
    group.create_array(
        "v", data=np.arange(100).reshape(10, 10), chunks=(2, 5), dimension_names=["a", "b"]
    )
    dataset = opened(zlab.open_group(store))
    store.reset()
    assert dataset.v.isel(a=slice(3, 5), b=2).sum().item() == 32 + 42
    assert sorted(store.counts.keys) == ["v/c/1/0", "v/c/2/0"]


def test_groups_and_trees(weather: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "tree.zarr"
    tree = xr.DataTree.from_dict(
        {"/": weather[["version"]], "/a": weather[["warmth"]], "/a/b": weather[["wind"]]}
    )
    tree.to_zarr(path)
    ours = xr.open_datatree(path, engine="zlab")
    xr.testing.assert_identical(ours, xr.open_datatree(path, engine="zarr"))
    ours.close()
    for group in ("a", "/a", "a/b/"):
        assert_same(*both(path, group=group))
        below = xr.open_datatree(path, engine="zlab", group=group)
        xr.testing.assert_identical(below, xr.open_datatree(path, engine="zarr", group=group))
    datasets = xr.open_groups(path, engine="zlab")
    assert list(datasets) == ["/", "/a", "/a/b"]
    xr.testing.assert_identical(datasets["/a/b"], xr.open_dataset(path, group="a/b"))


def test_chunks_are_shards_or_chunks(tmp_path: Path) -> None:
    data = xr.DataArray(np.arange(80.0).reshape(20, 4), dims=["t", "x"], name="v")
    path = tmp_path / "s.zarr"
    data.to_dataset().to_zarr(path, encoding={"v": {"chunks": (2, 2), "shards": (8, 4)}})
    options: dict[str, Any] = {"engine": "zlab", "chunks": {}}
    assert xr.open_dataset(path, **options).v.chunks == ((8, 8, 4), (4,))
    by_chunk = xr.open_dataset(path, **options, by="chunk")
    assert by_chunk.v.chunks == ((2,) * 10, (2, 2))
    assert opened(path, chunks="auto").v.chunks == ((20,), (4,))
    with pytest.warns(UserWarning, match="separate the stored chunks"):
        opened(path, chunks={"t": 4})
    assert by_chunk.v.sum().compute().item() == 79 * 40
    with pytest.raises(ValueError, match="by must be"):
        opened(path, by="chunks")


def test_many_files_are_one_dataset(weather: xr.Dataset, tmp_path: Path) -> None:
    for part in range(3):
        days = weather[["warmth"]].isel(day=slice(10 * part, 10 * part + 10))
        days.warmth.encoding["chunks"] = (5, 6)
        days.to_zarr(tmp_path / f"{part}.zarr")
    paths = [tmp_path / f"{part}.zarr" for part in range(3)]
    with xr.open_mfdataset(paths, engine="zlab") as whole:
        assert whole.warmth.chunks == ((5,) * 6, (6,))
        xr.testing.assert_allclose(whole.warmth.compute(), weather.warmth)


def test_threads_and_processes_read_it(stored: Path) -> None:
    ours, theirs = both(stored)
    with ThreadPoolExecutor(8) as pool:
        parts = pool.map(lambda day: ours.warmth.isel(day=day).values, range(30))
        np.testing.assert_array_equal(np.stack(list(parts)), theirs.warmth.values)
    copy = pickle.loads(pickle.dumps(ours))  # noqa: S301  our own
    assert not copy.warmth.variable._in_memory
    assert_same(copy, theirs)
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).label.sum().item())"
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(ours), capture_output=True, check=True
    )
    assert int(done.stdout) == sum(range(30))


def test_it_loads_asynchronously(stored: Path) -> None:
    ours, theirs = both(stored)
    asyncio.run(ours.load_async())
    assert_same(ours, theirs)


def test_closing_closes_what_was_opened(weather: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "w.zip"
    with zarr.storage.ZipStore(path, mode="w") as store:
        weather[["wind"]].to_zarr(store, consolidated=False)
    before = threading.active_count()
    with opened(path) as dataset:
        np.testing.assert_array_equal(dataset.wind, weather.wind)
    dataset.close()
    assert threading.active_count() <= before + zlab.settings.threads
    group = zlab.open_group(path)
    with opened(group):
        pass
    # the user's own stays open
    np.testing.assert_array_equal(group.array("wind")[:], weather.wind)
    group.close()


def test_stores_of_all_kinds(weather: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "w.zarr"
    weather.to_zarr(path, consolidated=False)
    expected = xr.open_dataset(path, engine="zarr", consolidated=False)
    places: list[Any] = [
        path,
        str(path),
        f"file://{path}",
        zlab.open_group(path),
        zlab.open_group(path).store,
        zarr.storage.LocalStore(path),
    ]
    for place in places:
        assert_same(opened(place), expected)


def test_the_default_engine_stays(stored: Path) -> None:
    engine = ZlabBackendEntrypoint()
    assert not engine.guess_can_open(stored)
    assert engine.guess_can_open(zlab.open_group(stored))
    assert "zlab" in xr.backends.list_engines()
    code = (
        "import sys; sys.modules['zarr'] = None; import importlib.util as u; f = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'zarr' else f(n, *a)\n"
        "import xarray as xr; d = xr.open_dataset(sys.argv[1]); print(d.label.sum().item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stored], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == sum(range(30))


def test_axes_without_names() -> None:
    group = zlab.create_group({})
    group.create_array("v", data=np.zeros((2, 3)))
    group.create_array("scalar", data=np.float32(1))
    with pytest.raises(MetadataError, match=r"axes without names.*dims=\{'v': \[...\]\}"):
        opened(group)
    named = opened(group, dims={"v": ("y", "x")})
    assert named.v.dims == ("y", "x")
    assert list(opened(group, drop_variables="v").variables) == ["scalar"]
    with pytest.raises(MetadataError, match="names 1 axes of an array with 2"):
        opened(group, dims={"v": ["x"]})


def test_what_is_not_there(weather: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        opened(tmp_path / "none.zarr")
    assert isinstance(caught.value, StoreNotFoundError)
    weather.to_zarr(tmp_path / "w.zarr", consolidated=False)
    with pytest.raises(NodeNotFoundError):
        opened(tmp_path / "w.zarr", group="none")
    with pytest.raises(NodeNotFoundError, match="an array, not a group"):
        opened(tmp_path / "w.zarr" / "wind")
    with pytest.raises(MetadataError, match="no consolidated metadata"):
        opened(tmp_path / "w.zarr", consolidated=True)


def test_broken_metadata_and_chunks(weather: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "w.zarr"
    weather.to_zarr(path, consolidated=False)
    (path / "wind" / "c" / "1" / "0").write_bytes(b"no chunk")
    dataset = opened(path)
    with pytest.raises(ChunkReadError) as caught:
        dataset.wind.load()
    assert caught.value.coords == (1, 0)
    assert dataset.wind[:4].shape == (4, 6)
    (path / "label" / "zarr.json").write_text("{}")
    with pytest.raises(MetadataError):
        opened(path)
    assert "label" not in opened(path, drop_variables="label")


def test_absent_chunks_are_fill_or_errors(weather: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "w.zarr"
    weather.to_zarr(path, consolidated=False)
    (path / "wind" / "c" / "1" / "0").unlink()
    assert opened(path).wind[4:8].isnull().all()
    with pytest.raises(ChunkReadError):
        opened(path, missing="raise").wind.load()


def test_a_cache_of_chunks_is_used(weather: xr.Dataset) -> None:
    store = CountingStore(zlab.create_group({}).store)
    zlab.create_group(store, overwrite=True).create_array(
        "v", data=np.arange(10), chunks=5, dimension_names=["x"]
    )
    for cache, requests in ((None, 2), (1 << 20, 1)):
        dataset = opened(store, chunk_cache=cache)
        store.reset()
        assert dataset.v[0].item() + dataset.v[1].item() == 1
        assert store.counts.keys["v/c/0"] == requests


def test_nczarr_names_are_understood() -> None:
    store: dict[str, bytes] = {}
    group = zlab.create_group(store, zarr_format=2)
    group.create_array("v", data=np.arange(3), attributes={"_nczarr_array": {"dimrefs": ["/g/x"]}})
    dataset = opened(zlab.open_group(store), mask_and_scale=False)
    assert dataset.v.dims == ("x",)
    assert dataset.v.attrs == {"_FillValue": 0}
