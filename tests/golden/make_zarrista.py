"""Writes `zarrista.zip`: every data type that zarrs has, and its codecs and grids."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import zarrista
from recording import SMALL, Recording, dtype_of, filled, json_fill, type_cases
from zarrista import Array, ArrayBytes
from zarrista.store import FilesystemStore

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
# multiples of 8: nothing is lost without the lowest three bits
GRID = np.arange(30, dtype="i4").reshape(6, 5) * 8_000_024


def codec(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def document(**fields: Any) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "chunk_key_encoding": {"name": "default"},
        "codecs": [LITTLE],
        "fill_value": 0,
    } | fields


def regular(*chunks: int) -> dict[str, Any]:
    return codec("regular", chunk_shape=list(chunks))


def cut(values: np.ndarray[Any, Any], chunks: tuple[int, ...]) -> Any:
    """Whole chunks by coordinates, with zeros beyond the array's end."""
    counts = [-(-n // c) for n, c in zip(values.shape, chunks, strict=True)]
    whole = np.zeros([n * c for n, c in zip(counts, chunks, strict=True)], values.dtype)
    whole[tuple(map(slice, values.shape))] = values
    for coords in np.ndindex(*counts):
        box = [slice(i * c, i * c + c) for i, c in zip(coords, chunks, strict=True)]
        yield list(coords), whole[tuple(box)]


def types(recording: Recording, store: Any) -> None:
    for name, case in type_cases().items():
        if name == "struct":
            continue  # zarrs has none
        chunk, values = case.chunk, filled(case)
        serializer = {"string": "vlen-utf8", "bytes": "vlen-bytes"}.get(name)
        array = Array.from_metadata(
            document(
                shape=[len(values)],
                data_type=case.data_type,
                chunk_grid=regular(chunk),
                codecs=[LITTLE if serializer is None else {"name": serializer}],
                fill_value=json_fill(case),
            ),
            store,
            f"/types/{name}",
        )
        array.store_metadata()
        for (place,), part in cut(values[:-chunk], (chunk,)):
            if serializer is None:
                array.store_chunk([place], ArrayBytes(part.tobytes()))
            else:
                items = [v.encode() if isinstance(v, str) else v for v in part]
                ends = [0, *np.cumsum([len(item) for item in items]).tolist()]
                array.store_chunk([place], ArrayBytes(b"".join(items), offsets=ends))
        recording.expect(f"types/{name}", values, fill=case.fill, chunks=[chunk])


def write(
    recording: Recording,
    store: Any,
    path: str,
    values: np.ndarray[Any, Any],
    chunks: tuple[int, ...],
    expected: np.ndarray[Any, Any] | None = None,
    **fields: Any,
) -> None:
    name = values.dtype.name
    shape = list(values.shape)
    metadata = document(shape=shape, data_type=name, chunk_grid=regular(*chunks)) | fields
    array = Array.from_metadata(metadata, store, f"/{path}")
    array.store_metadata()
    for place, part in cut(values, chunks):
        array.store_chunk(place, ArrayBytes(np.ascontiguousarray(part).tobytes()))
    extra = {"names": fields["dimension_names"]} if "dimension_names" in fields else {}
    if "attributes" in fields:
        extra["attributes"] = fields["attributes"]
    shown = values if expected is None else expected
    recording.expect(path, shown, chunks=list(chunks), **extra)


def codecs(recording: Recording, store: Any) -> None:
    crc = {"name": "crc32c"}
    blosc = codec("blosc", cname="lz4", clevel=5, shuffle="bitshuffle", typesize=4, blocksize=0)
    index = [LITTLE, crc]
    inner = codec("sharding_indexed", chunk_shape=[1, 3], codecs=[LITTLE, crc], index_codecs=index)
    chains: dict[str, list[Any]] = {
        "big": [codec("bytes", endian="big")],
        "zstd": [LITTLE, codec("zstd", level=3, checksum=True)],
        "gzip": [LITTLE, codec("gzip", level=6)],
        "blosc": [LITTLE, blosc],
        "crc32c": [LITTLE, crc],
        "transpose": [codec("transpose", order=[1, 0]), LITTLE],
        "reshape": [codec("reshape", shape=[[0, 1]]), LITTLE],
        "reshape-split": [codec("reshape", shape=[2, 2, -1]), LITTLE],
        "numcodecs.shuffle": [LITTLE, codec("numcodecs.shuffle", elementsize=4)],
        "packbits": [codec("packbits")],
        "packbits-part": [codec("packbits", first_bit=3, padding_encoding="last_byte")],
        "sharding": [
            codec("sharding_indexed", chunk_shape=[2, 3], codecs=[LITTLE], index_codecs=index)
        ],
        "sharding-start": [
            codec(
                "sharding_indexed",
                chunk_shape=[2, 3],
                codecs=[LITTLE, codec("gzip", level=1)],
                index_codecs=[LITTLE],
                index_location="start",
            )
        ],
        "sharding-nested": [
            codec("sharding_indexed", chunk_shape=[2, 3], codecs=[inner], index_codecs=index)
        ],
    }
    for name, chain in chains.items():
        write(recording, store, f"codecs/{name}", GRID, (4, 3), codecs=chain)
    for name, bits in SMALL.items():
        if bits < 8 or name.startswith("int"):
            small = np.arange(1 << bits, dtype="u1")
            held = small.view(dtype_of(name))
            if "int" in name:
                low = 0 if name.startswith("u") else -(1 << (bits - 1))
                held = (small.astype("i4") + low).astype(dtype_of(name))
            chain = [codec("packbits", padding_encoding="first_byte")]
            write(recording, store, f"codecs/packbits-{name}", held, (3,), codecs=chain)
    flags = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0], bool)
    write(
        recording, store, "codecs/packbits-bool", flags, (9,), codecs=[codec("packbits")],
        fill_value=False,
    )  # fmt: skip
    # 3 of 23 bits of the mantissa: rounded by hand
    floats = np.array([1.2345, -9.87, 0.1, 1e30, np.inf, -0.0, 1.0625], "f4")
    rounded = np.array([1.25, -10, 0.1015625, 13 * 2.0**96, np.inf, -0.0, 1.0], "f4")
    chain = [codec("bitround", keepbits=3), LITTLE]
    write(recording, store, "codecs/bitround", floats, (4,), rounded, codecs=chain)


def grids(recording: Recording, store: Any) -> None:
    for name, encoding in (
        ("default-slash", codec("default", separator="/")),
        ("default-dot", codec("default", separator=".")),
        ("v2-dot", codec("v2", separator=".")),
        ("v2-slash", codec("v2", separator="/")),
        ("bare", "default"),
    ):
        write(
            recording, store, f"keys/{name}", GRID, (4, 3), chunk_key_encoding=encoding,
            dimension_names=["row", None], attributes={"name": name, "größe": [1, None, {}]},
        )  # fmt: skip
    write(recording, store, "keys/scalar", np.array(7, "i4"), (), chunk_key_encoding="default")
    shapes = [[1, [2, 2], 1], [3, 2]]
    array = Array.from_metadata(
        document(
            shape=[6, 5],
            data_type="int32",
            chunk_grid=codec("rectilinear", kind="inline", chunk_shapes=shapes),
        ),
        store,
        "/grids/rectilinear",
    )
    array.store_metadata()
    for row, (top, bottom) in enumerate([(0, 1), (1, 3), (3, 5), (5, 6)]):
        for column, (left, right) in enumerate([(0, 3), (3, 5)]):
            part = np.ascontiguousarray(GRID[top:bottom, left:right])
            array.store_chunk([row, column], ArrayBytes(part.tobytes()))
    recording.expect("grids/rectilinear", GRID)


if __name__ == "__main__":
    kept = Recording("zarrista", {"zarrista": version("zarrista")})
    assert zarrista
    filesystem = FilesystemStore(str(kept.root))
    types(kept, filesystem)
    codecs(kept, filesystem)
    grids(kept, filesystem)
    kept.keep()
