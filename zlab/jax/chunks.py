"""Streams of chunks as `jax.Array`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import jax

from zlab.array import Array
from zlab.jax.device import to_device
from zlab.jax.dtypes import chosen_dtype, converted, title_of
from zlab.stream.arguments import check_kind
from zlab.stream.loader import format_region
from zlab.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import DTypeLike

    from zlab.stream.ahead import Halt
    from zlab.stream.chunks import ChunkStream
    from zlab.stream.loader import Chunk
    from zlab.stream.tally import Tally


@final
@dataclass(frozen=True, eq=False, slots=True)
class TensorChunk:
    """A chunk of a stream of tensors.

    Attributes:
        coords: Its coordinates in the array's chunk grid; of a stream of shards, in the grid of
            shards.
        region: Where `data` lies in the array, a slice for each axis.
        data: Its values, cropped to the array and to the stream's region.
        nbytes_stored: Its encoded size, 0 where it is not stored.
        present: Whether it is stored; if not, `data` is all fill.
    """

    coords: tuple[int, ...]
    region: tuple[slice, ...]
    data: jax.Array
    nbytes_stored: int
    present: bool

    def __repr__(self) -> str:
        stored = f"{self.nbytes_stored} bytes stored" if self.present else "not stored"
        region = format_region(self.region)
        return f"<TensorChunk {self.coords} [{region}] {self.data.dtype}, {stored}>"


@final
@dataclass(frozen=True, eq=False, repr=False)
class TensorStream(Stream[TensorChunk]):
    """The chunks of an array as tensors; see `chunks`.

    Attributes:
        chunks: The same chunks as NumPy arrays.
        dtype: Of the tensors.
        device: Where they go; `None` for JAX's default device.
    """

    kind: ClassVar[str] = "tensors"

    chunks: ChunkStream
    dtype: np.dtype[Any]
    device: jax.Device | None

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        return self.chunks.max_nchunks

    @property
    def item_nbytes(self) -> int:
        """Decoded bytes of the largest chunk."""
        return self.chunks.item_nbytes

    @property
    def max_bytes(self) -> int:
        """Decoded bytes that are in flight or wait for the consumer, at most."""
        return self.chunks.max_bytes

    def within(self, max_bytes: int) -> Self:
        """The same stream with so many bytes to hold."""
        return replace(self, chunks=self.chunks.within(max_bytes))

    def state(self) -> dict[str, Any]:
        """Where the iteration that was begun last has got to, for `chunks(state=)`.

        As that of `Array.stream_chunks`, which takes it too.

        Example:
            >>> import zlab
            >>> array = zlab.create_array({}, data=[1.5, 2.5], dtype="float32", chunks=1)
            >>> stream = zlab.jax.chunks(array)
            >>> for chunk in stream:
            ...     break
            >>> [chunk.coords for chunk in zlab.jax.chunks(array, state=stream.state())]
            [(1,)]
        """
        return self.chunks.state()

    def __repr__(self) -> str:
        return f"<TensorStream of {self.dtype} of {self.chunks!r}>"

    def _new_tally(self) -> Tally:
        return self.chunks._new_tally()  # noqa: SLF001  it is a stream too

    def items(self, halt: Halt, tally: Tally) -> Generator[TensorChunk]:
        """One iteration."""
        # the state of the stream below is told of what is read here
        self.chunks._latest[:] = [tally]  # noqa: SLF001
        with closing(self.chunks.items(halt, tally)) as source:
            for chunk in source:
                yield self._tensor(chunk)
                # the memory is the consumer's alone, and may be used again when it lets go
                del chunk

    def _tensor(self, chunk: Chunk) -> TensorChunk:
        what = f"chunk {chunk.coords}"
        data = to_device(converted(chunk.data, self.dtype), self.device, what)
        return TensorChunk(chunk.coords, chunk.region, data, chunk.nbytes_stored, chunk.present)


def chunks(
    array: Array,
    *,
    device: jax.Device | None = None,
    dtype: DTypeLike | None = None,
    **options: Any,
) -> TensorStream:
    """The array, chunk by chunk, as tensors, read ahead in bounded memory.

    It is `Array.stream_chunks` whose chunks are on the device; the CPU takes their memory over
    without a copy.

    Args:
        array: The array.
        device: Where the chunks go; JAX's default device by default.
        dtype: Cast to this dtype, as NumPy does it.
        **options: As for `Array.stream_chunks`.

    Returns:
        A stream, to be iterated with `for` or `async for` any number of times. Nothing is read
        before the first chunk is asked for.

    Raises:
        DataTypeError: JAX has no such type, or would cast it: 64 bits with x64 off.
        SelectionError: The region is not inside the array.
        TypeError: An argument is not what its name says.
        ValueError: A number is too small, or `state` belongs to another stream.
        ChunkReadError: Raised by the iteration when it comes to a chunk that is there and cannot be
            read or decoded.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(5, dtype="int32"), chunks=2)
        >>> for chunk in zlab.jax.chunks(array, include_missing=True):
        ...     print(chunk.coords, chunk.data)
        (0,) [0 1]
        (1,) [2 3]
        (2,) [4]
    """
    check_kind(array, Array, "array", "a zlab.Array")
    if device is not None:
        check_kind(device, jax.Device, "device", "a jax.Device, as jax.devices() lists")
    target = chosen_dtype(array.dtype, dtype, title_of(array))
    source = array.stream_chunks(**options)
    return TensorStream(
        source.layout, replace(source, progress=None), target, device, progress=source.progress
    )
