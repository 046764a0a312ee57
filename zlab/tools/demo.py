"""Demo stores: real data that well-kept packages carry, and one large cube that is computed.

`digits.zarr` (v3): scikit-learn's handwritten digits, whole, and split for training and testing.
`photo.zarr` (v2): two photographs of scikit-learn's, and one of them as a pyramid.
`climate.zarr` (v3): statsmodels' Mauna Loa CO2 and El Niño sea temperatures, and the cube.

This module is the only importer of scikit-learn and statsmodels.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zlab.errors import (
    MetadataError,
    MissingExtraError,
    NodeExistsError,
    NodeNotFoundError,
    StoreError,
    ZlabError,
)
from zlab.group import create_group, open_group
from zlab.stores.base import storage_error
from zlab.tools.climate import Climate

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from zlab.group import Group
    from zlab.metadata import ZarrFormat

CUBE_NBYTES = 64_000_000
"""Bytes of the cube's temperatures, unless another size is asked for."""

STAMP = "zlab_demo"
"""The attribute of a store's root that says what wrote it."""

NBYTES_PER_DAY = 90 * 180 * 4
"""Bytes of one day of the cube's temperatures, the least that a cube can have."""

_EDITION = 1  # of what is written: a change of the data or of their layout counts it up
_NLAT, _NLON = 90, 180
_DAYS_PER_SHARD = 64
_TEST_SAMPLES = 360
_MIN_PYRAMID_SIDE = 50

_BLOSC = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "shuffle"}}
_GZIP = {"name": "gzip", "configuration": {"level": 5}}


class DemoStore(NamedTuple):
    """A store of the demo.

    Attributes:
        path: Its directory.
        written: Whether it was written now; otherwise it was there already.
    """

    path: Path
    written: bool


def write_demo(
    directory: str | os.PathLike[str],
    *,
    cube_nbytes: int = CUBE_NBYTES,
    seed: int = 0,
    overwrite: bool = False,
) -> list[DemoStore]:
    """Writes the demo stores into a directory; those that are there already are kept.

    A store appears when it is complete: an interrupted run leaves none behind, and two runs at
    once do not disturb each other.

    Args:
        directory: Where; made where it is missing.
        cube_nbytes: Bytes of the cube's temperatures, in memory. It is computed and written a
            shard at a time, so it may be larger than memory.
        seed: Of the cube, and of which digits are kept for testing.
        overwrite: Replace demo stores that were written with other settings. Anything else is
            never replaced.

    Returns:
        The stores, in the order of the module's description.

    Raises:
        MissingExtraError: A package that carries the data is not installed.
        NodeExistsError: Something else is at a store's place.
        StoreError: The directory is a file, or cannot be written to.
        ValueError: The cube has not room for one day.

    Example:
        >>> import tempfile
        >>> [store.path.name for store in write_demo(tempfile.mkdtemp(), cube_nbytes=10**6)]
        ['digits.zarr', 'photo.zarr', 'climate.zarr']
    """
    if cube_nbytes < NBYTES_PER_DAY:
        msg = f"the cube needs at least {NBYTES_PER_DAY} bytes, for one day, not {cube_nbytes}"
        raise ValueError(msg)
    place = Path(directory)
    plans = [
        _Plan(place / "digits.zarr", 3, {"seed": seed}, lambda root: _write_digits(root, seed)),
        _Plan(place / "photo.zarr", 2, {}, _write_photo),
        _Plan(
            place / "climate.zarr",
            3,
            {"cube_nbytes": cube_nbytes, "seed": seed},
            lambda root: _write_climate(root, cube_nbytes, seed),
        ),
    ]
    _make_directory(place)
    # all are looked at before one is written
    kept = [plan.is_there(overwrite=overwrite) for plan in plans]
    return [
        DemoStore(plan.path, written=False if there else plan.write())
        for plan, there in zip(plans, kept, strict=True)
    ]


class _Plan(NamedTuple):
    """A store that is to be there."""

    path: Path
    zarr_format: ZarrFormat
    settings: dict[str, int]
    fill: Callable[[Group], None]

    @property
    def stamp(self) -> dict[str, Any]:
        return {"edition": _EDITION, **self.settings}

    def is_there(self, *, overwrite: bool) -> bool:
        """Whether the store is there as planned.

        Raises:
            NodeExistsError: Something else is, and it may not be replaced.
        """
        if not self.path.exists() and not self.path.is_symlink():
            return False
        stamp = self._found()
        if stamp == self.stamp:
            return True
        if stamp is None:
            raise NodeExistsError(
                "something that `zlab demo` did not write is in the way",
                store=str(self.path),
                hint="Choose another directory, or move it away",
            )
        if not overwrite:
            raise NodeExistsError(
                "this demo store was written with other settings, or by another zlab",
                store=str(self.path),
                hint="Replace it with --overwrite (overwrite=True)",
            )
        return False

    def _found(self) -> object | None:
        """What the store says that it was written as; `None` where something else is there.

        Raises:
            StoreError: That cannot be found out.
        """
        if not self.path.is_dir():
            return None
        try:
            return open_group(self.path).attrs.get(STAMP)
        except (NodeNotFoundError, MetadataError):
            return None

    def write(self) -> bool:
        """Writes the store beside its place and moves it there when it is complete."""
        try:
            with tempfile.TemporaryDirectory(prefix=".zlab-demo-", dir=self.path.parent) as aside:
                new = Path(aside) / self.path.name
                stamp = {STAMP: self.stamp}
                self.fill(create_group(new, zarr_format=self.zarr_format, attributes=stamp))
                return self._move_in(new, old=Path(aside) / "old")
        except ZlabError:
            raise
        except OSError as error:
            raise storage_error(error, "cannot write", str(self.path), None) from error

    def _move_in(self, new: Path, old: Path) -> bool:
        if self.path.exists() and self._found() != self.stamp:
            self.path.rename(old)
        try:
            new.rename(self.path)
        except OSError:
            # another run was faster; what it wrote is the same
            if self._found() != self.stamp:
                raise
            return False
        return True


def _make_directory(place: Path) -> None:
    if place.exists() and not place.is_dir():
        raise StoreError(
            "this is a file, not a directory",
            store=str(place),
            hint="Name a directory that the demo stores are written into",
        )
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, "cannot make the directory", str(place), None) from error


# -- digits.zarr


def _write_digits(root: Group, seed: int) -> None:
    images, labels = _load_digits()
    root.attrs.update(
        title="Handwritten digits",
        source=f"scikit-learn {version('scikit-learn')}, load_digits: the test set of "
        "'Optical Recognition of Handwritten Digits' (E. Alpaydin, C. Kaynak; UCI)",
    )
    _create_samples(root, images, labels, shards=None)
    order = np.random.default_rng(seed).permutation(len(images))
    parts = {"test": order[:_TEST_SAMPLES], "train": order[_TEST_SAMPLES:]}
    for name, chosen in parts.items():
        rows = np.sort(chosen).astype(np.int32)
        part = root.create_group(name, attributes={"long_name": f"the digits to {name} with"})
        _create_samples(part, images[rows], labels[rows], shards=512)
        part.create_array(
            "sample",
            data=rows,
            dimension_names=["sample"],
            attributes={"long_name": "row in the arrays of all digits"},
        )


def _create_samples(
    group: Group, images: NDArray[np.uint8], labels: NDArray[np.uint8], shards: int | None
) -> None:
    group.create_array(
        "images",
        data=images,
        chunks=(64, 8, 8),
        shards=None if shards is None else (shards, 8, 8),
        dimension_names=["sample", "y", "x"],
        attributes={"long_name": "ink in each cell", "units": "1", "valid_range": [0, 16]},
    )
    group.create_array(
        "labels",
        data=labels,
        chunks=64,
        shards=shards,
        dimension_names=["sample"],
        attributes={"long_name": "the digit that was meant", "units": "1"},
    )


def _load_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415  a second to import
    except ImportError as error:
        raise _missing("scikit-learn") from error
    bunch = load_digits()
    return bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)


# -- photo.zarr


def _write_photo(root: Group) -> None:
    china, flower = _load_photo("china.jpg"), _load_photo("flower.jpg")
    source = f"scikit-learn {version('scikit-learn')}, load_sample_image"
    root.attrs.update(title="Two photographs", source=source)
    by_pixel = {"dimension_names": ["y", "x", "channel"], "chunks": (128, 128, 3)}
    root.create_array(
        "china",
        data=china,
        compressors={"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
        attributes={"long_name": "A temple", "source": "danielbuechele, CC BY 2.0"},
        **by_pixel,
    )
    root.create_array(
        "flower",
        data=flower,
        order="F",
        compressors={"id": "zlib", "level": 6},
        attributes={"long_name": "A dahlia", "source": "vultilion, CC BY 2.0"},
        **by_pixel,
    )
    levels = list(_halvings(china))
    datasets = [{"path": str(level)} for level in range(len(levels))]
    pyramid = root.create_group(
        "pyramid",
        attributes={"multiscales": [{"name": "china", "datasets": datasets, "type": "mean"}]},
    )
    for level, image in enumerate(levels):
        pyramid.create_array(
            str(level),
            data=image,
            compressors={"id": "gzip", "level": 5},
            chunk_key_encoding="/",
            attributes={"pixels_per_pixel": 2**level},
            **by_pixel,
        )


def _halvings(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The image, and its means over 2 x 2 pixels again and again; an odd last row is left out."""
    levels = [image]
    while min(levels[-1].shape[:2]) >= 2 * _MIN_PYRAMID_SIDE:
        y, x = (length // 2 for length in levels[-1].shape[:2])
        blocks = levels[-1][: 2 * y, : 2 * x].reshape(y, 2, x, 2, -1)
        levels.append(np.round(blocks.mean(axis=(1, 3))).astype(np.uint8))
    return levels


def _load_photo(name: str) -> NDArray[np.uint8]:
    try:
        from sklearn.datasets import load_sample_image  # noqa: PLC0415  a second to import
    except ImportError as error:
        raise _missing("scikit-learn") from error
    try:
        image: NDArray[np.uint8] = load_sample_image(name)
    except ImportError as error:
        raise _missing("Pillow") from error
    return image


# -- climate.zarr


def _write_climate(root: Group, cube_nbytes: int, seed: int) -> None:
    root.attrs.update(title="Climate, measured and made up")
    _write_elnino(root.create_group("elnino"))
    _write_co2(root.create_group("co2"))
    _write_cube(root.create_group("cube"), cube_nbytes // NBYTES_PER_DAY, seed)


def _write_elnino(group: Group) -> None:
    years, temperature = _load_elnino()
    group.attrs.update(
        title="Sea surface temperature, Niño 1+2",
        source=f"statsmodels {version('statsmodels')}, elnino: NOAA, ERSST.V3B; public domain",
    )
    group.create_array(
        "sea_temperature",
        data=temperature,
        chunks=(16, 12),
        compressors=_GZIP,
        fill_value=np.nan,
        dimension_names=["year", "month"],
        attributes={"long_name": "mean sea surface temperature", "units": "degree_Celsius"},
    )
    group.create_array("year", data=years, dimension_names=["year"])
    group.create_array("month", data=np.arange(1, 13, dtype=np.int8), dimension_names=["month"])


def _load_elnino() -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    table = _statsmodels("elnino").to_numpy(np.float64)
    return table[:, 0].astype(np.int16), table[:, 1:]


def _write_co2(group: Group) -> None:
    time, co2 = _load_co2()
    group.attrs.update(
        title="Atmospheric CO2 at Mauna Loa, weekly",
        source=f"statsmodels {version('statsmodels')}, co2: C.D. Keeling and T.P. Whorf, "
        "Scripps Institution of Oceanography; public domain",
    )
    group.create_array(
        "co2",
        data=co2,
        chunks=512,
        fill_value=np.nan,
        dimension_names=["time"],
        attributes={"long_name": "CO2 in dry air, NaN where none was measured", "units": "ppm"},
    )
    group.create_array(
        "time", data=time, chunks=512, dimension_names=["time"], attributes={"long_name": "week"}
    )


def _load_co2() -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    table = _statsmodels("co2")
    return table.index.to_numpy("datetime64[ms]"), table["co2"].to_numpy(np.float64)


def _statsmodels(name: str) -> Any:
    try:
        from statsmodels import datasets  # noqa: PLC0415  a second to import
    except ImportError as error:
        raise _missing("statsmodels") from error
    return getattr(datasets, name).load_pandas().data


def _write_cube(group: Group, days: int, seed: int) -> None:
    climate = Climate(_NLAT, _NLON, seed)
    group.attrs.update(
        title=f"A made-up climate of {days} days",
        source=f"computed by zlab {version('zlab')} with seed {seed}",
    )
    _create_axis(group, "time", np.arange(days, dtype=np.int32), "days since 2000-01-01")
    _create_axis(group, "lat", climate.lat, "degrees_north")
    _create_axis(group, "lon", climate.lon, "degrees_east")
    grid = {"shape": (days, _NLAT, _NLON), "dimension_names": ["time", "lat", "lon"]}
    temperature = group.create_array(
        "temperature",
        dtype="float32",
        chunks=(16, 45, 90),
        shards=(_DAYS_PER_SHARD, _NLAT, _NLON),
        compressors=_BLOSC,
        fill_value=np.nan,
        attributes={"long_name": "air temperature", "units": "degree_Celsius"},
        **grid,
    )
    # chunks of a band of latitudes: those without ice all through are not stored
    ice = group.create_array(
        "ice",
        dtype="uint8",
        chunks=(_DAYS_PER_SHARD, 15, _NLON),
        attributes={"long_name": "cover of sea ice", "units": "percent"},
        **grid,
    )
    for start in range(0, days, _DAYS_PER_SHARD):
        stop = min(start + _DAYS_PER_SHARD, days)
        field = climate.temperature(start, stop)
        temperature[start:stop] = field
        ice[start:stop] = climate.ice(field)


def _create_axis(group: Group, name: str, values: NDArray[Any], units: str) -> None:
    attributes = {"units": units}
    if name == "time":
        attributes["calendar"] = "proleptic_gregorian"
    group.create_array(name, data=values, dimension_names=[name], attributes=attributes)


def _missing(library: str) -> MissingExtraError:
    return MissingExtraError(library, "demo", "zlab demo")
