"""Where in which epoch an iteration over samples is: small, and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, TypeAlias, cast, final, get_args

from zlab.stream.arguments import whole_number

Shuffle: TypeAlias = Literal["none", "window", "global"]

SHUFFLES: tuple[Shuffle, ...] = get_args(Shuffle)

Entropy: TypeAlias = "int | tuple[int, ...]"
"""What the random order comes from, as `numpy.random.SeedSequence` takes it."""


@final
@dataclass(frozen=True, slots=True)
class State:
    """Where an iteration is, for all hosts together.

    It says how far the epoch is, and holds all that its order depends on, so that the rest of it
    can be read on another number of hosts.

    Attributes:
        epoch: From 0.
        seed: Determines, with the epoch, the order.
        shuffle: The kind of order.
        lanes: Lanes that the blocks are dealt to; 1 where the order has none.
        blocks: Blocks of a lane that are shuffled together; 1 where the order has none.
        positions: Samples of the epoch that were handed on: of each lane, or one number.
        fingerprint: Of what samples there are.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(100), chunks=10)
        >>> stream = zlab.samples.stream_samples([array.layout], 8, shuffle="global", seed=1)
        >>> state = stream.after(3)
        >>> state.epoch, state.positions
        (0, (24,))
        >>> State.from_json(state.to_json()) == state
        True
    """

    epoch: int
    seed: Entropy
    shuffle: Shuffle
    lanes: int
    blocks: int
    positions: tuple[int, ...]
    fingerprint: str

    def moved(self, epoch: int, positions: Sequence[int]) -> Self:
        """The same order at another place."""
        return replace(self, epoch=epoch, positions=tuple(map(int, positions)))

    def to_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, document: object) -> State:
        """The state of a document that `to_json` made.

        Raises:
            ValueError: It is none.
        """
        if not isinstance(document, Mapping) or set(document) != set(cls.__slots__):
            msg = f"no state of samples: it must have {', '.join(cls.__slots__)}"
            raise ValueError(msg)
        try:
            return _parse(document)
        except (TypeError, ValueError) as error:
            msg = f"no state of samples: {error}"
            raise ValueError(msg) from error


def _parse(document: Mapping[str, Any]) -> State:
    shuffle, seed, positions = document["shuffle"], document["seed"], document["positions"]
    if shuffle not in SHUFFLES:
        msg = f"there is no shuffle {shuffle!r:.80}"
        raise ValueError(msg)
    if not isinstance(positions, (list, tuple)) or not isinstance(document["fingerprint"], str):
        msg = "positions must be a list and fingerprint a text"
        raise TypeError(msg)
    state = State(
        whole_number(document["epoch"], "epoch", least=0),
        parse_seed(seed),
        cast("Shuffle", shuffle),
        whole_number(document["lanes"], "lanes", least=1),
        whole_number(document["blocks"], "blocks", least=1),
        tuple(whole_number(n, "every position", least=0) for n in positions),
        document["fingerprint"],
    )
    if len(state.positions) != state.lanes:
        msg = f"{len(state.positions)} positions for {state.lanes} lanes"
        raise ValueError(msg)
    return state


def parse_seed(seed: object) -> Entropy:
    """What `numpy.random.SeedSequence` takes, without the texts that it would take as well.

    Raises:
        TypeError: It is no whole number, and no sequence of them.
        ValueError: A number is negative.
    """
    if hasattr(seed, "tolist"):
        seed = seed.tolist()
    if isinstance(seed, Sequence) and not isinstance(seed, (str, bytes)):
        return tuple(whole_number(part, "every part of seed", least=0) for part in seed)
    return whole_number(cast("int", seed), "seed", least=0)
