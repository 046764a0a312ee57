from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.errors import MissingExtraError, NodeExistsError, StoreError
from zlab.tools import demo
from zlab.tools.climate import Climate
from zlab.tools.demo import STAMP, write_demo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("demo")

NBYTES_PER_DAY = 90 * 180 * 4
# three shards, the last of them with 10 days of 64
DAYS = 138
SIZE = DAYS * NBYTES_PER_DAY + 17


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo")
    written = write_demo(directory, cube_nbytes=SIZE, seed=3)
    assert [(store.path.name, store.written) for store in written] == [
        ("digits.zarr", True),
        ("photo.zarr", True),
        ("climate.zarr", True),
    ]
    return directory


def _every_array(group: zlab.Group) -> Iterator[zlab.Array]:
    for _, array in group.arrays():
        yield array
    for _, child in group.groups():
        yield from _every_array(child)


def _arrays(store: Path) -> dict[str, zlab.Array]:
    return {array.path: array for array in _every_array(zlab.open_group(store))}


@pytest.mark.parametrize("name", ["digits.zarr", "photo.zarr", "climate.zarr"])
def test_zarr_python_reads_the_same(stores: Path, name: str) -> None:
    zarr = pytest.importorskip("zarr")
    group = zlab.open_group(stores / name)
    theirs = zarr.open_group(stores / name, mode="r")
    assert dict(theirs.attrs) == dict(group.attrs)
    assert theirs.metadata.zarr_format == group.zarr_format
    arrays = list(_every_array(group))
    assert len(arrays) == {"digits.zarr": 8, "photo.zarr": 6, "climate.zarr": 10}[name]
    for array in arrays:
        oracle = theirs[array.path]
        assert (oracle.shape, oracle.chunks, oracle.shards) == (
            array.shape,
            array.chunks,
            array.shards,
        )
        assert dict(oracle.attrs) == dict(array.attrs)
        np.testing.assert_array_equal(oracle[...], array[...], strict=True)


def test_every_array_names_its_dimensions(stores: Path) -> None:
    for name in ("digits.zarr", "photo.zarr", "climate.zarr"):
        for array in _every_array(zlab.open_group(stores / name)):
            assert array.dimension_names is not None
            assert None not in array.dimension_names


def test_digits_are_scikit_learns(stores: Path) -> None:
    from sklearn.datasets import load_digits

    source = load_digits()
    arrays = _arrays(stores / "digits.zarr")
    images, labels = arrays["images"][...], arrays["labels"][...]
    assert images.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(images, source.images)
    np.testing.assert_array_equal(labels, source.target)
    rows = [arrays[f"{part}/sample"][...] for part in ("train", "test")]
    assert [len(part) for part in rows] == [1437, 360]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(1797))
    for part, chosen in zip(("train", "test"), rows, strict=True):
        np.testing.assert_array_equal(arrays[f"{part}/images"][...], source.images[chosen])
        np.testing.assert_array_equal(arrays[f"{part}/labels"][...], source.target[chosen])
        assert set(source.target[chosen]) == set(range(10))
    assert arrays["train/images"].shards == (512, 8, 8)
    assert arrays["images"].shards is None


def test_photographs_are_scikit_learns(stores: Path) -> None:
    from sklearn.datasets import load_sample_image

    arrays = _arrays(stores / "photo.zarr")
    assert {array.zarr_format for array in arrays.values()} == {2}
    for name in ("china", "flower"):
        np.testing.assert_array_equal(arrays[name][...], load_sample_image(f"{name}.jpg"))
    assert [arrays[name].order for name in ("china", "flower")] == ["C", "F"]


def test_each_level_of_the_pyramid_is_the_mean_of_the_one_above(stores: Path) -> None:
    arrays = _arrays(stores / "photo.zarr")
    attributes = zlab.open_group(stores / "photo.zarr", path="pyramid").attrs
    paths = [level["path"] for level in attributes["multiscales"][0]["datasets"]]
    assert paths == ["0", "1", "2", "3"]
    levels = [arrays[f"pyramid/{path}"][...] for path in paths]
    np.testing.assert_array_equal(levels[0], arrays["china"][...])
    assert [level.shape for level in levels] == [
        (427, 640, 3),
        (213, 320, 3),
        (106, 160, 3),
        (53, 80, 3),
    ]
    for fine, coarse in pairwise(levels):
        y, x = coarse.shape[0] - 1, 7
        block = fine[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].astype(float)
        np.testing.assert_array_equal(coarse[y, x], block.mean(axis=(0, 1)).round())


def test_elnino_is_statsmodels(stores: Path) -> None:
    from statsmodels.datasets import elnino

    table = elnino.load_pandas().data
    arrays = _arrays(stores / "climate.zarr")
    np.testing.assert_array_equal(arrays["elnino/sea_temperature"][...], table.iloc[:, 1:])
    np.testing.assert_array_equal(arrays["elnino/year"][...], table["YEAR"])
    np.testing.assert_array_equal(arrays["elnino/month"][...], np.arange(1, 13))


def test_co2_is_statsmodels_with_nan_where_a_week_is_missing(stores: Path) -> None:
    from statsmodels.datasets import co2

    table = co2.load_pandas().data
    arrays = _arrays(stores / "climate.zarr")
    assert np.isnan(arrays["co2/co2"].fill_value)
    values = arrays["co2/co2"][...]
    np.testing.assert_array_equal(values, table["co2"])
    assert np.isnan(values).sum() == 59
    times = arrays["co2/time"][...]
    assert times.dtype == "datetime64[ms]"
    np.testing.assert_array_equal(times, table.index.to_numpy())
    assert str(times[0]) == "1958-03-29T00:00:00.000"


def test_the_cube_is_the_climate_of_its_seed(stores: Path) -> None:
    arrays = _arrays(stores / "climate.zarr")
    climate = Climate(90, 180, seed=3)
    expected = climate.temperature(0, DAYS)
    assert arrays["cube/temperature"].shards == (64, 90, 180)
    np.testing.assert_array_equal(arrays["cube/temperature"][...], expected)
    np.testing.assert_array_equal(arrays["cube/ice"][...], climate.ice(expected))
    np.testing.assert_array_equal(arrays["cube/time"][...], np.arange(DAYS))
    np.testing.assert_array_equal(arrays["cube/lat"][...], climate.lat)
    np.testing.assert_array_equal(arrays["cube/lon"][...], climate.lon)
    # without ice a chunk is not stored: the heatmap has something to show
    ice = arrays["cube/ice"]
    assert 0 < ice.nchunks_initialized < ice.nchunks


def test_xarray_decodes_the_climate(stores: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("zarr")
    cube = xarray.open_zarr(stores / "climate.zarr", group="cube", consolidated=False)
    assert dict(cube.sizes) == {"time": DAYS, "lat": 90, "lon": 180}
    assert str(cube.time.values[31])[:10] == "2000-02-01"
    assert cube.temperature.attrs["units"] == "degree_Celsius"


def test_a_second_run_keeps_what_is_there(stores: Path) -> None:
    document = stores / "climate.zarr" / "zarr.json"
    before = document.stat().st_mtime_ns
    again = write_demo(stores, cube_nbytes=SIZE, seed=3)
    assert [store.written for store in again] == [False, False, False]
    assert document.stat().st_mtime_ns == before
    assert sorted(path.name for path in stores.iterdir()) == [
        "climate.zarr",
        "digits.zarr",
        "photo.zarr",
    ]


def _write(directory: Path, **options: Any) -> list[bool]:
    options.setdefault("cube_nbytes", NBYTES_PER_DAY)
    return [store.written for store in write_demo(directory, **options)]


def test_other_settings_need_overwrite(tmp_path: Path) -> None:
    assert _write(tmp_path) == [True, True, True]
    with pytest.raises(NodeExistsError, match=r"with other settings.*--overwrite") as caught:
        _write(tmp_path, cube_nbytes=2 * NBYTES_PER_DAY)
    assert caught.value.store == str(tmp_path / "climate.zarr")
    assert zlab.open_array(tmp_path / "climate.zarr", path="cube/time").shape == (1,)
    assert _write(tmp_path, cube_nbytes=2 * NBYTES_PER_DAY, overwrite=True) == [False, False, True]
    assert zlab.open_array(tmp_path / "climate.zarr", path="cube/time").shape == (2,)


def test_what_others_wrote_is_never_replaced(tmp_path: Path) -> None:
    theirs = zlab.create_array(tmp_path / "photo.zarr", shape=(2,), dtype="int8", data=[1, 2])
    for overwrite in (False, True):
        with pytest.raises(NodeExistsError, match="did not write is in the way"):
            _write(tmp_path, overwrite=overwrite)
    assert theirs[...].tolist() == [1, 2]
    # it was seen before anything was written
    assert [path.name for path in tmp_path.iterdir()] == ["photo.zarr"]


def test_a_store_that_cannot_be_read_is_not_taken_for_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits.zarr").mkdir()

    def fail(*_: object, **__: object) -> None:
        raise StoreError("the file cannot be opened: Input/output error")

    monkeypatch.setattr(demo, "open_group", fail)
    with pytest.raises(StoreError, match="Input/output error"):
        _write(tmp_path, overwrite=True)


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_write_cube", stop)
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.zarr", "photo.zarr"]
    monkeypatch.undo()
    assert _write(tmp_path) == [False, False, True]


def test_two_runs_at_once_leave_whole_stores(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        runs = list(threads.map(lambda _: _write(tmp_path), range(3)))
    assert [sum(run[store] for run in runs) for store in range(3)] == [1, 1, 1]
    assert len(list(tmp_path.iterdir())) == 3
    assert zlab.open_array(tmp_path / "digits.zarr", path="labels")[:3].tolist() == [0, 1, 2]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_stores_are_as_readable_as_other_directories(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    _write(tmp_path / "demo")
    expected = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "demo" / "digits.zarr").stat().st_mode) == expected


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file")
    with pytest.raises(StoreError, match="this is a file, not a directory"):
        _write(tmp_path / "demo")
    with pytest.raises(StoreError, match="cannot make the directory: Not a directory"):
        _write(tmp_path / "demo" / "below")


def test_a_cube_without_a_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs at least 64800 bytes, for one day, not 64799"):
        _write(tmp_path / "demo", cube_nbytes=64_799)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("module", "library"), [("sklearn", "scikit-learn"), ("statsmodels", "statsmodels")]
)
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, library: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"needs {library}.*'zlab\[demo\]'"):
        _write(tmp_path)


def test_the_stamp_says_what_was_asked_for(stores: Path) -> None:
    stamp = zlab.open_group(stores / "climate.zarr").attrs[STAMP]
    assert stamp == {"edition": 1, "cube_nbytes": SIZE, "seed": 3}
