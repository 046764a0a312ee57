"""How random an order is, and what it costs. Pure: nothing is read."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zlab.grid.grid import RegularAxis
from zlab.samples.gather import Scatter, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zlab.samples.blocks import Blocks
    from zlab.samples.grid import Placement
    from zlab.samples.orders import Epochs
    from zlab.samples.windows import WindowPlan


class Randomness(NamedTuple):
    """How random an order is, and what it costs.

    Attributes:
        per_chunk: Samples of a batch that come from one chunk, on average over the chunks that it
            has samples of. 1 is as random as can be; in order it is the chunk's length.
        chunks: Chunks that a batch has samples of, on average. Of several arrays, the one with the
            largest samples is meant; only the chunks along the sampled axes count.
        decodes: How often a chunk is decoded in an epoch, on average over all chunks of all arrays
            that hold samples. More than 1 is the price of `"global"`, and of windows that overlap
            where they are shuffled.
    """

    per_chunk: float
    chunks: float
    decodes: float


def spread(placements: Sequence[Placement], epoch: Epochs, nbatches: int) -> tuple[float, float]:
    """Of some batches, the mean number of samples of a chunk and of chunks."""
    largest = max(placements, key=lambda placement: placement.sample_nbytes)
    npieces = nchunks = n = 0
    for indices in islice(epoch.batches(), nbatches):
        pieces = split(largest, indices)
        npieces += len(pieces.places)
        nchunks += len(pieces.chunks)
        n += 1
    return npieces / max(nchunks, 1), nchunks / max(n, 1)


def visited(placement: Placement) -> int:
    """Chunks that hold samples."""
    nchunks = Scatter(placement).nchunks_across
    for k, (a, n) in enumerate(zip(placement.sampled, placement.grid.shape, strict=True)):
        if not n:
            return 0
        first, behind = placement.elements(k, 0, n)
        axis = placement.layout.chunks.axes[a]
        nchunks *= axis.chunk_at(behind - 1) - axis.chunk_at(first) + 1
    return nchunks


def chunks_of_a_sample(placement: Placement) -> int:
    """Chunks that a sample lies in, at most."""
    nchunks = Scatter(placement).nchunks_across
    for a in placement.sampled:
        axis, n = placement.layout.chunks.axes[a], placement.crop[a][1]
        if n > 1:
            shortest = axis.chunk if isinstance(axis, RegularAxis) else 1
            nchunks *= min(-(-(n - 1) // shortest) + 1, axis.nchunks)
    return nchunks


def decoded_in_groups(
    placements: Iterable[Placement], epoch: Epochs, nbatches: int, group_size: int
) -> int:
    """Chunks that are decoded for some batches, each once for a group of them."""
    scatters = [Scatter(placement) for placement in placements]
    decoded = 0
    batches = islice(epoch.batches(), nbatches)
    while group := list(islice(batches, group_size)):
        indices = np.concatenate(group)
        for scatter in scatters:
            chunks = split(scatter.placement, indices).chunks
            decoded += len(chunks) * scatter.nchunks_across
    return decoded


def decoded_in_blocks(plan: WindowPlan) -> int:
    """Chunks that are decoded for all blocks, and for the arrays that are held as a whole."""
    pairs = zip(plan.placements, plan.held, strict=True)
    return sum(visited(p) if held else _in_blocks(p, plan.blocks) for p, held in pairs)


def _in_blocks(placement: Placement, blocks: Blocks) -> int:
    """A block is a product of pieces of axes, and so are its chunks."""
    decoded = Scatter(placement).nchunks_across
    for cuts, axis, a in zip(blocks.cuts, placement.grid.axes, placement.sampled, strict=True):
        first, n = placement.crop[a]
        edges = cuts.starts(np.arange(cuts.npieces + 1))
        starts, stops = edges[:-1] * axis.step + first, (edges[1:] - 1) * axis.step + first + n
        chunked = placement.layout.chunks.axes[a]
        decoded *= int((chunked.chunks_at(stops - 1) - chunked.chunks_at(starts) + 1).sum())
    return decoded
