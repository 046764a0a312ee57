"""`Loader`: batches for a training loop, in an order that can be repeated and gone on with."""

from __future__ import annotations

import warnings
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Self, final

import jax

from zlab.jax.destination import Destination
from zlab.jax.dtypes import chosen_dtype
from zlab.jax.feed import Context, Feed
from zlab.jax.trees import ArrayTree
from zlab.samples import State, stream_samples
from zlab.stream.arguments import check_callable, whole_number

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
    from types import TracebackType

    import numpy as np

    from zlab.samples import Randomness, SampleStream
    from zlab.samples.grid import AxisLengths
    from zlab.stream.stream import Progress


@dataclass(frozen=True, slots=True)
class LoaderReport:
    """What an iteration of a loader has done, and how random its order is.

    Attributes:
        nbatches: Batches that were handed on.
        nsamples: Their samples, of all processes.
        nchunks: Chunks that were decoded for batches, those that wait included.
        nbytes: Decoded bytes of their samples.
        seconds: Since the first batch was asked for, up to the last one.
        waited_s: Of these, the seconds in which the loop waited for a batch.
        randomness: Of the order: how many samples of a batch come from one chunk, how many chunks a
            batch has samples of, and how often a chunk is decoded in an epoch.
    """

    nbatches: int
    nsamples: int
    nchunks: int
    nbytes: int
    seconds: float
    waited_s: float
    randomness: Randomness

    @property
    def samples_per_s(self) -> float:
        """Samples that the loop got in a second, its own work included."""
        return self.nsamples / self.seconds if self.seconds else 0.0


@final
class Loader:
    """Batches of `jax.Array` for a training loop, straight from Zarr.

    A loader has a position. Iterating it goes on from there to the end of the epoch, and the next
    iteration is the next epoch, with an order of its own; a batch that was handed on does not come
    again, also where a loop was left early. `get_state` tells the position and `set_state` goes to
    one, in this process or another.

    One iteration at a time moves the position. A new one takes over from one that is still open,
    which raises a `RuntimeError` when it is asked for more.

    On the CPU a batch is the memory that zlab read into: JAX takes it over without a copy, and it
    is not written again as long as anybody refers to it. To other devices `prefetch` batches are
    on their way while the step runs.

    Args:
        x: An array, a group of arrays with as many samples each (a batch is a dict by their
            names), or any pytree of these.
        y: The same for labels; a batch is then `(x, y)`.
        batch_size: Samples of a batch, over all devices of all processes. The last one of an epoch
            may have fewer.
        axis: Samples are what stands at one index of this axis, or of these: a number, a name or a
            tuple of them. The first axis by default, or none where there are windows.
        windows: Samples are windows of these lengths along these axes (numbers or names), such as
            patches of an image or sequences in time. A last window that is not whole is left out.
        overlap: How far windows overlap along these axes; not at all by default.
        shuffle: `"none"`; `"window"`: chunks in a random order, and the samples of a window of
            chunks in another, so that each chunk is decoded once an epoch; `"global"`: every order
            of all samples is as likely, and a chunk is decoded for several batches again.
        seed: Determines the order of each epoch: an integer or several. Drawn once by default, and
            part of the state, also of `"none"`, whose order it does not change. NumPy's and JAX's
            random states are left alone.
        drop_remainder: Leave out the last batch of an epoch if it would be smaller; what it alone
            needs is not read.
        epochs: Epochs of one iteration, `None` for ever. One that goes on in the middle ends where
            it would have ended.
        dtype: Cast to this dtype, as it is read: one for all, or a pytree with `None` for no cast.
        transform: A function of a batch. Wrapped by `jax.jit`, it is called with the batch on the
            device; else in the thread that reads, with a pytree of NumPy arrays, and it returns
            new ones.
        sharding: A `jax.sharding.Sharding`, a `jax.Device`, or a pytree of them: batches are
            global arrays, of which each process reads what its own devices hold. The default
            device of this process by default.
        prefetch: Batches that are made ahead, and are on their way to the device. Small ones that
            stay on the CPU as they were read are not: their chunks are read ahead anyway.
        lanes: Of `"window"`: into how many lanes the chunks are dealt. The number of processes
            that a state fits must divide it. 64 by default, or fewer where there are fewer chunks
            or the budget is small. Processes stop together: where few chunks for each leave much
            more than a batch out of an epoch, a warning tells it.
        max_bytes: Bytes that are held besides the batches; `zlab.settings.memory_budget` by
            default.
        progress: Told after each batch how far an iteration has come; `True` for a bar.

    Raises:
        DataTypeError: JAX has no such type, or would cast it: 64 bits with x64 off.
        TypeError: An argument is not what its name says, such as a NumPy array for `x`.
        ValueError: The arrays have different numbers of samples, the sharding does not divide a
            batch, or a number is out of range.
        MemoryBudgetError: More must be held at once than `max_bytes`.
        ChunkReadError: Raised by an iteration.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array("memory://", data=np.arange(10, dtype="int32"), chunks=2)
        >>> loader = zlab.jax.Loader(array, batch_size=4, shuffle="window", seed=0)
        >>> orders = [[int(x) for batch in loader for x in batch] for epoch in range(2)]
        >>> orders[0] != orders[1], sorted(orders[0]) == sorted(orders[1]) == list(range(10))
        (True, True)
    """

    def __init__(
        self,
        x: object,
        y: object = None,
        *,
        batch_size: int,
        shuffle: Literal["none", "window", "global"] = "none",
        seed: int | Sequence[int] | None = None,
        drop_remainder: bool = False,
        prefetch: int = 2,
        sharding: object = None,
        epochs: int | None = 1,
        transform: Callable[[Any], Any] | None = None,
        axis: int | str | Sequence[int | str] | None = None,
        windows: AxisLengths | None = None,
        overlap: AxisLengths | None = None,
        dtype: object = None,
        lanes: int | None = None,
        max_bytes: int | None = None,
        progress: Progress = None,
    ) -> None:
        tree = ArrayTree.parse(x, "x")
        if y is not None:
            tree = tree.paired(ArrayTree.parse(y, "y"))
        if transform is not None:
            check_callable(transform, "transform", "a function of a batch")
        is_jitted = isinstance(transform, jax.stages.Wrapped)
        on_host = None if is_jitted else transform
        describe = partial(
            stream_samples,
            [array.layout for array in tree.arrays],
            batch_size,
            axis=axis,
            windows=windows,
            overlap=overlap,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            lanes=lanes,
            max_bytes=max_bytes,
        )
        samples = describe()
        dtypes = _dtypes(tree, dtype, any_type=on_host is not None)
        destination = Destination.parse(sharding, tree, samples)
        if destination.spans_processes:
            _check_shared(samples, destination, seed)
            samples = describe(share=destination.need.share, crops=destination.need.crops)
            _tell_left_out(samples)
        self._epochs = None if epochs is None else whole_number(epochs, "epochs", least=1)
        if epochs is None and not samples.nbatches:
            msg = "an epoch has no batches, and epochs=None asks for ever more of them"
            raise ValueError(msg)
        self._on_device = transform if is_jitted else None
        self._feed = Feed(
            samples.layout,
            samples,
            tree.names,
            dtypes,
            on_host,
            destination,
            whole_number(prefetch, "prefetch", least=0),
            Context.current(),
            progress=progress,
        )
        self._start = samples.start
        self._turn = self._nbatches = 0
        self._seconds = self._waited_s = 0.0

    # -- iteration

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._feed.samples.nbatches

    def __iter__(self) -> Generator[Any]:
        return self._iterate(self._take_turn())

    def __aiter__(self) -> AsyncGenerator[Any]:
        return self._iterate_async(self._take_turn())

    def _iterate(self, turn: int) -> Generator[Any]:
        began = since = perf_counter()
        with closing(iter(self._from_here(turn))) as batches:
            for batch in batches:
                self._wait_ended(began, since)
                yield self._handed_on(batch)
                del batch
                self._check_turn(turn)
                since = perf_counter()

    async def _iterate_async(self, turn: int) -> AsyncGenerator[Any]:
        began = since = perf_counter()
        async with aclosing(aiter(self._from_here(turn))) as batches:
            async for batch in batches:
                self._wait_ended(began, since)
                yield self._handed_on(batch)
                del batch
                self._check_turn(turn)
                since = perf_counter()

    def _take_turn(self) -> int:
        """Ends the iteration that is open; the next one has a number of its own."""
        self._feed.__exit__(None, None, None)
        self._turn += 1
        return self._turn

    def _check_turn(self, turn: int) -> None:
        if turn != self._turn:
            msg = (
                "this iteration of the loader was taken over by another one, or by set_state: "
                "make a loader for each loop that is to run beside others"
            )
            raise RuntimeError(msg)

    def _from_here(self, turn: int) -> Feed:
        self._check_turn(turn)
        self._start, self._nbatches = self._position(), 0
        self._seconds = self._waited_s = 0.0
        end = self._epochs
        if end is not None:
            # where an iteration ends that had begun with its first epoch
            end *= self._start.epoch // end + 1
        samples = replace(self._feed.samples.at(self._start), epochs=end)
        self._feed = replace(self._feed, samples=samples, context=Context.current())
        return self._feed

    def _handed_on(self, batch: Any) -> Any:
        if self._on_device is not None:
            batch = self._on_device(batch)
        self._nbatches += 1
        return batch

    def _wait_ended(self, began: float, since: float) -> None:
        now = perf_counter()
        self._waited_s += now - since
        self._seconds = now - began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._feed.__exit__(kind, error, traceback)

    # -- the position

    def _position(self) -> State:
        """Behind the batch that was handed on last."""
        return self._feed.samples.at(self._start).after(self._nbatches)

    def get_state(self) -> dict[str, Any]:
        """Where the loader is: behind the last batch that was handed on, whatever is read ahead.

        It is small, goes into JSON, and is the same on all processes. A batch counts when the loop
        has it, so that a state that is saved at the end of a loop's body is right.

        Example:
            >>> import json, numpy as np, zlab
            >>> array = zlab.create_array("memory://", data=np.arange(10, dtype="int32"))
            >>> loader = zlab.jax.Loader(array, batch_size=3)
            >>> first = next(iter(loader))
            >>> saved = json.dumps(loader.get_state())
            >>> other = zlab.jax.Loader(array, batch_size=4)
            >>> other.set_state(json.loads(saved))
            >>> [batch.tolist() for batch in other]
            [[3, 4, 5, 6], [7, 8, 9]]
        """
        return self._position().to_json()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes to where a loader was, of the same samples in the same order.

        It may have had other batches, or be of another number of processes, if that divides
        `lanes`. An iteration that is open is ended.

        Raises:
            ValueError: It is no state, or does not fit this loader.
        """
        start = State.from_json(state)
        samples = self._feed.samples.at(start)
        self._take_turn()
        self._feed = replace(self._feed, samples=samples)
        self._start, self._nbatches = start, 0

    # -- how it does

    def report(self) -> LoaderReport:
        """What the iteration that was begun last has done, and how random the order is.

        Example:
            >>> import numpy as np, zlab
            >>> array = zlab.create_array("memory://", data=np.arange(64, dtype="int32"), chunks=8)
            >>> loader = zlab.jax.Loader(array, batch_size=16, shuffle="window", seed=0)
            >>> for batch in loader:
            ...     pass
            >>> report = loader.report()
            >>> report.nbatches, report.nsamples, report.nchunks
            (4, 64, 8)
            >>> report.randomness.per_chunk < 4, report.randomness.decodes
            (True, 1.0)
        """
        read = self._feed.report()
        return LoaderReport(
            self._nbatches,
            self._nsamples(),
            read.nchunks,
            read.nbytes,
            self._seconds,
            self._waited_s,
            self._feed.samples.randomness(),
        )

    def _nsamples(self) -> int:
        """That were handed on since the iteration began."""
        end = self._position()
        epochs = (end.epoch - self._start.epoch) * self._feed.samples.nsamples
        return epochs + sum(end.positions) - sum(self._start.positions)

    def __repr__(self) -> str:
        samples = self._feed.samples
        of = ", ".join(
            f"{dtype} {shape}"
            for dtype, shape in zip(self._feed.dtypes, samples.sample_shapes, strict=True)
        )
        order = "in order" if samples.shuffle == "none" else f"shuffle={samples.shuffle!r}"
        return (
            f"<zlab.jax.Loader of {of}: {samples.nsamples} samples in {len(self)} batches of "
            f"{samples.batch_size}, {order}>"
        )


def _dtypes(tree: ArrayTree, dtype: object, *, any_type: bool) -> tuple[np.dtype[Any], ...]:
    """Of the batches; of any type where a function of NumPy arrays makes them JAX's."""
    wanted = tree.spread(dtype, "dtype", is_leaf=lambda value: value is None)
    return tuple(
        array.dtype if target is None and any_type else chosen_dtype(array.dtype, target, name)
        for array, target, name in zip(tree.arrays, wanted, tree.names, strict=True)
    )


def _check_shared(samples: SampleStream, destination: Destination, seed: object) -> None:
    """Whether several processes come to the same batches."""
    if samples.shuffle != "none" and seed is None:
        msg = "several processes need the same order: pass seed=, the same to all"
        raise ValueError(msg)
    if destination.need.share.count > 1 and not samples.drop_remainder:
        msg = (
            "several processes share the batches, and must come to the same number of them: pass "
            "drop_remainder=True"
        )
        raise ValueError(msg)


_TOLD = 20  # one sample of so many that an epoch leaves out is more than a remainder


def _tell_left_out(samples: SampleStream) -> None:
    """Warns where processes have so few chunks each that the shortest share cuts the epoch."""
    n = samples.grid.nsamples
    left_out = n - samples.nsamples
    if samples.shuffle == "window" and left_out >= samples.batch_size and left_out * _TOLD > n:
        warnings.warn(
            f"each epoch leaves out about {left_out} of {n} samples, others each time: the "
            f"{samples.share.count} processes have few chunks each, and stop with the first that "
            "has none left. Store smaller chunks, or pass shuffle='global'",
            stacklevel=3,
        )
