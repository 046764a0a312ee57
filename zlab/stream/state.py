"""Where a stream has got to, as a small JSON value that a later stream goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zlab.stream.identity import identity
from zlab.stream.ranges import Ranges

if TYPE_CHECKING:
    from zlab.engine.layout import ArrayLayout
    from zlab.stream.plan import StreamPlan

VERSION = 1


def format_state(layout: ArrayLayout, plan: StreamPlan, by: str, done: Ranges) -> dict[str, Any]:
    """The state of a stream of which some chunks are done.

    `done` holds ranges of numbers in the stream's order, so that it stays small: a stream in order
    has one.
    """
    return {
        "v": VERSION,
        "array": identity(layout),
        "region": [[part.start, part.stop] for part in plan.region],
        "by": by,
        "order": plan.order,
        "done": [[start, stop] for start, stop in done],
    }


def parse_state(state: object, layout: ArrayLayout, plan: StreamPlan, by: str) -> Ranges:
    """The numbers of the chunks that are done, if the state belongs to such a stream.

    Raises:
        TypeError: It is no mapping.
        ValueError: It is not a state, or another stream's.
    """
    if not isinstance(state, Mapping):
        msg = f"state must be what Stream.state() returned, not {type(state).__name__}"
        raise TypeError(msg)
    if state.get("v") != VERSION:
        msg = f"state is of version {state.get('v')!r:.40}, and this zlab knows version {VERSION}"
        raise ValueError(msg)
    wanted = format_state(layout, plan, by, Ranges())
    words = {
        "array": "belongs to another array, or to one that was created anew",
        "region": "was taken of another region",
        "by": "was taken of a stream by other pieces",
        "order": "was taken of a stream in another order",
    }
    for name, what in words.items():
        if state.get(name) != wanted[name]:
            msg = f"the state {what}: {name} is {state.get(name)!r:.80}, not {wanted[name]!r:.80}"
            raise ValueError(msg)
    try:
        pairs = [(int(start), int(stop)) for start, stop in state["done"]]
    except (KeyError, TypeError, ValueError) as error:
        msg = f"the state is broken: done is {state.get('done')!r:.80}"
        raise ValueError(msg) from error
    if any(not 0 <= start < stop <= plan.nchunks for start, stop in pairs):
        msg = f"the state is broken: done is {pairs!r:.80} of {plan.nchunks} chunks"
        raise ValueError(msg)
    return Ranges(pairs)
