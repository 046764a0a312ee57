"""The codec floor: what numcodecs needs to decode the same bytes from memory, on all cores.

No library that decodes with the same C code can be faster, whatever it does besides; it plans,
opens and copies nothing. The chunks lie one after the other in its output, which is allocated anew
for each read as a reader's is.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numcodecs
import numcodecs.blosc
import numcodecs.zstd
import numpy as np

import zlab
from benchmarks.peers import Library, Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.peers import Setting

_INDEX_ENTRY = 16  # offset and length of an inner chunk, eight bytes each
_CRC32C = 4


@dataclass(frozen=True)
class _Decoded:
    """Chunks one after the other, which only a check puts together."""

    chunks: NDArray[Any]
    grid: tuple[int, ...]
    shape: tuple[int, ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001  as NumPy calls it
        del dtype, copy
        ndim = len(self.grid)
        # from grid, chunk to grid, chunk, axis by axis
        axes = [
            axis for pair in zip(range(ndim), range(ndim, 2 * ndim), strict=True) for axis in pair
        ]
        apart = self.chunks.reshape(self.grid + self.chunks.shape[1:]).transpose(axes)
        whole = [n * c for n, c in zip(self.grid, self.chunks.shape[1:], strict=True)]
        return apart.reshape(whole)[tuple(map(slice, self.shape))]


class _Chunks:
    """All chunks of an array, encoded, in memory."""

    def __init__(self, array: zlab.Array, decode: Callable[..., Any], threads: int) -> None:
        self.array = array
        self.grid = array.chunk_grid_shape
        self.encoded = dict(zip(product(*map(range, self.grid)), _encoded(array), strict=True))
        self.decode = decode
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)

    def read(self, selection: Any) -> _Decoded:
        if selection is not ...:
            raise NotImplementedError
        chunks = np.empty((len(self.encoded), *self.array.chunks), self.array.dtype)
        pieces = list(self.encoded.values())

        def run(first: int) -> None:
            for number in range(first, len(pieces), self.threads):
                self.decode(pieces[number], chunks[number])

        list(self.pool.map(run, range(self.threads)))
        return _Decoded(chunks, self.grid, self.array.shape)

    def read_chunk(self, coords: tuple[int, ...], _place: object) -> NDArray[Any]:
        chunk = np.empty(self.array.chunks, self.array.dtype)
        self.decode(self.encoded[coords], chunk)
        return chunk


class _Floor(Library):
    statement = "import numcodecs"

    def open(self, place: Path, setting: Setting) -> Opened:
        array = zlab.open_array(place)
        if not array.compressors:
            self.cannot("nothing to decode")
        numcodecs.blosc.use_threads = False
        name = array.compressors[0].name
        decode = {
            "zstd": numcodecs.zstd.decompress,
            "blosc": numcodecs.blosc.decompress,
            "gzip": numcodecs.GZip().decode,
        }[name]
        chunks = _Chunks(array, decode, setting.threads or os.cpu_count() or 1)
        return Opened(chunks.read, chunks.read_chunk)


def _encoded(array: zlab.Array) -> Iterator[bytes]:
    """The encoded bytes of every chunk, in C order."""
    per = [s // c for s, c in zip(array.shards or array.chunks, array.chunks, strict=True)]
    index_nbytes = prod(per) * _INDEX_ENTRY + _CRC32C

    @cache
    def shard(coords: tuple[int, ...]) -> tuple[bytes, NDArray[Any] | None]:
        stored = array.store.get("/".join(["c", *map(str, coords)]))
        if stored is None:
            raise FileNotFoundError(coords)
        whole = bytes(stored)
        if array.shards is None:
            return whole, None
        index = np.frombuffer(whole[-index_nbytes:-_CRC32C], "<u8")
        return whole, index.reshape(*per, 2)

    for coords in product(*map(range, array.chunk_grid_shape)):
        whole, index = shard(tuple(i // n for i, n in zip(coords, per, strict=True)))
        if index is None:
            yield whole
        else:
            offset, nbytes = index[tuple(i % n for i, n in zip(coords, per, strict=True))]
            yield whole[offset : offset + nbytes]


def library(_variant: str) -> Library:
    """The floor."""
    return _Floor()
