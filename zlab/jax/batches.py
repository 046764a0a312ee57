"""Batches of samples as `jax.Array`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast, final, overload

import numpy as np

from zlab.array import Array
from zlab.jax.device import to_device
from zlab.jax.dtypes import checked_dtype, is_number
from zlab.memory import aligned_empty
from zlab.samples import stream_samples
from zlab.stream.ahead import prefetched
from zlab.stream.arguments import check_kind, flag, whole_number
from zlab.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import jax
    from numpy.typing import DTypeLike, NDArray

    from zlab.samples import SampleStream
    from zlab.stream.ahead import Halt
    from zlab.stream.tally import Tally

T = TypeVar("T")


@final
@dataclass(frozen=True, eq=False, repr=False)
class Batches(Stream[T]):
    """Batches of `jax.Array`, one epoch each time that it is iterated; see `batches`.

    Attributes:
        samples: The same batches as NumPy arrays.
        dtypes: Of the batches of each array.
        prefetch: Batches that are made ahead.
        single: Whether a batch is an array, not a tuple of arrays.
    """

    kind: ClassVar[str] = "batches"

    samples: SampleStream
    dtypes: tuple[np.dtype[Any], ...]
    prefetch: int
    single: bool

    def __len__(self) -> int:
        return self.samples.nbatches

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        return self.samples.max_nchunks

    @property
    def item_nbytes(self) -> int:
        """Bytes of a whole batch."""
        return self.samples.batch_nbytes

    def within(self, max_bytes: int) -> Self:
        """The same batches with so many bytes to hold."""
        return replace(self, samples=self.samples.within(max_bytes))

    @property
    def max_bytes(self) -> int:
        """Bytes that are held besides the batches."""
        return self.samples.max_bytes

    def __repr__(self) -> str:
        order = "in order" if self.samples.shuffle == "none" else "shuffled"
        dtypes = ", ".join(map(str, self.dtypes))
        return (
            f"<Batches of {dtypes}: {len(self)} of {self.samples.batch_size} samples, {order}, "
            f"{self.prefetch} made ahead>"
        )

    def items(self, halt: Halt, tally: Tally) -> Generator[T]:
        """One epoch."""
        host = prefetched(
            (self._cast(batch.arrays) for batch in self._epoch().items(halt, tally)),
            nbytes=self.samples.batch_nbytes,
            depth=self.prefetch,
            halt=halt,
        )
        for batch in host:
            # here and not in the thread that reads: JAX's settings may differ from thread to thread
            arrays = tuple(map(to_device, batch))
            yield cast("T", arrays[0] if self.single else arrays)

    def _epoch(self) -> SampleStream:
        """The samples of one iteration: without a seed each has another order."""
        if self.samples.seed is not None:
            return self.samples
        drawn = cast("int", np.random.SeedSequence().entropy)
        return self.samples.at(replace(self.samples.start, seed=drawn))

    def _cast(self, batch: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        return tuple(
            part if part.dtype == dtype else _converted(part, dtype)
            for part, dtype in zip(batch, self.dtypes, strict=True)
        )


def _converted(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    out = aligned_empty(array.shape, dtype)
    np.copyto(out, array, casting="unsafe")
    return out


@overload
def batches(
    arrays: Array,
    batch_size: int,
    *,
    shuffle: bool = ...,
    seed: int | Sequence[int] | None = ...,
    drop_remainder: bool = ...,
    dtype: DTypeLike | Sequence[DTypeLike | None] | None = ...,
    prefetch: int = ...,
    max_bytes: int | None = ...,
) -> Batches[jax.Array]: ...
@overload
def batches(
    arrays: Sequence[Array],
    batch_size: int,
    *,
    shuffle: bool = ...,
    seed: int | Sequence[int] | None = ...,
    drop_remainder: bool = ...,
    dtype: DTypeLike | Sequence[DTypeLike | None] | None = ...,
    prefetch: int = ...,
    max_bytes: int | None = ...,
) -> Batches[tuple[jax.Array, ...]]: ...
def batches(
    arrays: Array | Sequence[Array],
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int | Sequence[int] | None = None,
    drop_remainder: bool = False,
    dtype: DTypeLike | Sequence[DTypeLike | None] | None = None,
    prefetch: int = 2,
    max_bytes: int | None = None,
) -> Batches[Any]:
    """Batches of samples along the first axis, for a training loop.

    On the CPU a batch is the buffer that zlab read into: JAX takes it over without a copy.

    Args:
        arrays: An array, or several with as many samples each, such as `(images, labels)`; then
            a batch is a tuple.
        batch_size: Samples of a batch; the last one may have fewer.
        shuffle: Permute the chunks, and the samples within a window of chunks, so that each chunk
            is decoded once an epoch. The global random state is left alone.
        seed: Determines the order: an integer, or several, such as `(seed, epoch)`. Another order
            in each epoch by default.
        drop_remainder: Leave out a last batch that would be smaller; it is not read.
        dtype: Cast the samples to this dtype; for several arrays one each, `None` for no cast.
        prefetch: Batches that are made ready while the step runs.
        max_bytes: Bytes that are held besides the batches; `zlab.settings.memory_budget` by
            default.

    Returns:
        An iterable with a length; each iteration is an epoch.

    Raises:
        DataTypeError: JAX has no such type, or would cast it: 64 bits with x64 off.
        TypeError: An argument is not what its name says, such as a NumPy array for `arrays`.
        ValueError: The arrays have different numbers of samples, or a number is out of range.
        MemoryBudgetError: More must be held at once than `max_bytes`.
        ChunkReadError: Raised by the iteration.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array("memory://", data=np.arange(10, dtype="int32"))
        >>> [batch.tolist() for batch in zlab.jax.batches(array, 4)]
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """
    single = isinstance(arrays, Array)
    several = _parse_arrays(arrays)
    if not several:
        msg = "batches of no arrays"
        raise ValueError(msg)
    wanted: list[Any] = list(dtype) if isinstance(dtype, (tuple, list)) else [dtype] * len(several)
    if len(wanted) != len(several):
        msg = f"{len(wanted)} dtypes for {len(several)} arrays"
        raise ValueError(msg)
    prefetch = whole_number(prefetch, "prefetch", least=0)
    dtypes: list[np.dtype[Any]] = []
    for array, target in zip(several, wanted, strict=True):
        what = f"array {array.path!r}"
        if target is not None and is_number(array.dtype):
            dtypes.append(checked_dtype(np.dtype(target), f"dtype= for {what}"))
        else:
            dtypes.append(checked_dtype(array.dtype, what))
    samples = stream_samples(
        [array.layout for array in several],
        batch_size,
        shuffle="window" if flag(shuffle, "shuffle") else "none",
        seed=seed,
        drop_remainder=drop_remainder,
        max_bytes=max_bytes,
    )
    return Batches(samples.layout, samples, tuple(dtypes), prefetch, single)


def _parse_arrays(arrays: Array | Sequence[Array]) -> list[Array]:
    if isinstance(arrays, Array):
        return [arrays]
    check_kind(arrays, (tuple, list), "arrays", "a zlab.Array or a tuple of them")
    for place, array in enumerate(arrays):
        check_kind(array, Array, f"arrays[{place}]", "a zlab.Array")
    return list(arrays)
