"""Writes `specification.zip`: what no library writes, packed by hand from the specifications.

No library wrote these bytes, so they are the weaker proof: the same people read the same text
twice. struct and NumPy pack them (and zfpy the zfp streams), never zlab.
"""

from __future__ import annotations

import gzip
import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import zfpy
from recording import Recording, dtype_of

if TYPE_CHECKING:
    from pathlib import Path

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def codec(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def write(path: Path, chunks: dict[str, bytes], **fields: Any) -> None:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "chunk_key_encoding": {"name": "default"},
        "codecs": [LITTLE],
        "fill_value": 0,
    } | fields
    path.mkdir(parents=True)
    (path / "zarr.json").write_text(json.dumps(document))
    for key, data in chunks.items():
        (path / "c" / key).parent.mkdir(parents=True, exist_ok=True)
        (path / "c" / key).write_bytes(data)


def regular(*shape: int) -> dict[str, Any]:
    return codec("regular", chunk_shape=list(shape))


def n5(recording: Recording) -> None:
    """Blocks in Fortran order, big-endian; the one at the edge is cut short, the next padded."""
    values = np.arange(10, dtype="u2").reshape(5, 2) * 257

    def block(part: np.ndarray[Any, Any]) -> bytes:
        header = struct.pack(">HHII", 0, 2, *part.shape)
        return header + gzip.compress(part.T.astype(">u2").tobytes(), mtime=0)

    inner = [
        codec("transpose", order=[1, 0]), codec("bytes", endian="big"), codec("gzip", level=1),
    ]  # fmt: skip
    padded = np.zeros((3, 2), "u2")
    padded[:2] = values[3:]
    for name, last in (("n5_default", values[3:]), ("n5_default-padded", padded)):
        write(
            recording.path(f"codecs/{name}"), {"0/0": block(values[:3]), "1/0": block(last)},
            shape=[5, 2], data_type="uint16", chunk_grid=regular(3, 2),
            codecs=[codec("n5_default", codecs=inner)],
        )  # fmt: skip
        recording.expect(f"codecs/{name}", values, chunks=[3, 2])


def conditional(recording: Recording) -> None:
    """The first chunk through no codec, the second through one, the third through both."""
    values = np.arange(6, dtype="<u4")
    plain = [values[start : start + 2].tobytes() for start in (0, 2, 4)]
    shuffled = np.frombuffer(plain[2], "u1").reshape(2, 4).T.tobytes()
    chunks = {
        "0": b"\0" + plain[0],
        "1": b"\2" + gzip.compress(plain[1], mtime=0),
        "2": b"\3" + gzip.compress(shuffled, mtime=0),
    }
    held = [codec("numcodecs.shuffle", elementsize=4), codec("gzip", level=1)]
    write(
        recording.path("codecs/conditional"), chunks, shape=[6], data_type="uint32",
        chunk_grid=regular(2), codecs=[LITTLE, codec("conditional", codecs=held)],
    )  # fmt: skip
    recording.expect("codecs/conditional", values, chunks=[2])


def zfp(recording: Recording) -> None:
    """Streams without a header; lossy ones hold what zfpy itself decodes."""
    values = (np.arange(20, dtype="f4").reshape(4, 5) / 7) ** 2
    modes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "reversible": ({}, {}),
        "fixed_accuracy": ({"tolerance": 0.01}, {"tolerance": 0.01}),
        "fixed_precision": ({"precision": 12}, {"precision": 12}),
        "fixed_rate": ({"rate": 10.5}, {"rate": 10.5}),
    }
    for name, (configuration, options) in modes.items():
        data = zfpy.compress_numpy(values, write_header=False, **options)
        whole = zfpy.compress_numpy(values, write_header=True, **options)
        path = f"codecs/zfp-{name}"
        write(
            recording.path(path), {"0/0": data}, shape=[4, 5], data_type="float32",
            chunk_grid=regular(4, 5), codecs=[codec("zfp", mode=name, **configuration)],
        )  # fmt: skip
        recording.expect(path, zfpy.decompress_numpy(whole))


def upper_bits(recording: Recording) -> None:
    """Bits that a small type ignores, set to 1."""
    for name, bits in (("int2", 2), ("uint4", 4), ("float6_e2m3fn", 6), ("float4_e2m1fn", 4)):
        pattern = np.arange(1 << bits, dtype="u1")
        path = f"types/{name}-upper-bits"
        write(
            recording.path(path), {"0": (pattern | (0xFF << bits & 0xFF)).tobytes()},
            shape=[len(pattern)], data_type=name, chunk_grid=regular(len(pattern)),
            codecs=["bytes"],
        )  # fmt: skip
        held = pattern.view(dtype_of(name))
        if name == "int2":
            held = np.array([0, 1, -2, -1]).astype(dtype_of(name))
        recording.expect(path, held)


def legacy(recording: Recording) -> None:
    """`structured`, the alias that must be read: pairs, no byte order, a fill value of base64."""
    held = np.array([(1, 2.5), (-1, 0.0), (7, 1.0)], [("a", "<i2"), ("b", "<f4")])
    members = [["a", "int16"], ["b", "float32"]]
    write(
        recording.path("types/structured"), {"0": held[:2].tobytes()}, shape=[3],
        data_type=codec("structured", fields=members), chunk_grid=regular(2),
        codecs=["bytes"], fill_value="BwAAAIA/",
    )  # fmt: skip
    recording.expect("types/structured", held, fill=held[2])
    microseconds = np.array([1, -1], "<i8").view("<M8[us]")
    unit = "\N{GREEK SMALL LETTER MU}s"
    write(
        recording.path("types/datetime-mu"), {"0": microseconds.tobytes()}, shape=[2],
        data_type=codec("numpy.datetime64", unit=unit, scale_factor=1), chunk_grid=regular(2),
        fill_value="NaT",
    )  # fmt: skip
    recording.expect("types/datetime-mu", microseconds, fill=np.datetime64("NaT", "us"))


def overflowing(recording: Recording) -> None:
    """A rectilinear grid whose last chunk reaches beyond the array, and one of run lengths."""
    values = np.arange(7, dtype="<i2")
    chunks = {"0": values[:2].tobytes(), "1": values[2:4].tobytes()}
    chunks["2"] = np.array([4, 5, 6, 99, 98], "<i2").tobytes()
    grid = codec("rectilinear", kind="inline", chunk_shapes=[[[2, 2], 5]])
    write(
        recording.path("grids/rectilinear-overflow"), chunks, shape=[7], data_type="int16",
        chunk_grid=grid,
    )  # fmt: skip
    recording.expect("grids/rectilinear-overflow", values)


if __name__ == "__main__":
    kept = Recording("specification", {"zarr-extensions": "2026-07-14", "zarr": "3.1"})
    n5(kept)
    conditional(kept)
    zfp(kept)
    upper_bits(kept)
    legacy(kept)
    overflowing(kept)
    kept.keep()
