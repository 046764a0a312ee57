"""The chunk plane of stores that zarr-python wrote, value by value against the files on disk."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

pytestmark = [pytest.mark.needs("lab"), pytest.mark.needs("zarr")]

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def decode(body: bytes) -> tuple[dict[str, Any], NDArray[np.float64]]:
    (nbytes,) = struct.unpack("<I", body[:4])
    header = json.loads(body[4 : 4 + nbytes])
    return header, np.frombuffer(body, "<f8", offset=4 + nbytes).reshape(header["shape"])


@pytest.fixture
def data() -> NDArray[np.int32]:
    # compresses to another size in each chunk
    data = np.random.default_rng(1).integers(0, 1000, (20, 30, 6), np.int32)
    data[8:, 14:] = 0
    return data


@pytest.mark.parametrize(("zarr_format", "separator"), [(2, "."), (2, "/"), (3, "."), (3, "/")])
async def test_chunks_are_files(
    get: Any, root: Path, data: NDArray[np.int32], zarr_format: Literal[2, 3], separator: str
) -> None:
    import zarr

    name = "v2" if zarr_format == 2 else "default"
    array = zarr.create_array(
        root / "files.zarr",
        name="a/b",
        shape=data.shape,
        chunks=(4, 7, 3),
        dtype=data.dtype,
        zarr_format=zarr_format,
        chunk_key_encoding={"name": name, "separator": separator},
        config={"write_empty_chunks": False},
    )
    array[:] = data
    prefix = "" if zarr_format == 2 else f"c{separator}"
    status, body, _ = await get("chunks", store="files.zarr", path="a/b", axes="1,0", index="0,0,1")
    header, plane = decode(body)
    assert status == 200
    assert (header["shape"], header["chunk_grid_shape"]) == ([5, 5], [5, 5, 2])
    assert header["shards_per"] is None
    expected = np.full((5, 5), -1)
    for row in range(5):
        for column in range(5):
            file = root / "files.zarr" / "a/b" / (prefix + separator.join(f"{column}{row}1"))
            if file.is_file():
                expected[row, column] = file.stat().st_size
    np.testing.assert_array_equal(plane, expected)
    stored = expected[expected >= 0]
    assert 0 < stored.size < 25
    assert (header["min"], header["max"]) == (stored.min(), stored.max())
    assert (header["nchunks_stored"], header["nbytes_stored"]) == (stored.size, stored.sum())


async def test_chunks_are_parts_of_shards(get: Any, root: Path, data: NDArray[np.int32]) -> None:
    import zarr

    array = zarr.create_array(
        root / "shards.zarr",
        shape=data.shape,
        chunks=(2, 5, 3),
        shards=(4, 15, 6),
        dtype=data.dtype,
        config={"write_empty_chunks": False},
    )
    array[:] = data
    status, body, _ = await get("chunks", store="shards.zarr", axes="0,1", index="0,0,0")
    header, plane = decode(body)
    assert status == 200
    assert header["shards_per"] == [2, 3]
    expected = np.full((10, 6), -1)
    # the index stands at the end: an offset and a length for each of 2 x 3 x 2 chunks, and a CRC
    for file in (root / "shards.zarr" / "c").rglob("*"):
        if file.is_file():
            shard = tuple(map(int, file.relative_to(root / "shards.zarr" / "c").parts))
            raw = file.read_bytes()[-(2 * 3 * 2 * 16 + 4) : -4]
            index = np.frombuffer(raw, "<u8").reshape(2, 3, 2, 2)
            lengths = np.where(index[..., 0] == 2**64 - 1, -1, index[..., 1].astype(np.int64))
            rows = slice(shard[0] * 2, shard[0] * 2 + 2)
            expected[rows, shard[1] * 3 : shard[1] * 3 + 3] = lengths[..., 0]
    np.testing.assert_array_equal(plane, expected)
    assert (expected == -1).any()
    assert (expected > 0).any()


async def test_the_default_plane(get: Any, root: Path, data: NDArray[np.int32]) -> None:
    import zarr

    zarr.create_array(root / "empty.zarr", shape=(10, 1, 30), chunks=(5, 1, 3), dtype="i1")
    status, body, _ = await get("chunks", store="empty.zarr")
    header, plane = decode(body)
    assert (status, header["axes"], header["index"]) == (200, [0, 2], [0, 0, 0])
    assert (header["min"], header["max"], header["nchunks_stored"]) == (None, None, 0)
    np.testing.assert_array_equal(plane, np.full((2, 10), -1))
