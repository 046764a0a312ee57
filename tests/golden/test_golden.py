"""Stores that other libraries wrote are read, by value and by metadata."""

from __future__ import annotations

import json
import zipfile
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import zlab
from zlab.engine.nodes import create_node
from zlab.stores.local import LocalStore

FOLDER = Path(__file__).parent
WRITERS = tuple(sorted(path.stem for path in FOLDER.glob("*.zip")))


@cache
def cases_of(writer: str) -> dict[str, Any]:
    cases: dict[str, Any] = json.loads((FOLDER / f"{writer}.json").read_text("utf-8"))["cases"]
    return cases


@cache
def objects_of(writer: str) -> dict[str, bytes]:
    """The store of a writer, in memory."""
    with zipfile.ZipFile(FOLDER / f"{writer}.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


FLOATS = (
    *("bfloat16", "float16", "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "float8_e3m4"),
    *("float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    "float8_e8m0fnu",
)
TYPES = {
    *("bool", "float32", "float64", *FLOATS, "complex64", "complex128"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (2, 4, 8, 16, 32, 64)),
    *(f"complex_{part}" for part in ("float32", "float64", *FLOATS)),
    *("r", "string", "bytes", "fixed_length_utf32", "numpy.datetime64", "numpy.timedelta64"),
    *("struct", "structured"),
}
CODECS = {
    *("bitround", "cast_value", "reshape", "scale_offset", "transpose", "bytes", "n5_default"),
    *("packbits", "sharding_indexed", "vlen-bytes", "vlen-utf8", "zfp", "blosc", "conditional"),
    *("crc32c", "gzip", "zstd"),
}
ZARR = tuple(map(int, version("zarr").split(".")[:2])) if find_spec("zarr") else ()
CASES = [(writer, case) for writer in WRITERS for case in cases_of(writer)]


def dtype_of(description: Any) -> np.dtype[Any]:
    """The dtype in memory that is promised for what the writer's script describes."""
    if isinstance(description, list):
        return np.dtype([(name, dtype_of(member)) for name, member in description])
    if description == "string":
        return np.dtypes.StringDType()
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, description, description))
    return dtype


def assert_holds(array: Any, dtype: np.dtype[Any], values: Any) -> None:
    """Every element, bit for bit."""
    array = np.asarray(array)
    assert array.dtype == dtype
    if dtype.kind == "T":
        assert array.reshape(-1).tolist() == values
    elif dtype.hasobject:
        shown = [v.hex() if isinstance(v, bytes) else v for v in array.reshape(-1).tolist()]
        assert shown == values
    else:
        assert np.ascontiguousarray(array).tobytes().hex() == values


@pytest.mark.parametrize(("writer", "case"), CASES)
def test_a_golden_array_is_read(writer: str, case: str) -> None:
    expected = cases_of(writer)[case]
    array = zlab.open_array(objects_of(writer), path=case)
    dtype = dtype_of(expected["dtype"])
    assert array.dtype == dtype
    assert array.shape == tuple(expected["shape"])
    assert_holds(array[...], dtype, expected["values"])
    if "fill" in expected:
        fill: Any = np.empty(1, dtype)
        fill[0] = array.fill_value
        assert_holds(fill, dtype, expected["fill"])
    if "names" in expected:
        assert array.dimension_names == tuple(expected["names"])
    attributes = expected.get("attributes", {})
    # writers sign what they write
    assert {name: array.attrs[name] for name in attributes} == attributes


def test_every_registered_type_and_codec_has_a_golden_store() -> None:
    """The README of this folder says which of them no library writes."""
    assert (len(TYPES), len(CODECS)) == (51, 17)
    types: dict[bool, set[str]] = {True: set(), False: set()}
    codecs: dict[bool, set[str]] = {True: set(), False: set()}
    for writer in WRITERS:
        by_library = writer != "specification"
        for name, data in objects_of(writer).items():
            document = json.loads(data) if name.endswith("zarr.json") else {}
            if document.get("node_type") == "array":
                types[by_library] |= names_of([document["data_type"]])
                codecs[by_library] |= names_of(document["codecs"])
    assert TYPES - types[True] == set()
    assert CODECS - codecs[True] == {"conditional", "n5_default", "zfp"}
    assert CODECS - codecs[True] - codecs[False] == set()


def names_of(items: list[Any]) -> set[str]:
    """The names of extensions, and of the codecs in their configurations."""
    names: set[str] = set()
    for item in items:
        name = item if isinstance(item, str) else item["name"]
        # the length of raw bits is a part of the name
        names.add("r" if name == "r24" else name)
        if isinstance(item, dict):
            names |= names_of(item.get("configuration", {}).get("codecs", []))
    return names


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All golden stores, one a directory."""
    root = tmp_path_factory.mktemp("golden")
    for writer in WRITERS:
        with zipfile.ZipFile(FOLDER / f"{writer}.zip") as archive:
            archive.extractall(root / writer)
    return root


def is_readable_only(writer: str, case: str) -> bool:
    """Whether zlab refuses to write it: v2 has no types of ml_dtypes, but tensorstore does."""
    dtype = cases_of(writer)[case]["dtype"]
    return case.startswith("v2-types/") and isinstance(dtype, str) and hasattr(ml_dtypes, dtype)


REWRITTEN = [(writer, case) for writer, case in CASES if not is_readable_only(writer, case)]


def rewritten(writer: str, case: str, folder: Path) -> zlab.Array:
    """The array of a case in a new store: zlab's document, zlab's chunks."""
    golden = zlab.open_array(objects_of(writer), path=case)
    create_node(LocalStore(folder), "", golden.metadata, overwrite=False)
    array = zlab.open_array(folder, mode="r+")
    array[...] = golden[...]
    return array


@pytest.mark.parametrize(("writer", "case"), REWRITTEN)
def test_a_golden_array_is_written_again(writer: str, case: str, tmp_path: Path) -> None:
    expected = cases_of(writer)[case]
    array = rewritten(writer, case, tmp_path)
    golden = zlab.open_array(objects_of(writer), path=case)
    assert array.metadata.data_type == golden.metadata.data_type
    assert array.metadata.chunk_grid == golden.metadata.chunk_grid
    assert_holds(array[...], dtype_of(expected["dtype"]), expected["values"])


@pytest.mark.needs("zarr")
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.filterwarnings("ignore")
def test_zarr_python_reads_what_zlab_writes(writer: str, folders: Path, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    compared = 0
    for number, case in enumerate(cases_of(writer)):
        try:
            golden = zarr.open_array(folders / writer / case, mode="r")[...]
        except Exception:  # noqa: BLE001, S112  a type, codec or grid that it does not have
            continue
        if is_readable_only(writer, case) or case in NOT_OF_ZARR:
            continue
        folder = tmp_path / str(number)
        rewritten(writer, case, folder)
        ours = zarr.open_array(folder, mode="r")[...]
        assert_same(np.asarray(ours), np.asarray(golden), case)
        compared += 1
    assert compared >= READ_BY_ZARR[writer]


# `structured`, which 3.1 writes, must not be written any more, and 3.1 knows no `struct`
NOT_OF_ZARR = () if ZARR >= (3, 4) else ("types/struct",)
# arrays of each store that zarr-python 3.1.6 reads; newer ones read more
READ_BY_ZARR = {
    "specification": 1,
    "tensorstore": 50,
    "zarr-python-2": 25,
    "zarr-python-3.1": 90,
    "zarr-python-3.4": 90,
    "zarrista": 4,
}


def assert_same(ours: np.ndarray[Any, Any], golden: np.ndarray[Any, Any], case: str) -> None:
    assert (ours.dtype, ours.shape) == (golden.dtype, golden.shape), case
    if ours.dtype.hasobject or ours.dtype.kind == "T":
        assert ours.tolist() == golden.tolist(), case
    else:
        assert ours.tobytes() == golden.tobytes(), case


# of an array of records it opens one field; and it reads another value than the fill value 2.0
NOT_OF_TENSORSTORE = ("v2-codecs/fields", "types/float8_e8m0fnu")


@pytest.mark.needs("tensorstore")
@pytest.mark.parametrize(
    "case", [c for w, c in REWRITTEN if w == "tensorstore" and c not in NOT_OF_TENSORSTORE]
)
def test_tensorstore_reads_what_zlab_writes(case: str, tmp_path: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    rewritten("tensorstore", case, tmp_path)
    driver = "zarr" if case.startswith("v2-") else "zarr3"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(tmp_path)}}
    values = tensorstore.open(spec).result().read().result()
    expected = cases_of("tensorstore")[case]
    dtype = dtype_of(expected["dtype"])
    # the upper bits of its small integers are what they happen to be
    native = values.astype("i1") if dtype.name in ("int2", "int4") else values
    assert_holds(native.astype(dtype), dtype, expected["values"])


@pytest.mark.parametrize(
    ("writer", "path"),
    [
        ("zarr-python-2", "consolidated"),
        *((f"zarr-python-{v}", p) for v in ("3.1", "3.4") for p in ("consolidated",)),
        *((f"zarr-python-{v}", p) for v in ("3.1", "3.4") for p in ("v2-consolidated",)),
    ],
)
def test_consolidated_metadata_are_read(writer: str, path: str) -> None:
    group = zlab.open_group(objects_of(writer), path=path)
    assert group.consolidated
    assert group.attrs["title"] == "größe"
    assert group.stale_nodes() == []
    assert group.array("inner/a").shape == (6, 5)


def test_golden_stores_are_read_in_their_archives() -> None:
    for writer in WRITERS:
        group = zlab.open_array(FOLDER / f"{writer}.zip", path=next(iter(cases_of(writer))))
        assert_holds(group[...], group.dtype, next(iter(cases_of(writer).values()))["values"])
