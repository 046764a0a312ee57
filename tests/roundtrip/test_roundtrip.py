"""Arrays of every data type, pipeline and grid that exist together come back bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import zlab
from zlab.codecs.bytes import SMALL_BITS
from zlab.metadata import parse_data_type

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FLOATS = (
    *("bfloat16", "float16", "float32", "float64", "float4_e2m1fn", "float6_e2m3fn"),
    *("float6_e3m2fn", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fnuz"),
    *("float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
)
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (2, 4, 8, 16, 32, 64))
NAMED = (
    *("bool", "complex64", "complex128", "r8", "r24", *INTEGERS, *FLOATS),
    *(f"complex_{part}" for part in FLOATS),
)
PARAMETRIC: tuple[dict[str, Any], ...] = (
    {"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}},
    {"name": "null_terminated_bytes", "configuration": {"length_bytes": 3}},
    {"name": "raw_bytes", "configuration": {"length_bytes": 5}},
    {"name": "numpy.datetime64", "configuration": {"unit": "ms", "scale_factor": 3}},
    {"name": "numpy.timedelta64", "configuration": {"unit": "D", "scale_factor": 1}},
    {
        "name": "struct",
        "configuration": {
            "fields": [
                {"name": "a", "data_type": "uint4"},
                {"name": "b", "data_type": "complex_bfloat16"},
                {"name": "c", "data_type": "float64"},
            ]
        },
    },
)
VARIABLE = ("string", "bytes")
V2_NAMES = ("?", "i1", "<u2", ">i4", "<i8", "<f2", ">f4", "<f8", "<c8", ">c16", "<U3", "S3", "V3")
V2_TIMES = ("<M8[ms]", ">m8[7s]")
COMPRESSORS: tuple[Any, ...] = (
    None,
    {"name": "zstd", "configuration": {"level": 1, "checksum": True}},
    {"name": "gzip", "configuration": {"level": 1}},
    {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "shuffle"}},
    {"name": "crc32c"},
    [{"name": "zstd", "configuration": {"level": 1}}, {"name": "crc32c"}],
    {"name": "conditional", "configuration": {"codecs": [{"name": "gzip"}]}},
    *({"name": f"numcodecs.{name}"} for name in ("zlib", "bz2", "lzma", "lz4", "base64")),
    *({"name": f"numcodecs.{name}"} for name in ("adler32", "crc32", "fletcher32")),
)
V2_COMPRESSORS: tuple[Any, ...] = (
    None,
    *({"id": name} for name in ("zlib", "gzip", "bz2", "lzma", "lz4", "zstd", "blosc")),
)
PACKED = frozenset(
    {
        *("bool", "complex_float32", "complex_float64", "complex_bfloat16", "bfloat16"),
        *("float32", "float64", *INTEGERS, *SMALL_BITS),
        *(f"complex_{name}" for name in SMALL_BITS if name.startswith("float")),
    }
)


def masked(values: NDArray[Any]) -> NDArray[Any]:
    """Bytes of which the small types have only the bits that they hold; negative ones extended."""
    dtype = values.dtype
    if dtype.fields is not None:
        for name in dtype.names or ():
            values[name] = masked(np.ascontiguousarray(values[name]))
        return values
    if dtype.name in ("int2", "int4"):
        # the bits above the sign repeat it, as in every integer that NumPy has made
        shift = 8 - SMALL_BITS[dtype.name]
        return ((values.view("i1") << shift) >> shift).astype(dtype)
    if dtype.name in SMALL_BITS:
        return (values.view("u1") & ((1 << SMALL_BITS[dtype.name]) - 1)).view(dtype)
    if dtype.kind == "b":
        return (values.view("u1") & 1).view(bool)
    if dtype.kind == "U":
        # code points of the first planes, none of them a surrogate
        return (values.view("u4") % 0xD000).view(dtype)
    return values


@st.composite
def contents(draw: st.DrawFn, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Values of any bits: signalling NaNs, NaT, -0.0, every pattern of the small types."""
    count = int(np.prod(shape, dtype=int))
    if dtype.hasobject or dtype.kind == "T":
        text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
        each = text if dtype.kind == "T" else st.binary(max_size=5)
        values = np.empty(count, dtype)
        values[:] = draw(st.lists(each, min_size=count, max_size=count))
        return values.reshape(shape)
    pattern = draw(st.binary(min_size=1, max_size=64))
    data = np.frombuffer(pattern, "u1")
    buffer = np.resize(data, count * dtype.itemsize)
    # a run of one value makes chunks that hold nothing but the fill value
    if draw(st.booleans()):
        buffer[: len(buffer) // 2] = 0
    return masked(buffer.view(dtype)).reshape(shape)


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    """A shape, and chunks with edges cut, shards, nested shards or chunks of many sizes."""
    ndim = draw(st.integers(0, 3))
    shape = tuple(draw(st.lists(st.integers(0, 7), min_size=ndim, max_size=ndim)))
    chunks = tuple(draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim)))
    kind = draw(st.sampled_from(["regular", "sharded", "nested", "rectilinear"]))
    if kind == "rectilinear" and ndim and all(shape):
        sizes = []
        for length in shape:
            edges = draw(st.lists(st.integers(1, 4), min_size=1, max_size=8))
            # up to the end of the axis, or beyond it
            sizes.append([*edges, max(1, length - sum(edges))])
        grid = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": sizes}}
        return shape, {"chunks": grid}
    if kind in ("regular", "rectilinear"):
        return shape, {"chunks": chunks}
    factors = draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim))
    shards = tuple(c * f for c, f in zip(chunks, factors, strict=True))
    if kind == "sharded":
        return shape, {"chunks": chunks, "shards": shards}
    outer = tuple(n * draw(st.integers(1, 2)) for n in shards)
    return shape, {"chunks": outer, "nested": (shards, chunks)}


def sharded(serializer: Any, shapes: tuple[tuple[int, ...], ...], location: str) -> Any:
    """Shards of shards: the shapes of what each level holds, from the outermost."""
    codec = serializer
    for shape in reversed(shapes):
        codec = {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": list(shape),
                "codecs": [codec],
                "index_codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "crc32c"},
                ],
                "index_location": location,
            },
        }
    return codec


@st.composite
def serializers(draw: st.DrawFn, name: str) -> Any:
    """An array-to-bytes codec for a type."""
    if name in VARIABLE:
        return {"name": "vlen-utf8" if name == "string" else "vlen-bytes"}
    if name in PACKED and draw(st.booleans()):
        padding = draw(st.sampled_from(["none", "first_byte", "last_byte"]))
        return {"name": "packbits", "configuration": {"padding_encoding": padding}}
    endian = draw(st.sampled_from(["little", "big"]))
    return {"name": "bytes", "configuration": {"endian": endian}}


@st.composite
def arrays(draw: st.DrawFn) -> tuple[NDArray[Any], dict[str, Any]]:
    """Values, and the arguments of `create_array` that make an array for them."""
    kinds: list[Any] = [*NAMED, *PARAMETRIC, *VARIABLE]
    data_type = draw(st.sampled_from(kinds))
    name = data_type if isinstance(data_type, str) else data_type["name"]
    shape, options = draw(grids())
    dtype = parse_data_type(data_type).dtype
    values = draw(contents(dtype, shape))
    serializer = draw(serializers(name))
    nested = options.pop("nested", None)
    if nested is not None:
        serializer = sharded(serializer, nested, draw(st.sampled_from(["start", "end"])))
    filters = None
    if len(shape) > 1 and nested is None and draw(st.booleans()):
        order = draw(st.permutations(range(len(shape))))
        filters = [{"name": "transpose", "configuration": {"order": order}}]
    options |= {
        "shape": shape,
        "dtype": data_type,
        "serializer": serializer,
        "filters": filters,
        "compressors": draw(st.sampled_from(COMPRESSORS)),
        "chunk_key_encoding": draw(st.sampled_from([None, "/", "."])),
    }
    if draw(st.booleans()):
        options["fill_value"] = draw(contents(dtype, (1,)))[0]
    return values, options


def assert_same_bits(got: object, expected: NDArray[Any]) -> None:
    array = np.asarray(got)
    assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
    if expected.dtype.hasobject or expected.dtype.kind == "T":
        assert array.tolist() == expected.tolist()
    else:
        flat = [np.array(each).reshape(-1) for each in (array, expected)]
        assert masked(flat[0]).tobytes() == masked(flat[1]).tobytes()


@given(arrays())
def test_v3_arrays_come_back(case: tuple[NDArray[Any], dict[str, Any]]) -> None:
    values, options = case
    note(repr(options))
    store: dict[str, bytes] = {}
    array = zlab.create_array(store, **options)
    array[...] = values
    again = zlab.open_array(store)
    assert again.metadata == array.metadata
    assert_same_bits(again[...], values)
    fill = np.empty(1, values.dtype)
    fill[0] = array.fill_value
    reread = np.empty(1, values.dtype)
    reread[0] = again.fill_value
    assert_same_bits(reread, fill)


def shape_of(region: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in region)


@given(arrays(), st.data())
def test_parts_of_v3_arrays_come_back(
    case: tuple[NDArray[Any], dict[str, Any]], data: st.DataObject
) -> None:
    values, options = case
    note(repr(options))
    array = zlab.create_array({}, **options)
    array[...] = values
    region = tuple(
        slice(*sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2))))
        for n in values.shape
    )
    part = data.draw(contents(values.dtype, shape_of(region)))
    if values.ndim:
        assert_same_bits(array[region], values[region])
    array[region] = part
    if values.ndim:
        values[region] = part
    else:
        # ml_dtypes takes no array of no axes for a field
        values = part
    assert_same_bits(array[...], values)


@st.composite
def v2_arrays(draw: st.DrawFn) -> tuple[NDArray[Any], dict[str, Any]]:
    """As `arrays`, in v2."""
    name = draw(st.sampled_from([*V2_NAMES, *V2_TIMES, *VARIABLE]))
    ndim = draw(st.integers(0, 3))
    shape = tuple(draw(st.lists(st.integers(0, 7), min_size=ndim, max_size=ndim)))
    dtype = parse_data_type(name).dtype if name in VARIABLE else np.dtype(name).newbyteorder("=")
    values = draw(contents(dtype, shape))
    big = name.startswith(">")
    serializer: Any = {"name": "bytes", "configuration": {"endian": "big" if big else "little"}}
    options = {
        "shape": shape,
        "chunks": tuple(draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim))),
        "dtype": name,
        "serializer": "auto" if name in VARIABLE else serializer,
        "compressors": draw(st.sampled_from(V2_COMPRESSORS)),
        "order": draw(st.sampled_from(["C", "F"])),
        "chunk_key_encoding": draw(st.sampled_from(["/", "."])),
        "zarr_format": 2,
    }
    return values, options


@given(v2_arrays())
def test_v2_arrays_come_back(case: tuple[NDArray[Any], dict[str, Any]]) -> None:
    values, options = case
    note(repr(options))
    store: dict[str, bytes] = {}
    zlab.create_array(store, **options)[...] = values
    assert_same_bits(zlab.open_array(store)[...], values)


@pytest.mark.needs("tensorstore")
@given(case=arrays())
def test_tensorstore_reads_them(
    case: tuple[NDArray[Any], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    values, options = case
    note(repr(options))
    if not is_of_tensorstore(options):
        return
    folder: Path = tmp_path_factory.mktemp("array")
    zlab.create_array(folder, **options)[...] = values
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}}
    read = tensorstore.open(spec).result().read().result()
    native = read.astype("i1") if read.dtype.name in ("int2", "int4") else read
    assert_same_bits(native.astype(values.dtype), values)


TENSORSTORE_LACKS = ("uint2", "uint4", "float6_e2m3fn", "float6_e3m2fn", "float8_e4m3")
# it reads another fill value than the document's
TENSORSTORE_MISREADS = ("float8_e8m0fnu",)


def is_of_tensorstore(options: dict[str, Any]) -> bool:
    """Whether tensorstore 0.1 has the type, the codecs and the grid."""
    name = options["dtype"]
    codecs = options["compressors"] or []
    names = [codec["name"] for codec in (codecs if isinstance(codecs, list) else [codecs])]
    return (
        isinstance(name, str)
        and (name in ("bool", "complex64", "complex128", *INTEGERS, *FLOATS))
        and name not in TENSORSTORE_LACKS + TENSORSTORE_MISREADS
        and not isinstance(options["chunks"], dict)
        and "packbits" not in str(options["serializer"])
        # it wants to read parts of shards
        and (options["serializer"]["name"] != "sharding_indexed" or not names)
        and not any(each.startswith(("numcodecs.", "conditional")) for each in names)
    )


@pytest.mark.needs("zarr")
@pytest.mark.filterwarnings("ignore")
@given(case=st.one_of(arrays(), v2_arrays()))
def test_zarr_python_reads_them(
    case: tuple[NDArray[Any], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    zarr = pytest.importorskip("zarr")
    values, options = case
    note(repr(options))
    if not is_of_zarr(options):
        return
    folder: Path = tmp_path_factory.mktemp("array")
    zlab.create_array(folder, **options)[...] = values
    read = np.asarray(zarr.open_array(folder, mode="r")[...])
    if values.dtype.hasobject or values.dtype.kind == "T":
        assert read.tolist() == values.tolist()
    else:
        assert_same_bits(read.astype(values.dtype), values)


def is_of_zarr(options: dict[str, Any]) -> bool:
    """Whether zarr-python 3.1 has the type, the codecs and the grid."""
    name = options["dtype"] if isinstance(options["dtype"], str) else options["dtype"]["name"]
    text = str([options["serializer"], options["compressors"]])
    return (
        not hasattr(ml_dtypes, name)
        and not name.startswith(("complex_", "r8", "r24", "struct"))
        and not isinstance(options["chunks"], dict)
        and not any(word in text for word in ("packbits", "conditional", "base64"))
        # it wants all parameters of these
        and not any(word in text for word in ("numcodecs.", "'blosc'"))
    )
