"""What the scripts of this folder share: the values of each data type, and how a case is kept.

It imports NumPy and ml_dtypes and nothing of zlab: what is expected must not come from what is
tested.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = Path(__file__).parent
SMALL = {
    "int2": 2,
    "uint2": 2,
    "int4": 4,
    "uint4": 4,
    "float4_e2m1fn": 4,
    "float6_e2m3fn": 6,
    "float6_e3m2fn": 6,
    "float8_e3m4": 8,
    "float8_e4m3": 8,
    "float8_e4m3b11fnuz": 8,
    "float8_e4m3fnuz": 8,
    "float8_e5m2": 8,
    "float8_e5m2fnuz": 8,
    "float8_e8m0fnu": 8,
}
"""Bits of the data types that have no more than 256 values: a golden array holds all of them."""
FLOATS = ("bfloat16", "float16", "float32", "float64")
TIME = {"unit": "s", "scale_factor": 10}


@dataclass(frozen=True)
class TypeCase:
    """An array of one data type.

    Attributes:
        data_type: As it stands in a v3 document.
        values: One axis; in memory as zlab has them.
        fill: The fill value, not zero.
    """

    data_type: Any
    values: NDArray[Any]
    fill: Any

    @property
    def name(self) -> str:
        """The registered name."""
        data_type = self.data_type
        name: str = data_type["name"] if isinstance(data_type, dict) else data_type
        return name

    @property
    def chunk(self) -> int:
        """The length of a chunk: there are three or more, and the last one is cut."""
        return len(self.values) // 3 + 1


def dtype_of(name: str) -> np.dtype[Any]:
    """A dtype of NumPy or of ml_dtypes."""
    return np.dtype(getattr(ml_dtypes, name, name))


def float_bits(name: str) -> NDArray[Any]:
    """Zeros, infinities, NaNs of several payloads, subnormal numbers, and bits at random."""
    if name in SMALL:
        return np.arange(1 << SMALL[name], dtype=np.uint8).view(dtype_of(name))
    dtype = dtype_of(name)
    word = np.dtype(f"u{dtype.itemsize}")
    numbers = np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan]).astype(dtype).view(word)
    sign = 1 << (8 * dtype.itemsize - 1)
    one = int(numbers[4])
    bits = [1, sign | 1, one | 1, one | sign | 5, one - 1]
    random = np.random.default_rng(0).integers(0, np.iinfo(word).max, 20, word, endpoint=True)
    return np.concatenate([numbers, np.array(bits, word), random]).view(dtype)


def type_cases() -> dict[str, TypeCase]:
    """A case for each registered data type, by name."""
    cases = [TypeCase("bool", np.array([1, 0, 0, 1, 1], bool), np.True_)]
    for name in ("int2", "int4", "uint2", "uint4"):
        count = 1 << SMALL[name]
        low = -count // 2 if name.startswith("i") else 0
        values = np.arange(low, low + count).astype(dtype_of(name))
        cases.append(TypeCase(name, values, values[1]))
    for bits in (8, 16, 32, 64):
        for name in (f"int{bits}", f"uint{bits}"):
            limits = np.iinfo(name)
            near = [limits.min, limits.min + 1, 0, 1, limits.max - 1, limits.max]
            values = np.array(near, name)
            cases.append(TypeCase(name, values, values[-1]))
    floats = [*FLOATS, *(name for name in SMALL if name.startswith("float"))]
    for name in floats:
        values = float_bits(name)
        cases.append(TypeCase(name, values, np.array(1.5).astype(values.dtype)[()]))
    for name, part in (("complex64", "float32"), ("complex128", "float64")):
        values = float_bits(part).view(name)
        fill = values.dtype.type(1 - 2j)
        cases += [TypeCase(each, values, fill) for each in (name, f"complex_{part}")]
    for part in floats:
        if part not in ("float32", "float64"):
            member = float_bits(part)
            pair = np.dtype([("real", member.dtype), ("imag", member.dtype)])
            values = np.empty(len(member), pair)
            values["real"], values["imag"] = member, member[::-1]
            fill = np.array((member[2], member[1]), pair)[()]
            cases.append(TypeCase(f"complex_{part}", values, fill))
    raw = np.frombuffer(bytes(range(15)), "V3")
    cases.append(TypeCase("r24", raw, raw[2]))
    texts = ["", "zarr", "größe", "雪\U0001f40d", "a\0b"]
    cases.append(TypeCase("string", np.array(texts, object), "fill ü"))
    binary = np.empty(4, object)
    binary[:] = [b"", b"\0", b"zarr", bytes(range(256))]
    cases.append(TypeCase("bytes", binary, b"\0\xff"))
    utf32 = np.array(["", "a", "ß雪", "\U0001f40d\U0001f40d\U0001f40d"], "U3")
    configuration: dict[str, Any] = {"length_bytes": 12}
    named = {"name": "fixed_length_utf32", "configuration": configuration}
    cases.append(TypeCase(named, utf32, utf32[2]))
    for name, code in (("datetime", "M8[10s]"), ("timedelta", "m8[10s]")):
        times = np.array([0, -1, 1 << 40, np.iinfo(np.int64).min], "i8").view(code)
        named = {"name": f"numpy.{name}64", "configuration": TIME}
        cases.append(TypeCase(named, times, times[1]))
    fields = [("flag", "i1"), ("place", "f4"), ("count", "u8")]
    records = np.array([(1, 2.5, 3), (-1, -0.0, 2**64 - 1)], fields)
    members = [
        {"name": "flag", "data_type": "int8"},
        {"name": "place", "data_type": "float32"},
        {"name": "count", "data_type": "uint64"},
    ]
    named = {"name": "struct", "configuration": {"fields": members}}
    cases.append(TypeCase(named, records, records[0]))
    return {case.name: case for case in cases}


def json_fill(case: TypeCase) -> Any:
    """The fill value as the specification of its type writes it."""
    fill, dtype = case.fill, case.values.dtype
    if case.name == "bytes":
        return list(fill)
    if case.name in ("string", "fixed_length_utf32"):
        return str(fill)
    if case.name == "r24":
        return list(fill.tobytes())
    if case.name == "struct":
        return {"flag": int(fill["flag"]), "place": float(fill["place"]), "count": int(fill[2])}
    if case.name.startswith("complex"):
        parts = (fill["real"], fill["imag"]) if dtype.names else (fill.real, fill.imag)
        return [_json_float(part) for part in parts]
    if case.name.startswith("numpy."):
        return int(fill.view("i8"))
    if case.name == "bool":
        return bool(fill)
    return int(fill) if "int" in case.name else _json_float(fill)


def _json_float(value: Any) -> Any:
    number = float(value)
    if np.isnan(number):
        return "NaN"
    return number if np.isfinite(number) else "Infinity" if number > 0 else "-Infinity"


def _describe(dtype: np.dtype[Any]) -> Any:
    if dtype.names:
        return [[name, _describe(dtype[name])] for name in dtype.names]
    return dtype.name if dtype.isbuiltin == 2 else dtype.str


def _values(values: NDArray[Any]) -> Any:
    """Text as it is, byte strings and all memory as hexadecimal digits."""
    if values.dtype.hasobject or values.dtype.kind == "T":
        flat = values.reshape(-1).tolist()
        return [each.hex() if isinstance(each, bytes) else each for each in flat]
    return np.ascontiguousarray(values).tobytes().hex()


class Recording:
    """A writer's arrays in a directory, and what is to be read from them.

    Args:
        writer: The name of the writer, and of the two files that are kept.
        versions: Of the libraries that wrote.
    """

    def __init__(self, writer: str, versions: dict[str, str]) -> None:
        self.writer = writer
        self.versions = versions
        self.root = Path(tempfile.mkdtemp())
        self.cases: dict[str, Any] = {}

    def path(self, case: str) -> Path:
        """Where the writer puts an array."""
        return self.root / case

    def expect(self, case: str, values: NDArray[Any], **more: Any) -> None:
        """Notes what an array holds.

        Args:
            case: Its path in the store.
            values: All its elements.
            **more: `fill`, a scalar; `chunks`, `names` and `attributes`; `objects`, where text is
                to be read as Python's objects.
        """
        items = values.reshape(-1).tolist() if values.dtype.hasobject else []
        is_text = bool(items) and all(isinstance(item, str) for item in items)
        text = values.dtype.kind == "T" or (is_text and not more.pop("objects", False))
        entry: dict[str, Any] = {
            "dtype": "string" if text else _describe(values.dtype.newbyteorder("=")),
            "shape": list(values.shape),
            "values": _values(values),
        }
        if "fill" in more:
            boxed = np.empty(1, values.dtype)
            boxed[:] = [more.pop("fill")]
            entry["fill"] = _values(boxed)
        self.cases[case] = entry | more

    def keep(self) -> None:
        """Writes the archive and the expectations; the same input gives the same bytes."""
        documents = {"versions": self.versions, "cases": self.cases}
        text = json.dumps(documents, ensure_ascii=False, indent=1)
        (FOLDER / f"{self.writer}.json").write_text(text + "\n", encoding="utf-8")
        target = FOLDER / f"{self.writer}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(self.root.rglob("*")):
                if path.is_file():
                    name = path.relative_to(self.root).as_posix()
                    archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
        shutil.rmtree(self.root)
        sizes = f"{target.stat().st_size} bytes"
        print(f"{self.writer}: {len(self.cases)} cases, {sizes}")  # noqa: T201  a script's report


def filled(case: TypeCase) -> NDArray[Any]:
    """A case's values, and fill values behind them: a chunk at least that no one writes."""
    rest = np.empty(-len(case.values) % case.chunk + case.chunk, case.values.dtype)
    rest[:] = [case.fill] * len(rest)
    return np.concatenate([case.values, rest])
