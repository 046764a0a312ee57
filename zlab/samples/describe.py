"""The door to streams of samples: what is asked for is checked here, before anything is read."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zlab.config import settings
from zlab.samples.grid import parse_grid
from zlab.samples.lanes import Share, check_share
from zlab.samples.state import SHUFFLES, State, parse_seed
from zlab.samples.stream import SampleStream
from zlab.samples.windows import LANES, WINDOW_NBYTES, plan_windows
from zlab.stream.arguments import check_kind, flag, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from zlab.engine.layout import ArrayLayout
    from zlab.samples.grid import AxisKey, AxisLengths, Crops
    from zlab.samples.state import Entropy, Shuffle
    from zlab.samples.windows import WindowPlan

_ALONE = Share()


def stream_samples(
    layouts: Sequence[ArrayLayout],
    batch_size: int,
    *,
    axis: AxisKey | Sequence[AxisKey] | None = None,
    windows: AxisLengths | None = None,
    overlap: AxisLengths | None = None,
    shuffle: Shuffle = "none",
    seed: int | Sequence[int] | NDArray[Any] | None = None,
    drop_remainder: bool = False,
    epochs: int | None = 1,
    lanes: int | None = None,
    share: Share | tuple[int, int] = _ALONE,
    crops: Crops | None = None,
    max_bytes: int | None = None,
) -> SampleStream:
    """Describes a stream of batches of samples; nothing is read yet.

    Args:
        layouts: Of the arrays: `array.layout` of each.
        batch_size: Samples of a batch; the last one of an epoch may have fewer.
        axis: The axes along which a sample is one index, by number or name; a sample does not have
            them. By default the first one, or none where there are windows.
        windows: Along which axes a sample is a window, and its length. A window that would reach
            over the end is left out.
        overlap: Elements that neighbouring windows share along an axis; 0 by default.
        shuffle: `"none"`: in order. `"global"`: every order of the samples may come, and a chunk is
            decoded for every group of batches anew. `"window"`: blocks of chunks are shuffled, and
            the samples of many blocks, and each chunk is decoded once an epoch.
        seed: Determines the order, with the epoch. By default one that the system draws now. It is
            part of the state also of `"none"`, whose order it does not change.
        drop_remainder: Leave out a last batch that would be smaller; it is not read.
        epochs: Epochs of an iteration; `None` for no end.
        lanes: For `"window"`, how many lanes the blocks are dealt to: 64, or fewer if the budget or
            the number of blocks does not allow it. Hosts must divide them.
        share: Which host this is, of how many that read the same batches. With `"window"` each goes
            on until its own lanes are done; with `drop_remainder=True` all have as many batches.
        crops: For each array, slices of the axes of a sample: what this host needs of it.
        max_bytes: Bytes that are held besides the batches; `zlab.settings.memory_budget` by
            default.

    Raises:
        TypeError: An argument is not what its name says.
        ValueError: The arrays do not have the axes, or different numbers of samples; a number is
            out of range; or hosts do not divide the batch or the lanes.
        DataTypeError: There are windows of strings of any length.
        MemoryBudgetError: More must be held at once than `max_bytes`.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(10), chunks=5)
        >>> for batch in zlab.samples.stream_samples([array.layout], 4):
        ...     print(batch.indices, batch.arrays[0])
        [0 1 2 3] [0 1 2 3]
        [4 5 6 7] [4 5 6 7]
        [8 9] [8 9]
    """
    if not layouts:
        msg = "samples of no arrays"
        raise ValueError(msg)
    if shuffle not in SHUFFLES:
        msg = f"shuffle must be one of {', '.join(map(repr, SHUFFLES))}, not {shuffle!r:.80}"
        raise ValueError(msg)
    grid, placements = parse_grid(layouts, axis, windows, overlap, crops)
    batch_size = whole_number(batch_size, "batch_size", least=1)
    given = None if seed is None else parse_seed(seed)
    drawn = np.random.SeedSequence().entropy if given is None else given
    check_kind(share, tuple, "share", "a zlab.samples.Share")
    share = Share(*(whole_number(n, "every part of share", least=0) for n in share))
    budget = whole_number(
        settings.memory_budget if max_bytes is None else max_bytes, "max_bytes", least=1
    )
    nlanes = together = 1
    cuts = ""
    if shuffle == "window":
        plan = plan_windows(placements)
        nlanes = _parse_lanes(lanes, plan, share, budget)
        together = _blocks_together(nlanes, plan, budget)
        cuts = plan.blocks.identity
    elif lanes is not None:
        msg = f"lanes= is for shuffle='window', and not for {shuffle!r}"
        raise ValueError(msg)
    check_share(share, batch_size, nlanes if shuffle == "window" else None)
    identity = repr((grid, [(p.layout.metadata.shape, p.sampled) for p in placements], cuts))
    start = State(
        0,
        cast("Entropy", drawn),
        shuffle,
        nlanes,
        together,
        (0,) * nlanes,
        hashlib.sha256(identity.encode()).hexdigest()[:16],
    )
    return SampleStream(
        layouts[0],
        placements,
        batch_size,
        given,
        flag(drop_remainder, "drop_remainder"),
        None if epochs is None else whole_number(epochs, "epochs", least=0),
        share,
        budget,
        start,
    ).checked()


def _parse_lanes(lanes: int | None, plan: WindowPlan, share: Share, budget: int) -> int:
    if lanes is not None:
        return whole_number(lanes, "lanes", least=1)
    # twice, so that the next blocks can be read while these are handed on
    affordable = (budget - plan.whole_nbytes) // max(2 * plan.block_nbytes, 1)
    most = max(1, min(LANES, plan.blocks.nblocks, affordable))
    power = 1 << (most.bit_length() - 1)
    if power % share.count == 0:
        return power
    return max(1, most // share.count) * share.count


def _blocks_together(lanes: int, plan: WindowPlan, budget: int) -> int:
    """Blocks of a lane that are shuffled together."""
    room = min(WINDOW_NBYTES, (budget - plan.whole_nbytes) // 2)
    wanted = room // max(lanes * plan.block_nbytes, 1)
    return max(1, min(wanted, -(-plan.blocks.nblocks // lanes)))
