"""Batches in order or shuffled, shared by worker processes and ranks, on from a saved state."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

import torch
import torch.utils.data

from zlab.config import settings
from zlab.group.aligned import Aligned
from zlab.samples import Share, State, stream_samples
from zlab.stream.arguments import whole_number
from zlab.torch.tensors import check_dtype, tensor_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zlab.group.aligned import Arrays
    from zlab.samples import SampleStream, Shuffle
    from zlab.samples.grid import AxisKey, AxisLengths
    from zlab.samples.state import Entropy


class _Replica(NamedTuple):
    """Which of the processes that train together this is."""

    rank: int
    ranks: int


@dataclass(slots=True)
class _Iteration:
    """How far an iteration is.

    Attributes:
        stream: What it reads.
        nbatches: Batches that were handed on.
    """

    stream: SampleStream
    nbatches: int = 0


class _Resume(NamedTuple):
    """Where the next iteration begins.

    Attributes:
        epoch: Which it reads to its end; nothing is left of it where the state is in the next.
        state: Where it begins.
    """

    epoch: int
    state: State


@final
class Dataset(torch.utils.data.IterableDataset[Any]):  # type: ignore[misc, unused-ignore]
    """An iterable dataset of whole batches, for `DataLoader(dataset, batch_size=None)`.

    Each iteration is an epoch. zlab's threads read ahead and decode on all cores, so that no worker
    processes are needed; with `num_workers=n` they share the epoch, and so do the ranks of
    `torch.distributed`: each sample comes once. What is iterated with a seed comes in the same
    order every time, until `set_epoch` asks for another.

    Args:
        x: An array, or several of the same number of samples: a group, or a tuple, list or mapping
            of arrays, also nested. A batch is the same structure of tensors.
        y: More of them; then a batch is the pair `(x, y)`.
        batch_size: Samples of a batch, of each rank.
        axis: Axes along which a sample is one index, by number or name; by default the first one,
            or none where there are windows.
        windows: Along which axes a sample is a window, and its length. Windows that are not
            complete are left out.
        overlap: Elements that neighbouring windows share; none by default.
        shuffle: `"none"`: in order. `"window"`: chunks are shuffled, and the samples of many
            chunks, and each chunk is decoded once an epoch. `"global"`: all samples are shuffled,
            and chunks are decoded as often as that takes.
        seed: Determines the order, with the epoch. By default each iteration has another order;
            several ranks need a seed.
        drop_remainder: Leave out batches that would be smaller: the last one, of each worker.
            Several ranks need it, so that all have the same number of batches.
        max_bytes: Bytes that are held besides the batches, by all workers of a rank together;
            `zlab.settings.memory_budget` by default.
        rank: Which of the processes that train together this is, and
        num_replicas: how many there are; both as `torch.distributed` says by default.

    Raises:
        DataTypeError: PyTorch has no such data type.
        TypeError: An argument is not what its name says.
        ValueError: The arrays do not have these axes, or different numbers of samples, or a number
            is out of range.
        MemoryBudgetError: More must be held at once than `max_bytes`.
        ChunkReadError: Raised by the iteration.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(10), chunks=5)
        >>> dataset = zlab.torch.Dataset(array, batch_size=4)
        >>> [batch.tolist() for batch in dataset]
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    def __init__(
        self,
        x: Arrays,
        y: Arrays | None = None,
        *,
        batch_size: int,
        axis: AxisKey | Sequence[AxisKey] | None = None,
        windows: AxisLengths | None = None,
        overlap: AxisLengths | None = None,
        shuffle: Shuffle = "none",
        seed: int | Sequence[int] | None = None,
        drop_remainder: bool = False,
        max_bytes: int | None = None,
        rank: int | None = None,
        num_replicas: int | None = None,
    ) -> None:
        self._aligned = Aligned.of(x, "x") if y is None else Aligned.of((x, y), "(x, y)")
        for name, array in zip(self._aligned.names, self._aligned.arrays, strict=True):
            check_dtype(array.dtype, name)
        self._batch_size = whole_number(batch_size, "batch_size", least=1)
        self._sampling: dict[str, Any] = {"axis": axis, "windows": windows, "overlap": overlap}
        self._shuffle = shuffle
        self._seed = seed
        self._drop_remainder = drop_remainder
        self._max_bytes = max_bytes
        self._given = _parse_replica(rank, num_replicas)
        # worker processes see what the main process says later
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._resume: _Resume | None = None
        self._latest: _Iteration | None = None
        # whatever is wrong is told now
        self._stream(Share(), None, 0)
        self._replica()

    def __iter__(self) -> Iterator[Any]:
        info = torch.utils.data.get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        rank, ranks = self._replica()
        share = Share(rank * workers + worker, ranks * workers)
        resume, self._resume = self._resume, None
        if resume is None:
            # the workers of a loader agree on this number, and it is another one in each epoch
            seed = None if info is None else info.seed - info.id
            stream = self._stream(share, seed, int(self._epoch), workers)
        else:
            stream = self._stream(share, resume.state.seed, resume.epoch, workers)
            stream = stream.at(resume.state)
        self._latest = _Iteration(stream)
        return self._batches(self._latest)

    def _batches(self, iteration: _Iteration) -> Iterator[Any]:
        with closing(iter(iteration.stream)) as batches:
            for batch in batches:
                iteration.nbatches += 1
                if not len(batch.indices):
                    # the last samples of the epoch were too few for all workers
                    continue
                tensors = self._aligned.build(map(tensor_of, batch.arrays))
                del batch
                yield tensors
                del tensors

    def __len__(self) -> int:
        """Batches of an epoch, of this rank.

        With several workers there may be up to one more for each, since each has a last batch of
        its own.
        """
        rank, ranks = self._replica()
        return self._stream(Share(rank, ranks), None, 0).nbatches

    def set_epoch(self, epoch: int) -> None:
        """Has the next iteration, in this process and in workers that persist, be this epoch.

        Args:
            epoch: From 0. With a seed each has an order of its own.

        Raises:
            TypeError: It is no whole number.
            ValueError: It is negative.
        """
        self._epoch.fill_(whole_number(epoch, "epoch", least=0))

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is that was begun last; small, and JSON.

        `torchdata`'s `StatefulDataLoader` asks for it in each worker. Without workers it can be
        saved as it is.
        """
        if self._latest is not None:
            stream, n = self._latest.stream, self._latest.nbatches
            resume = _Resume(stream.start.epoch, stream.after(n))
        elif self._resume is not None:
            resume = self._resume
        else:
            return {"epoch": int(self._epoch), "state": None}
        return {"epoch": resume.epoch, "state": resume.state.to_json()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Has the next iteration go on where another one was, to the end of that epoch.

        Args:
            state_dict: What `state_dict` gave, of as many workers and ranks.

        Raises:
            ValueError: It is no such state, or one of other samples or of another order.
        """
        if set(state_dict) != {"epoch", "state"}:
            msg = "no state of a zlab.torch.Dataset: it must have epoch and state"
            raise ValueError(msg)
        self._latest = self._resume = None
        if state_dict["state"] is not None:
            epoch = whole_number(state_dict["epoch"], "epoch", least=0)
            state = State.from_json(state_dict["state"])
            self._stream(Share(), state.seed, epoch).at(state)
            self._resume = _Resume(epoch, state)

    def _stream(
        self, share: Share, seed: Entropy | None, epoch: int, workers: int = 1
    ) -> SampleStream:
        """An epoch's batches, for one of the workers of one of the ranks."""
        budget = settings.memory_budget if self._max_bytes is None else self._max_bytes
        stream = stream_samples(
            [array.layout for array in self._aligned.arrays],
            self._batch_size * share.count,
            **self._sampling,
            shuffle=self._shuffle,
            seed=seed if self._seed is None else self._seed,
            drop_remainder=self._drop_remainder,
            epochs=epoch + 1,
            share=share,
            max_bytes=budget // workers,
        )
        return stream.at(stream.start.moved(epoch, stream.start.positions))

    def _replica(self) -> _Replica:
        replica = self._given or _distributed()
        if replica.ranks > 1:
            if self._seed is None and self._shuffle != "none":
                msg = f"{replica.ranks} ranks need seed=, to agree on the order of the samples"
                raise ValueError(msg)
            if not self._drop_remainder:
                msg = (
                    f"{replica.ranks} ranks need drop_remainder=True, to have as many batches each"
                )
                raise ValueError(msg)
        return replica

    def __getstate__(self) -> dict[str, Any]:
        replica = self._replica()
        # a process that is spawned has no process group to ask
        given = replica if replica.ranks > 1 else self._given
        return {**self.__dict__, "_given": given, "_latest": None}


def _parse_replica(rank: int | None, num_replicas: int | None) -> _Replica | None:
    if rank is None and num_replicas is None:
        return None
    if rank is None or num_replicas is None:
        msg = "rank= and num_replicas= are given together, or neither of them"
        raise ValueError(msg)
    count = whole_number(num_replicas, "num_replicas", least=1)
    number = whole_number(rank, "rank", least=0)
    if number >= count:
        msg = f"there is no rank {number} of {count}"
        raise ValueError(msg)
    return _Replica(number, count)


def _distributed() -> _Replica:
    group = torch.distributed
    if group.is_available() and group.is_initialized():
        return _Replica(group.get_rank(), group.get_world_size())
    return _Replica(0, 1)
