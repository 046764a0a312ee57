"""Data types: what one element is, by its registered name, in memory and in a document.

In memory every type is a NumPy dtype in native byte order. The small floats and integers of
machine learning are `ml_dtypes`, imported only for an array that has one.

Source: Zarr v3 core specification, section "Data types", and the registry in zarr-extensions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from zlab.errors import DataTypeError, MetadataError, UnknownDataTypeError
from zlab.metadata.extension import NamedConfig
from zlab.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

Family: TypeAlias = Literal[
    "bool",
    "int",
    "uint",
    "float",
    "complex",
    "raw",
    "datetime",
    "timedelta",
    "utf32",
    "null_terminated",
    "string",
    "bytes",
    "struct",
    "object",
]

_NUMPY_NAMES: dict[str, Family] = {
    "bool": "bool",
    **dict.fromkeys(("int8", "int16", "int32", "int64"), "int"),
    **dict.fromkeys(("uint8", "uint16", "uint32", "uint64"), "uint"),
    **dict.fromkeys(("float16", "float32", "float64"), "float"),
    **dict.fromkeys(("complex64", "complex128"), "complex"),
}
_ML_NAMES: dict[str, Family] = {
    **dict.fromkeys(("int2", "int4"), "int"),
    **dict.fromkeys(("uint2", "uint4"), "uint"),
    **dict.fromkeys(
        (
            "bfloat16",
            "float4_e2m1fn",
            "float6_e2m3fn",
            "float6_e3m2fn",
            "float8_e3m4",
            "float8_e4m3",
            "float8_e4m3b11fnuz",
            "float8_e4m3fnuz",
            "float8_e5m2",
            "float8_e5m2fnuz",
            "float8_e8m0fnu",
        ),
        "float",
    ),
}
_COMPLEX_OF_NUMPY = {"complex_float32": "complex64", "complex_float64": "complex128"}
_ALIASES = {"binary": "bytes", "variable_length_bytes": "bytes", "structured": "struct"}
_RAW_BITS = re.compile(r"r([1-9][0-9]*)")
_UNITS = (
    "Y",
    "M",
    "W",
    "D",
    "h",
    "m",
    "s",
    "ms",
    "us",
    "ns",
    "ps",
    "fs",
    "as",
    "generic",
)
_MAX_ELEMENT_BYTES = 1 << 24
_OBJECT_HINT = (
    "Variable-length text is dtype 'string', variable-length bytes 'bytes'; Zarr v2 also has "
    "'object', with a serializer such as {'id': 'json2'}"
)


class FillForm(Protocol):
    """How a data type of another package writes its fill value."""

    def parse(self, value: object) -> Any:
        """A scalar of the dtype from its JSON form; raises `ValueError` or `TypeError`."""
        ...

    def format(self, scalar: Any) -> Any:
        """The JSON form of a scalar."""
        ...


@dataclass(frozen=True, slots=True)
class DataType:
    """One element's type.

    Attributes:
        name: The registered name.
        dtype: The NumPy dtype in memory, in native byte order.
        family: What kind of value it is; it decides how fill values are written.
        configuration: Parameters of the named type, JSON values.
        fields: Names and types of a struct's members, in order.
        fill_form: How fill values are written, where not as the family says.
    """

    name: str
    dtype: np.dtype[Any]
    family: Family
    configuration: Mapping[str, Any] = dataclass_field(default_factory=dict)
    fields: tuple[tuple[str, DataType], ...] = ()
    fill_form: FillForm | None = None

    def format(self) -> str | dict[str, Any]:
        """The form of a v3 document: the bare name, or an object where there are parameters.

        Raises:
            DataTypeError: Only Zarr v2 has such elements: objects of Python, sub-arrays.
        """
        if self.family == "object" or self.dtype.subdtype is not None:
            raise DataTypeError(f"Zarr v3 has no data type for {self.dtype!r}", hint=_OBJECT_HINT)
        if self.fields:
            members = [{"name": name, "data_type": kind.format()} for name, kind in self.fields]
            return {"name": self.name, "configuration": {"fields": members}}
        if self.configuration:
            return {"name": self.name, "configuration": dict(self.configuration)}
        return self.name


def parse_data_type(value: object) -> DataType:
    """Parses the `data_type` of a v3 document.

    Args:
        value: A name, or an object with a name and a configuration.

    Raises:
        UnknownDataTypeError: The name is not known.
        MetadataError: The configuration does not fit the name.

    Example:
        >>> parse_data_type("int16").dtype
        dtype('int16')
    """
    spec = NamedConfig.parse(value, "data_type")
    name = _ALIASES.get(spec.name, spec.name)
    configuration = spec.configuration
    if name in _PARAMETRIC:
        return _PARAMETRIC[name](configuration)
    found = _find_named(name)
    if found is None:
        return _of_package(name, configuration)
    if configuration:
        msg = f"data type {name!r} takes no configuration, got {dict(configuration)!r:.80}"
        raise MetadataError(msg)
    return found


def is_of_ml_dtypes(name: str) -> bool:
    """Whether a data type is one of `ml_dtypes`, and not made of several."""
    return name in _ML_NAMES


def _of_package(name: str, configuration: Mapping[str, Any]) -> DataType:
    found = data_types.make(name, configuration)
    if found is None:
        raise UnknownDataTypeError(f"unknown data type {name!r:.80}", hint=data_types.hint)
    return found


def _named(name: str) -> DataType:
    """A type without parameters that is known here."""
    found = _find_named(name)
    if found is None:
        raise UnknownDataTypeError(f"unknown data type {name!r:.80}")
    return found


@lru_cache(maxsize=128)
def _find_named(name: str) -> DataType | None:
    if name in _NUMPY_NAMES:
        return DataType(name, np.dtype(name), _NUMPY_NAMES[name])
    if name in _ML_NAMES:
        return DataType(name, _ml_dtype(name), _ML_NAMES[name])
    if name in _COMPLEX_OF_NUMPY:
        return DataType(name, np.dtype(_COMPLEX_OF_NUMPY[name]), "complex")
    if name.startswith("complex_"):
        part = name.removeprefix("complex_")
        if part == "float16" or _ML_NAMES.get(part) == "float":
            member = _named(part)
            pair = np.dtype([("real", member.dtype), ("imag", member.dtype)])
            return DataType(name, pair, "complex")
    if name == "string":
        return DataType(name, np.dtypes.StringDType(), "string")
    if name == "bytes":
        return DataType(name, np.dtype(object), "bytes")
    raw = _RAW_BITS.fullmatch(name)
    if raw:
        bits = int(raw[1])
        if bits % 8 or bits // 8 > _MAX_ELEMENT_BYTES:
            msg = f"data type {name!r}: the number of bits must be a multiple of 8, below 2**27"
            raise MetadataError(msg)
        return DataType(name, np.dtype(f"V{bits // 8}"), "raw")
    return None


def _ml_dtype(name: str) -> np.dtype[Any]:
    import ml_dtypes  # noqa: PLC0415  it is needed by few arrays and costs 10 ms

    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype


def _length_bytes(configuration: Mapping[str, Any], name: str, unit: int = 1) -> int:
    length = configuration.get("length_bytes")
    if (
        set(configuration) != {"length_bytes"}
        or not isinstance(length, int)
        or isinstance(length, bool)
        or not 0 <= length <= _MAX_ELEMENT_BYTES
        or length % unit
    ):
        msg = f"data type {name!r} needs length_bytes, a multiple of {unit}, not {configuration!r}"
        raise MetadataError(msg)
    return length


def _utf32(configuration: Mapping[str, Any]) -> DataType:
    length = _length_bytes(configuration, "fixed_length_utf32", 4)
    return DataType(
        "fixed_length_utf32",
        np.dtype(f"U{length // 4}"),
        "utf32",
        {"length_bytes": length},
    )


def _null_terminated(configuration: Mapping[str, Any]) -> DataType:
    length = _length_bytes(configuration, "null_terminated_bytes")
    return DataType(
        "null_terminated_bytes",
        np.dtype(f"S{length}"),
        "null_terminated",
        {"length_bytes": length},
    )


def _raw_bytes(configuration: Mapping[str, Any]) -> DataType:
    length = _length_bytes(configuration, "raw_bytes")
    return DataType("raw_bytes", np.dtype(f"V{length}"), "raw", {"length_bytes": length})


def _time(name: Literal["datetime", "timedelta"], configuration: Mapping[str, Any]) -> DataType:
    unit = configuration.get("unit", "generic")
    # the registry's other name for it
    unit = "us" if unit == "\N{GREEK SMALL LETTER MU}s" else unit
    scale = configuration.get("scale_factor", 1)
    if (
        unit not in _UNITS
        or not isinstance(scale, int)
        or isinstance(scale, bool)
        or not 0 < scale < 1 << 31
        or set(configuration) - {"unit", "scale_factor"}
    ):
        msg = f"data type numpy.{name}64: bad configuration {dict(configuration)!r:.80}"
        raise MetadataError(msg)
    code = "M8" if name == "datetime" else "m8"
    dtype = np.dtype(code if unit == "generic" else f"{code}[{scale}{unit}]")
    return DataType(f"numpy.{name}64", dtype, name, {"unit": unit, "scale_factor": scale})


def _struct(configuration: Mapping[str, Any]) -> DataType:
    members = configuration.get("fields")
    if set(configuration) != {"fields"} or not isinstance(members, list) or not members:
        msg = "data type 'struct' needs a configuration with a list of fields"
        raise MetadataError(msg)
    fields: list[tuple[str, DataType]] = []
    for member in members:
        # `structured`, the legacy alias, wrote pairs; `struct` writes objects
        if isinstance(member, list) and len(member) == 2:  # noqa: PLR2004  a pair
            name, kind = member
        elif isinstance(member, dict) and set(member) == {"name", "data_type"}:
            name, kind = member["name"], member["data_type"]
        else:
            msg = f"a field of data type 'struct' must have a name and a data_type: {member!r:.80}"
            raise MetadataError(msg)
        fields.append((name, parse_data_type(kind)))
    return struct_of(fields)


def struct_of(fields: list[tuple[Any, DataType]]) -> DataType:
    """The struct of these members, packed without padding.

    Raises:
        MetadataError: A member has no name, two have the same, or one has no fixed size.
    """
    names = [name for name, _ in fields]
    if not names or not all(isinstance(name, str) and name for name in names):
        msg = f"data type 'struct': it needs fields, each with a name, got {names!r:.120}"
        raise MetadataError(msg)
    if len(set(names)) != len(names):
        msg = f"data type 'struct': field names must differ, got {names!r:.120}"
        raise MetadataError(msg)
    if any(kind.dtype.hasobject or kind.family == "string" for _, kind in fields):
        msg = "data type 'struct': every field must have a fixed size"
        raise MetadataError(msg)
    dtype = np.dtype([(name, kind.dtype) for name, kind in fields])
    return DataType("struct", dtype, "struct", {}, tuple(fields))


def sub_array_of(element: DataType, shape: tuple[int, ...]) -> DataType:
    """The type of a struct's field that holds an array of elements, which only Zarr v2 has.

    Raises:
        MetadataError: The elements have no fixed size, or are too many.
    """
    if element.dtype.hasobject or element.dtype.itemsize * prod(shape) > _MAX_ELEMENT_BYTES:
        msg = f"a field of a structured dtype cannot be an array {shape} of {element.dtype}"
        raise MetadataError(msg)
    return replace(element, dtype=np.dtype((element.dtype, shape)))


class _JsonScalar:
    """Fill values of objects: the JSON scalar itself, as zarr-python 2 wrote them."""

    def parse(self, value: object) -> Any:
        if not isinstance(value, str | int | float):
            raise TypeError
        return value

    def format(self, scalar: Any) -> Any:
        return scalar


_OBJECT = DataType("object", np.dtype(object), "object", fill_form=_JsonScalar())

_PARAMETRIC = {
    "fixed_length_utf32": _utf32,
    "null_terminated_bytes": _null_terminated,
    "raw_bytes": _raw_bytes,
    "numpy.datetime64": lambda configuration: _time("datetime", configuration),
    "numpy.timedelta64": lambda configuration: _time("timedelta", configuration),
    "struct": _struct,
}


def is_known(name: str) -> bool:
    """Whether a data type is zlab's own, not one of another package."""
    return name in _PARAMETRIC or name in _ALIASES or _find_named(name) is not None


data_types: Registry[DataType] = Registry(
    "data type", "zlab.data_types", DataType, UnknownDataTypeError, is_known
)
"""Data types of other packages: `(configuration) -> DataType`."""


def data_type_of(dtype: object) -> DataType:
    """The data type that a NumPy dtype (or anything `numpy.dtype` takes) is stored as.

    Args:
        dtype: A dtype, or a data type as it stands in a document: the name of one that NumPy does
            not have, or an object with a name and a configuration.

    Raises:
        DataTypeError: No registered type holds it exactly.
        MetadataError: A configuration does not fit its name.

    Example:
        >>> data_type_of(">f4").name
        'float32'
        >>> data_type_of("<U5").configuration
        {'length_bytes': 20}
    """
    if isinstance(dtype, str) and (dtype in _ML_NAMES or dtype in ("string", "bytes")):
        return _named(dtype)
    if dtype is str:
        return _named("string")
    if isinstance(dtype, str) and dtype == "object":
        return _OBJECT
    if isinstance(dtype, dict) and "name" in dtype:
        return parse_data_type(dtype)
    try:
        given = np.dtype(dtype)  # type: ignore[call-overload]  # any dtype-like
    except TypeError as error:
        found = _of_text(dtype) if isinstance(dtype, str) else None
        if found is not None:
            return found
        msg = f"{dtype!r:.80} is not a data type"
        raise DataTypeError(msg, hint=data_types.hint) from error
    # StringDType has no byte order to change
    native = given if given.kind == "T" else given.newbyteorder("=")
    found = _of_native(native)
    if found is None:
        raise DataTypeError(f"no Zarr data type holds {native!r}", hint=_OBJECT_HINT)
    return found


def _of_text(name: str) -> DataType | None:
    return parse_data_type(name) if is_known(name) else data_types.make(name, {})


def _of_native(dtype: np.dtype[Any]) -> DataType | None:
    if dtype.fields is not None:
        members: list[tuple[str, DataType]] = []
        for name, member in dtype.fields.items():
            kind = _of_native(member[0].newbyteorder("="))
            if kind is None:
                return None
            members.append((name, kind))
        return struct_of(members)
    if dtype.name in _NUMPY_NAMES or dtype.name in _ML_NAMES:
        return _named(dtype.name)
    if dtype.kind == "T":
        return _named("string")
    size = dtype.itemsize
    match dtype.kind:
        case "V" if dtype.type is np.void and dtype.subdtype is None and size:
            return _named(f"r{8 * size}")
        case "U":
            return _utf32({"length_bytes": size})
        case "S":
            return _null_terminated({"length_bytes": size})
        case "M" | "m":
            unit, scale = np.datetime_data(dtype)
            return _time(
                "datetime" if dtype.kind == "M" else "timedelta",
                {"unit": unit, "scale_factor": scale},
            )
    return None
