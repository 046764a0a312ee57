"""Converting every row of v2, every data type and every codec of v3: the same values, or a loss."""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import zlab
from zlab.codecs import registry
from zlab.codecs.pickle import PickleCodec
from zlab.errors import ConversionError

if TYPE_CHECKING:
    from types import ModuleType


def _module(name: str) -> ModuleType:
    """The rows of the tests of documents."""
    path = Path(__file__).parents[1] / "metadata" / f"{name}.py"
    spec = spec_from_file_location(f"rows_of_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # a dataclass looks for the module that it stands in
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


V2 = _module("test_v2")
V3 = _module("test_registered")
Objects = dict[str, bytes]


def bits(array: zlab.Array) -> Any:
    return V3.bits(array[...])


def losses_of(source: Objects, zarr_format: Any) -> list[Any]:
    """What a strict conversion refuses to lose; it writes nothing."""
    target: Objects = {}
    try:
        report = zlab.convert(source, target, zarr_format=zarr_format)
    except ConversionError as error:
        losses = list(error.losses)
    else:
        assert report.losses == ()
        return []
    assert losses
    assert target == {}
    return losses


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", V2.ROWS)
def test_an_array_of_v2(name: str, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = V2.ROWS[name]
    if row.optional is not None:
        pytest.importorskip(row.optional)
    if order not in row.orders:
        pytest.skip("numcodecs does not write it")
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    registry.register(PickleCodec)
    source: Objects = {".zarray": json.dumps(V2.document_of(row, order)).encode()}
    array = zlab.open_array(source, mode="r+")
    array[...] = row.values()
    losses = losses_of(source, 3)
    target: Objects = {}
    if any(loss.blocks for loss in losses):
        assert array.dtype == object or "struct of arrays" in name
        with pytest.raises(ConversionError, match="data type"):
            zlab.convert(source, target, zarr_format=3, strict=False)
        assert target == {}
        return
    report = zlab.convert(source, target, zarr_format=3, strict=False)
    assert [loss.what for loss in report.losses] == [loss.what for loss in losses]
    assert report.digest is not None
    assert bits(zlab.open_array(target)) == bits(array)
    back: Objects = {}
    assert zlab.convert(target, back, zarr_format=2).losses == ()
    assert bits(zlab.open_array(back)) == bits(array)
    if not losses:
        before, after = (json.loads(store[".zarray"]) for store in (source, back))
        assert V2.dtype_of(before) == V2.dtype_of(after)
        assert before["order"] == after["order"]
        assert chain(before) == chain(after)
    if not row.lossy:
        assert V2.plain(V2.read_by_numcodecs(back)) == V2.plain(row.values())


def chain(document: dict[str, Any]) -> list[str]:
    """The ids of all codecs; the last one may be called a filter or the compressor."""
    codecs = [*(document["filters"] or ()), document["compressor"]]
    return [codec["id"] for codec in codecs if codec is not None]


def there_and_back(source: Objects) -> None:
    """To v2 and to v3 again, if it can be; what is lost is never a value."""
    array = zlab.open_array(source)
    losses = losses_of(source, 2)
    target: Objects = {}
    if any(loss.blocks for loss in losses):
        with pytest.raises(ConversionError):
            zlab.convert(source, target, zarr_format=2, strict=False)
        assert target == {}
        return
    zlab.convert(source, target, zarr_format=2, strict=False)
    assert bits(zlab.open_array(target)) == bits(array)
    again: Objects = {}
    zlab.convert(target, again, zarr_format=3, strict=False)
    assert bits(zlab.open_array(again)) == bits(array)


@pytest.mark.parametrize("name", V3.CODECS)
def test_a_codec_of_v3(name: str) -> None:
    V3.needs(name)
    codecs, data_type = V3.CODECS[name]
    source = V3.stored(V3.document_of(codecs, data_type))
    V3.check(source)
    there_and_back(source)


@pytest.mark.parametrize("name", V3.DATA_TYPES)
def test_a_data_type_of_v3(name: str) -> None:
    document, dtype = V3.DATA_TYPES[name]
    values = V3.bits_of(V3.np.dtype(dtype))
    source: Objects = {}
    array = zlab.create_array(
        source,
        shape=V3.SHAPE,
        chunks=(2, 2),
        dtype=V3.parse_data_type(document),
        fill_value=values[0, 0],
    )
    array[...] = values
    there_and_back(source)
