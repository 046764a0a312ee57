"""Writes `zarr-python-2.zip` with zarr-python 2: the object codecs and filters of v2.

zarr-python 3 has most of them no more; stores that hold them are everywhere.
"""

from __future__ import annotations

from typing import Any

import numcodecs
import numpy as np
import zarr
from recording import Recording

GRID = np.arange(30, dtype="i4").reshape(6, 5) * 1_000_003
FLOATS = np.array([0.0, 0.125, -3.5, 1234.5678, 1e-3, 2.0, 7.75, -0.5])


def create(recording: Recording, path: str, **options: Any) -> Any:
    defaults: dict[str, Any] = {"compressor": None}
    return zarr.create(store=zarr.DirectoryStore(str(recording.path(path))), **defaults | options)


def objects(recording: Recording) -> None:
    texts = np.array(["", "zarr", "größe", "雪\U0001f40d"], object)
    binary = np.array([b"", b"\0", b"zarr", bytes(range(256))], object)
    for name, held, object_codec in (
        ("vlen-utf8", texts, numcodecs.VLenUTF8()),
        ("vlen-bytes", binary, numcodecs.VLenBytes()),
        ("json2", texts, numcodecs.JSON()),
        ("msgpack2", texts, numcodecs.MsgPack()),
    ):
        array = create(
            recording, f"objects/{name}", shape=(4,), chunks=(3,), dtype=object,
            object_codec=object_codec, compressor=numcodecs.Zstd(1),
        )  # fmt: skip
        array[...] = held
        objects = not name.startswith("vlen")
        recording.expect(f"objects/{name}", held, chunks=[3], objects=objects)
    labels = np.array(["cold", "warm", "cold", "hot"], object)
    array = create(
        recording, "objects/categorize", shape=(4,), chunks=(3,), dtype=object,
        object_codec=numcodecs.Categorize(["cold", "warm", "hot"], dtype=object),
    )  # fmt: skip
    array[...] = labels
    recording.expect("objects/categorize", labels, chunks=[3])


def filters(recording: Recording) -> None:
    chains: dict[str, Any] = {
        "delta": numcodecs.Delta("<f8"),
        "quantize": numcodecs.Quantize(2, "<f8"),
        "fixedscaleoffset": numcodecs.FixedScaleOffset(1, 4, "<f8", "<i4"),
        "astype": numcodecs.AsType("<f4", "<f8"),
        "bitround": numcodecs.BitRound(5),
        "shuffle": numcodecs.Shuffle(8),
        "base64": numcodecs.Base64(),
        "fletcher32": numcodecs.Fletcher32(),
        "crc32": numcodecs.CRC32(),
        "adler32": numcodecs.Adler32(),
        "jenkins_lookup3": numcodecs.JenkinsLookup3(),
    }
    for name, codec in chains.items():
        array = create(
            recording, f"filters/{name}", shape=(8,), chunks=(5,), dtype="<f8", filters=[codec],
            compressor=numcodecs.Zlib(1),
        )  # fmt: skip
        array[...] = FLOATS
        # lossy filters give back what zarr-python reads
        recording.expect(f"filters/{name}", array[...], chunks=[5])
    flags = np.array([1, 0, 0, 1, 1, 1, 0, 1, 1, 0], bool)
    array = create(
        recording, "filters/packbits", shape=(10,), chunks=(9,), dtype="?",
        filters=[numcodecs.PackBits()],
    )  # fmt: skip
    array[...] = flags
    recording.expect("filters/packbits", flags, chunks=[9])
    fixed = np.array(["cold", "warm", "cold", "hot"], "U4")
    array = create(
        recording, "filters/categorize", shape=(4,), chunks=(3,), dtype="<U4",
        filters=[numcodecs.Categorize(["cold", "warm", "hot"], dtype="<U4")],
    )  # fmt: skip
    array[...] = fixed
    recording.expect("filters/categorize", fixed, chunks=[3])


def compressors(recording: Recording) -> None:
    for name, codec in {
        "zlib": numcodecs.Zlib(1),
        "gzip": numcodecs.GZip(1),
        "bz2": numcodecs.BZ2(1),
        "lzma": numcodecs.LZMA(preset=1),
        "lz4": numcodecs.LZ4(),
        "zstd": numcodecs.Zstd(1),
        "blosc": numcodecs.Blosc("blosclz", 5, numcodecs.Blosc.AUTOSHUFFLE),
    }.items():
        for order, separator in (("C", "."), ("F", "/")):
            path = f"compressors/{name}-{order}"
            array = create(
                recording, path, shape=(6, 5), chunks=(4, 3), dtype=">i4", order=order,
                compressor=codec, dimension_separator=separator, fill_value=-5,
            )  # fmt: skip
            array[...] = GRID
            recording.expect(path, GRID, chunks=[4, 3], fill=np.int32(-5))


def structured(recording: Recording) -> None:
    fields = [("a", ">i2"), ("b", [("x", ">f4"), ("y", "S2")])]
    records = np.array([(1, (2.5, b"ab")), (-3, (0.0, b""))], fields)
    array = create(recording, "types/fields", shape=(3,), chunks=(2,), dtype=fields, fill_value=0)
    array[:2] = records
    native = np.dtype([("a", "i2"), ("b", [("x", "f4"), ("y", "S2")])])
    held = np.zeros(3, native)
    held[:2] = records
    recording.expect("types/fields", held, chunks=[2])
    array = create(recording, "types/scalar", shape=(), chunks=(), dtype="<f8", fill_value=np.nan)
    recording.expect("types/scalar", np.array(np.nan), fill=np.float64(np.nan))


def consolidated(recording: Recording) -> None:
    store = zarr.DirectoryStore(str(recording.root / "consolidated"))
    root = zarr.group(store)
    root.attrs["title"] = "größe"
    array = root.create_dataset("inner/a", data=GRID, chunks=(4, 3), compressor=None)
    array.attrs["_ARRAY_DIMENSIONS"] = ["y", "x"]
    zarr.consolidate_metadata(store)
    recording.expect("consolidated/inner/a", GRID, chunks=[4, 3], names=["y", "x"])


if __name__ == "__main__":
    versions = {"zarr": zarr.__version__, "numcodecs": numcodecs.__version__}
    kept = Recording("zarr-python-2", versions)
    objects(kept)
    filters(kept)
    compressors(kept)
    structured(kept)
    consolidated(kept)
    kept.keep()
