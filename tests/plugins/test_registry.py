"""The registries: what is asked of other packages, when, and what a broken one does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab import plugins
from zlab.errors import (
    MetadataError,
    StoreError,
    UnknownCodecError,
    UnknownDataTypeError,
    UnknownExtensionError,
)
from zlab.grid import Grid
from zlab.grid.grid import grids
from zlab.grid.keys import key_encodings
from zlab.metadata import DataType, data_type_of
from zlab.metadata.datatypes import data_types
from zlab.metadata.fill import format_fill, parse_fill
from zlab.stores.memory import MemoryStore
from zlab.stores.open import schemes, store_from
from zlab.stores.transformers import transformers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zlab.errors import ZlabError

pytestmark = pytest.mark.usefixtures("_fresh")

Bring = "Callable[[str, str, str], None]"


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Installs a package with one entry point, as little as an installer leaves behind."""

    def install(group: str, name: str, code: str) -> None:
        monkeypatch.delitem(sys.modules, "acme_arrays", raising=False)
        (tmp_path / "acme_arrays.py").write_text(code)
        record = tmp_path / "acme_arrays-1.0.dist-info"
        record.mkdir(exist_ok=True)
        (record / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-arrays\nVersion: 1.0\n")
        (record / "entry_points.txt").write_text(f"[{group}]\n{name} = acme_arrays:thing\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


EXTENSIONS: list[tuple[str, dict[str, Any], type[ZlabError]]] = [
    ("zlab.codecs", {"compressors": ["acme.x"]}, UnknownCodecError),
    ("zlab.data_types", {"dtype": "acme.x"}, UnknownDataTypeError),
    ("zlab.chunk_grids", {"chunks": {"name": "acme.x"}}, UnknownExtensionError),
    ("zlab.chunk_key_encodings", {"chunk_key_encoding": "acme.x"}, UnknownExtensionError),
    ("zlab.storage_transformers", {"storage_transformers": ["acme.x"]}, UnknownExtensionError),
]


@pytest.mark.parametrize(("group", "arguments", "error"), EXTENSIONS)
def test_a_package_that_cannot_be_imported_is_named(
    group: str, arguments: dict[str, Any], error: type[ZlabError], bring: Any
) -> None:
    bring(group, "acme.x", "raise OSError('no libacme.so.3')")
    with pytest.raises(error, match=r"'acme\.x' of the package 'acme-arrays' cannot be loaded: OS"):
        zlab.create_array(MemoryStore(), **{"shape": (4,), "dtype": "i4", **arguments})
    assert zlab.create_array({}, data=np.arange(3))[1] == 1  # all else works


@pytest.mark.parametrize(("group", "arguments", "error"), EXTENSIONS[1:])
def test_a_package_that_fails_is_named(
    group: str, arguments: dict[str, Any], error: type[ZlabError], bring: Any
) -> None:
    bring(group, "acme.x", "def thing(*_, **__): return 1 / 0")
    with pytest.raises(error, match=r"package 'acme-arrays' failed: ZeroDivisionError") as caught:
        zlab.create_array(MemoryStore(), **{"shape": (4,), "dtype": "i4", **arguments})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "'acme-arrays' is at fault, not the data" in str(caught.value)


@pytest.mark.parametrize(("group", "arguments", "error"), EXTENSIONS[1:])
def test_a_package_that_returns_something_else_is_named(
    group: str, arguments: dict[str, Any], error: type[ZlabError], bring: Any
) -> None:
    bring(group, "acme.x", "def thing(*_, **__): return 7")
    with pytest.raises(error, match=r"'acme-arrays' makes a 'int' where a '[A-Z]"):
        zlab.create_array(MemoryStore(), **{"shape": (4,), "dtype": "i4", **arguments})


@pytest.mark.parametrize(("group", "arguments", "error"), EXTENSIONS[1:])
def test_what_a_package_says_of_its_arguments_is_said_as_it_is(
    group: str, arguments: dict[str, Any], error: type[ZlabError], bring: Any
) -> None:
    code = (
        "from zlab.errors import MetadataError\n"
        "def thing(*_, **__): raise MetadataError('four is too many')\n"
    )
    bring(group, "acme.x", code)
    with pytest.raises(MetadataError, match="four is too many") as caught:
        zlab.create_array(MemoryStore(), **{"shape": (4,), "dtype": "i4", **arguments})
    assert type(caught.value) is MetadataError


def test_a_codec_that_fails_is_named(bring: Any) -> None:
    code = (
        "class thing:\n"
        "    name, kind = 'acme.x', 'bytes-bytes'\n"
        "    from_config = classmethod(lambda cls, *_: 1 / 0)\n"
    )
    bring("zlab.codecs", "acme.x", code)
    with pytest.raises(MetadataError, match=r"'acme\.x' of 'acme_arrays' cannot be made: ZeroDiv"):
        zlab.create_array(MemoryStore(), shape=(4,), dtype="i4", compressors=["acme.x"])


def test_a_store_of_a_package(bring: Any) -> None:
    bring("zlab.stores", "acme", "raise ImportError('no network')")
    with pytest.raises(StoreError, match=r"store 'acme' of the package 'acme-arrays' cannot be"):
        store_from("acme://place/a")
    code = (
        "from zlab.stores.memory import MemoryStore\n"
        "def thing(url, *, read_only, create, storage_options):\n"
        "    return MemoryStore(name=f'{url} {read_only} {create} {storage_options}')\n"
    )
    bring("zlab.stores", "acme", code)
    store, path = store_from("acme://place/a", mode="a", storage_options={"token": "t"})
    assert (store.name, path) == ("acme://place/a False True {'token': 't'}", "")
    store, _ = store_from("acme://place/a")
    assert store.name == "acme://place/a True False {}"


@pytest.mark.usefixtures("_fresh")
def test_other_packages_are_not_asked_for_what_zlab_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(**_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(plugins, "entry_points", never)
    for where in (tmp_path / "a", f"file://{tmp_path}/b", "memory://registry/c"):
        array = zlab.create_array(where, data=np.arange(6).reshape(2, 3), chunks=[[1, 1], 2])
        assert array[1].tolist() == [3, 4, 5]


def test_names_for_the_length_of_a_process() -> None:
    class Percent:
        def parse(self, value: object) -> Any:
            if not isinstance(value, str):
                raise TypeError
            return np.int8(value.rstrip("%"))

        def format(self, scalar: Any) -> str:
            return f"{scalar}%"

    def percent(_: object) -> DataType:
        return DataType("acme.percent", np.dtype("i1"), "int", fill_form=Percent())

    def quarters(_: object, shape: tuple[int, ...]) -> Grid:
        return Grid.regular(shape, tuple(max(n // 4, 1) for n in shape))

    data_types.register("acme.percent", percent)
    grids.register("acme.quarters", quarters)
    array = zlab.create_array(
        {}, shape=(8,), dtype="acme.percent", chunks={"name": "acme.quarters"}, fill_value="50%"
    )
    assert array.chunks == (2,)
    assert array[:2].tolist() == [50, 50]
    assert array.metadata_document()["fill_value"] == "50%"
    kind = data_type_of({"name": "acme.percent"})
    assert format_fill(kind, parse_fill(kind, "7%")) == "7%"
    with pytest.raises(MetadataError, match="fill_value 7 is not a value"):
        parse_fill(kind, 7)
    assert zlab.create_array({}, shape=(1,), dtype=kind, fill_value=np.int8(3))[0] == 3
    with pytest.raises(MetadataError, match="Zarr v2 has no data type"):
        zlab.create_array({}, shape=(1,), dtype=kind, zarr_format=2)

    data_types.register("acme.percent", percent)  # the same once more
    with pytest.raises(ValueError, match=r"'acme\.percent' of a data type is taken"):
        data_types.register("acme.percent", lambda _: kind)


def test_names_of_zlabs_own_are_taken() -> None:
    for registry, names in (
        (data_types, ["int8", "r24", "binary", "struct", "complex_bfloat16"]),
        (grids, ["regular", "rectilinear"]),
        (key_encodings, ["default", "v2"]),
        (schemes, ["s3", "memory", "file"]),
    ):
        for name in names:
            with pytest.raises(ValueError, match=f"{name!r} of a .* is taken"):
                registry.register(name, lambda *_: None)  # type: ignore[arg-type]


def test_the_first_transformer_is_asked_first() -> None:
    asked: list[str] = []

    class Told(MemoryStore):
        def __init__(self, configuration: Any, store: Any, path: str) -> None:
            super().__init__(name=store.name)
            self._word, self._below = configuration["word"], store

        def put(self, key: str, value: Any) -> None:
            asked.append(self._word)
            self._below.put(key, value)

    transformers.register("acme.told", Told)
    array = zlab.create_array(
        MemoryStore(),
        shape=(2,),
        dtype="i4",
        storage_transformers=[
            {"name": "acme.told", "configuration": {"word": "first"}},
            {"name": "acme.told", "configuration": {"word": "second"}},
        ],
    )
    array[:] = 1
    assert asked == ["first", "second"]


def test_two_handles_of_a_transformed_array_share_locks_and_caches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Beside:
        store: Any

        def __getattr__(self, name: str) -> Any:
            return getattr(self.store, name)

    def beside(_: object, store: Any, path: str) -> Any:
        return Beside(store)

    transformers.register("acme.beside", beside)
    store = MemoryStore()
    one = zlab.create_array(
        store, data=np.arange(4), chunks=2, storage_transformers=["acme.beside"]
    )
    other = zlab.open_array(store, cache=1 << 20)
    assert other[:].tolist() == [0, 1, 2, 3]
    one[3] = 9
    assert other[:].tolist() == [0, 1, 2, 9]
    assert other.layout.store == one.layout.store
    assert other.store is store
