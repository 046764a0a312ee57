"""Datasets as streams of blocks: each lies in whole chunks, and is read ahead in bounded memory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise, product
from math import prod
from typing import TYPE_CHECKING, ClassVar, Self, final

import xarray as xr

from zlab.array import create_array
from zlab.config import settings
from zlab.errors import MemoryBudgetError
from zlab.stream.ahead import ReadAhead, Unit
from zlab.stream.arguments import flag, whole_number
from zlab.stream.budget import Account
from zlab.stream.chunks import check_progress
from zlab.stream.stream import Stream
from zlab.xarray.sources import NoSourceError, dimension_edges, source_of
from zlab.xarray.variables import check_by

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterator, Mapping

    from zlab.engine.layout import ArrayLayout
    from zlab.stream.ahead import Halt
    from zlab.stream.stream import Progress
    from zlab.stream.tally import Tally
    from zlab.xarray.variables import By


@final
@dataclass(frozen=True, eq=False, repr=False)
class Blocks(Stream[xr.Dataset]):
    """Parts of a dataset in memory, one after another; see `Dataset.zlab.stream`.

    Attributes:
        dataset: What is read.
        edges: For each dimension that is cut, where blocks begin, and the end.
        concurrency: Blocks that are read at once.
        ordered: Whether they come in C order of the dimensions.
        max_bytes: Bytes that are in flight or wait for the consumer, at most.
    """

    kind: ClassVar[str] = "blocks"

    dataset: xr.Dataset
    edges: Mapping[Hashable, tuple[int, ...]]
    concurrency: int
    ordered: bool
    max_bytes: int

    def __len__(self) -> int:
        return prod(len(edges) - 1 for edges in self.edges.values())

    @property
    def max_nchunks(self) -> int:
        """Blocks of an iteration."""
        return len(self)

    @cached_property
    def item_nbytes(self) -> int:
        """Bytes of the largest block."""
        longest = {
            name: max((stop - start for start, stop in pairwise(edges)), default=0)
            for name, edges in self.edges.items()
        }
        return self._nbytes({**self.dataset.sizes, **longest})

    def _nbytes(self, sizes: Mapping[Hashable, int]) -> int:
        return sum(
            variable.dtype.itemsize * prod(sizes[name] for name in variable.dims)
            for variable in self.dataset.variables.values()
        )

    def within(self, max_bytes: int) -> Self:
        """The same blocks with so many bytes to hold."""
        return replace(self, max_bytes=max_bytes).checked()

    def checked(self) -> Self:
        """The stream itself, if a block may be held.

        Raises:
            MemoryBudgetError: It may not.
        """
        needed = self.item_nbytes
        if needed > self.max_bytes:
            raise MemoryBudgetError(
                f"a block needs {needed} bytes, more than the {self.max_bytes} that may be held",
                needed=needed,
                budget=self.max_bytes,
                hint="Pass lengths of smaller ones, blocks={dimension: length}, or max_bytes=",
            )
        return self

    def __repr__(self) -> str:
        lengths = ", ".join(f"{name}: {len(cuts) - 1}" for name, cuts in self.edges.items())
        return f"<Blocks of {', '.join(map(str, self.dataset.data_vars))}, {lengths or 'one'}>"

    def items(self, halt: Halt, tally: Tally) -> Generator[xr.Dataset]:
        """One iteration."""
        account = Account(self.max_bytes)
        tally.accounts.append(account)
        ahead = ReadAhead(
            self._units(),
            account,
            width=self.concurrency,
            depth=2 * self.concurrency,
            ordered=self.ordered,
            halt=halt,
        )
        for nbytes, block in ahead:
            account.release(nbytes)
            tally.add(1, nbytes)
            yield block
            del block

    def _units(self) -> Iterator[Unit[xr.Dataset]]:
        # what no cut goes through is read once, for all blocks
        cut = {name for name, edges in self.edges.items() if len(edges) > 2}  # noqa: PLR2004  start and end
        whole = {
            name: variable.copy(deep=False).load()  # a copy: the user's stays lazy
            for name, variable in self.dataset.variables.items()
            if cut.isdisjoint(variable.dims) and not variable._in_memory  # noqa: SLF001  `data` reads
        }
        dataset = self.dataset.assign(whole)
        names = list(self.edges)
        for places in product(*(pairwise(self.edges[name]) for name in names)):
            region = {name: slice(*place) for name, place in zip(names, places, strict=True)}
            lengths = {
                name: stop - start for name, (start, stop) in zip(names, places, strict=True)
            }
            nbytes = self._nbytes({**self.dataset.sizes, **lengths})
            yield Unit(nbytes, partial(_read, dataset, region))


def _read(dataset: xr.Dataset, region: dict[Hashable, slice]) -> xr.Dataset:
    return dataset.isel(region).load()


def stream_blocks(
    dataset: xr.Dataset,
    *,
    blocks: Mapping[Hashable, int] | None = None,
    by: By = "chunk",
    concurrency: int | None = None,
    ordered: bool = True,
    max_bytes: int | None = None,
    progress: Progress = None,
) -> Blocks:
    """The stream; `Dataset.zlab.stream` tells what the arguments mean."""
    check_by(by)
    check_progress(progress)
    layout = _layout(dataset)
    if concurrency is None:
        concurrency = settings.threads if layout.store.local else settings.fetch_concurrency
    return Blocks(
        layout,
        dataset,
        _cuts(dataset, {} if blocks is None else blocks, by),
        whole_number(concurrency, "concurrency", least=1),
        flag(ordered, "ordered"),
        whole_number(
            settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
        ),
        progress=progress,
    ).checked()


def _layout(dataset: xr.Dataset) -> ArrayLayout:
    """Of the first array behind the dataset, by which telemetry names the stream."""
    for variable in dataset.variables.values():
        with suppress(NoSourceError):
            return source_of(variable).array.layout
    # computed, or another engine's
    return create_array({}, shape=(), dtype="bool").layout


def _cuts(
    dataset: xr.Dataset, lengths: Mapping[Hashable, int], by: By
) -> dict[Hashable, tuple[int, ...]]:
    """Where blocks begin along each dimension that is cut, in the order of the dimensions.

    A dimension is cut if all variables of the most dimensions have it: so each of their chunks
    lies in one block.
    """
    for name in lengths:
        if name not in dataset.sizes:
            msg = f"blocks= names {name!r}; the dimensions are {', '.join(map(repr, dataset.dims))}"
            raise ValueError(msg)
    variables = dict(dataset.data_vars.variables) or dict(dataset.variables)
    ndim = max((variable.ndim for variable in variables.values()), default=0)
    leading = [variable for variable in variables.values() if variable.ndim == ndim]
    known: list[dict[Hashable, set[int]]] = []
    for variable in leading:
        with suppress(NoSourceError):
            known.append(dimension_edges(variable, by))
    shared = [name for name in leading[0].dims if all(name in v.dims for v in leading)]
    cuts = {name: _common(name, dataset.sizes[name], known) for name in shared}
    for name, length in lengths.items():
        n = dataset.sizes[name]
        each = n if length == -1 else whole_number(length, f"blocks[{name!r}]", least=1)
        cuts[name] = (*range(0, n, max(each, 1)), n)
    return cuts


def _common(name: Hashable, length: int, known: list[dict[Hashable, set[int]]]) -> tuple[int, ...]:
    edges = [of[name] for of in known]
    return tuple(sorted(set.intersection(*edges))) if edges else (0, length)
