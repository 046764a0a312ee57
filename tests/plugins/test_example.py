"""The package of `docs/guide/plugins.md`, installed and used from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.errors import (
    MetadataError,
    ReadOnlyError,
    StoreError,
    StoreNotFoundError,
    UnknownCodecError,
    UnknownDataTypeError,
    UnknownExtensionError,
)
from zlab.stores.base import Store
from zlab.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray


RGB = {"name": "example.rgb", "configuration": {"bits": 16}}
DOUBLING = {"name": "example.doubling", "configuration": {"first": [1, 2]}}


def colours() -> NDArray[Any]:
    """Of every pixel of a picture of 9 x 10."""
    dtype = np.dtype([(part, "u2") for part in "rgb"])
    numbers = np.random.default_rng(3).integers(0, 1 << 16, (9, 10, 3), dtype="u2")
    return numbers.view(dtype)[..., 0]


def create(store: Any) -> zlab.Array:
    return zlab.create_array(
        store,
        path="picture",
        shape=(9, 10),
        dtype=RGB,
        chunks=DOUBLING,
        compressors=["example.invert"],
        fill_value="#ffff00008000",
        chunk_key_encoding="example.hex",
        storage_transformers=["example.fan_out"],
    )


@pytest.mark.usefixtures("_installed")
def test_all_of_them_at_once(tmp_path: Path, site: Path) -> None:
    url = f"sqlite://{tmp_path}/colours.db"
    array = create(url)
    assert array[8, 9].tolist() == (0xFFFF, 0, 0x8000)
    assert array.chunk_grid_shape == (4, 3)
    pixels = colours()
    array[...] = pixels
    array[2:4, 3] = pixels[0, 0]
    pixels[2:4, 3] = pixels[0, 0]

    document = array.metadata_document()
    assert document["data_type"] == RGB
    assert document["fill_value"] == "#ffff00008000"
    assert document["chunk_grid"] == DOUBLING
    assert document["chunk_key_encoding"] == {"name": "example.hex"}
    assert document["codecs"][-1] == {"name": "example.invert"}
    assert document["storage_transformers"] == [{"name": "example.fan_out"}]

    keys = sorted(entry.key for entry in array.store.list("picture"))
    assert len(keys) == 4 * 3 + 1
    assert keys[-1] == "picture/zarr.json"
    assert all(len(key.split("/")) == 3 for key in keys[:-1])
    assert {key.rpartition("/")[2] for key in keys[:-1]} == {
        f"{i}-{j}" for i in range(4) for j in range(3)
    }
    assert array.nchunks_initialized == 12

    script = (
        "import sys, zlab, numpy as np; picture = zlab.open(sys.argv[1])['picture']; "
        "assert picture.chunks == (1, 2); np.save(sys.argv[2], picture[1:, ::3])"
    )
    command = [sys.executable, "-W", "error", "-c", script, url, str(tmp_path / "out.npy")]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(site)})
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), pixels[1:, ::3])

    array.resize((4, 10))
    np.testing.assert_array_equal(array[...], pixels[:4])
    assert array.nchunks_initialized == 9
    with pytest.raises(ReadOnlyError):
        zlab.open_array(url, path="picture")[0] = pixels[0]


@pytest.mark.usefixtures("_installed")
def test_a_document_that_says_it_wrongly() -> None:
    for changes, words in (
        ({"dtype": {"name": "example.rgb", "configuration": {"bits": 12}}}, "8 or 16 bits"),
        ({"chunks": {"name": "example.doubling"}}, "needs 1 lengths in 'first'"),
        ({"fill_value": "yellow"}, "'yellow' is not a value of data type 'example.rgb'"),
        (
            {"storage_transformers": [{"name": "example.fan_out", "configuration": {"a": 1}}]},
            "no c",
        ),
        ({"zarr_format": 2}, "Zarr v2 has no data type 'example.rgb'"),
    ):
        arguments: dict[str, Any] = {"shape": (4,), "dtype": "example.rgb", **changes}
        with pytest.raises(MetadataError, match=words):
            zlab.create_array(MemoryStore(), **arguments)


@pytest.mark.usefixtures("_installed")
def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="unable to open"):
        zlab.open(f"sqlite://{tmp_path}/nothing.db")
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at as one")
    with pytest.raises(StoreError, match="file is not a database"):
        zlab.open(f"sqlite://{tmp_path}/text.db")


@pytest.mark.usefixtures("_fresh")
def test_without_the_package_each_name_is_unknown(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"codecs": ["bytes", "example.invert"]}, UnknownCodecError, "zlab.codecs"),
        ({"data_type": RGB}, UnknownDataTypeError, "zlab.data_types"),
        ({"chunk_grid": DOUBLING}, UnknownExtensionError, "zlab.chunk_grids"),
        ({"chunk_key_encoding": "example.hex"}, UnknownExtensionError, "zlab.chunk_key_encodings"),
        (
            {"storage_transformers": ["example.fan_out"]},
            UnknownExtensionError,
            "zlab.storage_transformers",
        ),
    ]
    for changes, error, group in cases:
        store = MemoryStore()
        document = zlab.create_array(store, shape=(4, 4), dtype="i4").metadata_document()
        store.put("zarr.json", json.dumps({**document, **changes}).encode())
        with pytest.raises(error, match=f"unknown .*{group}") as caught:
            zlab.open(store)
        assert isinstance(caught.value, MetadataError)
        assert caught.value.store == store.name
    with pytest.raises(StoreError, match="sqlite"):
        zlab.open(f"sqlite://{tmp_path}/a.db")


@pytest.mark.usefixtures("_fresh")
def test_a_transformer_that_need_not_be_understood_is_passed_over() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, data=np.arange(4))
    extra = [{"name": "example.fan_out", "must_understand": False}]
    document = {**array.metadata_document(), "storage_transformers": extra}
    store.put("zarr.json", json.dumps(document).encode())
    array = zlab.open_array(store, mode="r+")
    assert array[:].tolist() == [0, 1, 2, 3]
    array.resize((5,))
    assert array.metadata_document()["storage_transformers"] == extra  # kept


# -- the example's stores are stores


def _contract() -> ModuleType:
    path = Path(__file__).parents[1] / "stores" / "test_contract.py"
    spec = spec_from_file_location("stores_contract_of_plugins", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_OTHERS = {
    "test_readers_beside_a_writer_see_the_old_or_the_new",  # names the kinds that it is for
    "test_more_keys_than_one_page",  # a database has no pages, and a transaction for each key
}
globals().update(
    {
        name: test
        for name, test in vars(_contract()).items()
        if name.startswith("test_") and name not in _OTHERS
    }
)


@pytest.fixture
def make_store(_installed: None, tmp_path: Path) -> Callable[..., Any]:
    """Makes stores of one place: each call returns a new handle on it."""
    example = import_module("zlab_example")
    path = str(tmp_path / "objects.db")
    return lambda read_only=False: example.SqliteStore(path, read_only=read_only, create=True)


@pytest.fixture
def store(make_store: Callable[..., Any]) -> Any:
    """An empty one."""
    return make_store()


@pytest.mark.usefixtures("_installed")
def test_chunks_behind_the_transformer() -> None:
    example = import_module("zlab_example")
    below = MemoryStore(name="below")
    below.put("a/zarr.json", b"{}")
    below.put("a/other/0", b"no chunk")
    store = example.fan_out({}, below, "a")
    assert isinstance(store, Store)
    assert (store.name, store.local, store.read_only) == ("below", True, False)
    assert store == example.fan_out({}, below, "a")
    keys = [f"a/c/{number}" for number in range(300)]
    for key in keys:
        store.put(key, key.encode())
    assert sorted(entry.key for entry in store.list("a")) == sorted(keys)
    assert list(store.list("a/c/0")) == []
    assert store.list_dir("a").prefixes == ["a/c"]
    assert len(below.list_dir("a").prefixes) > 150
    assert store.get("a/c/7") == b"a/c/7"
    assert store.nbytes("a/c/77") == 6
    store.put("a/c/7", b"new")
    assert store.version("a/c/7") != store.version("a/c/8")
    store.delete_prefix("a/c")
    assert sorted(entry.key for entry in below.list()) == ["a/other/0", "a/zarr.json"]
