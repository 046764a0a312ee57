"""Shuffled orders that take no memory: keyed bijections of the numbers below n."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_ROUNDS = 8
_SMALLEST_HALF = 3  # bits; with fewer, some orders of a few numbers are more frequent
_MASK = (1 << 64) - 1


@final
class Permutation:
    """The numbers below `n`, each once, in an order that a seed determines.

    It is computed number by number and needs no memory, so it works for 10^12 numbers: a Feistel
    network on the smallest even number of bits that holds `n - 1`, walked until it comes below
    `n`.

    Args:
        n: How many numbers, below 2^63.
        seed: Determines the order.

    Source: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002, section 4.

    Example:
        >>> import numpy as np
        >>> order = Permutation(10**12, np.random.SeedSequence(1))
        >>> order[0] != order[1]
        True
        >>> sorted(Permutation(5, np.random.SeedSequence(2)))
        [0, 1, 2, 3, 4]
    """

    __slots__ = ("_half", "_keys", "n")

    def __init__(self, n: int, seed: np.random.SeedSequence) -> None:
        self.n = n
        self._half = max(_SMALLEST_HALF, -(-max(n - 1, 0).bit_length() // 2))
        self._keys = [int(key) for key in seed.generate_state(_ROUNDS, np.uint64)]

    def __getitem__(self, place: int) -> int:
        """The number at a place.

        Raises:
            IndexError: There is no such place.
        """
        if not 0 <= place < self.n:
            msg = f"place {place} of a permutation of {self.n}"
            raise IndexError(msg)
        number = self._scramble(place)
        while number >= self.n:
            number = self._scramble(number)
        return number

    def __iter__(self) -> Iterator[int]:
        return (self[place] for place in range(self.n))

    def take(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers at some places.

        Args:
            places: Of one axis.

        Raises:
            IndexError: There is no such place.

        Example:
            >>> order = Permutation(100, np.random.SeedSequence(1))
            >>> order.take(np.arange(3)).tolist() == [order[0], order[1], order[2]]
            True
        """
        return self._walk(places, self._scramble_all)

    def places_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where some numbers stand.

        Args:
            numbers: Of one axis.

        Raises:
            IndexError: There is no such number.

        Example:
            >>> order = Permutation(100, np.random.SeedSequence(1))
            >>> order.places_of(order.take(np.arange(5))).tolist()
            [0, 1, 2, 3, 4]
        """
        return self._walk(numbers, self._unscramble_all)

    def _walk(self, numbers: NDArray[np.int64], step: Callable[..., Any]) -> NDArray[np.int64]:
        outside = (numbers < 0) | (numbers >= self.n)
        if outside.any():
            msg = f"place {numbers[outside][0]} of a permutation of {self.n}"
            raise IndexError(msg)
        walked: NDArray[np.uint64] = step(numbers.astype(np.uint64))
        while len(again := np.flatnonzero(walked >= self.n)):
            walked[again] = step(walked[again])
        return walked.astype(np.int64)

    def _scramble(self, number: int) -> int:
        half = self._half
        mask = (1 << half) - 1
        left, right = number >> half, number & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        return left << half | right

    def _scramble_all(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        half, mask = np.uint64(self._half), np.uint64((1 << self._half) - 1)
        left, right = numbers >> half, numbers & mask
        for key in self._keys:
            left, right = right, left ^ (_mix_all(right ^ np.uint64(key)) & mask)
        return left << half | right

    def _unscramble_all(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        half, mask = np.uint64(self._half), np.uint64((1 << self._half) - 1)
        left, right = numbers >> half, numbers & mask
        for key in reversed(self._keys):
            left, right = right ^ (_mix_all(left ^ np.uint64(key)) & mask), left
        return left << half | right


_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mix(x: int) -> int:
    """The finaliser of splitmix64: every bit of the result depends on every bit of `x`."""
    x = (x ^ x >> 30) * _FIRST & _MASK
    x = (x ^ x >> 27) * _SECOND & _MASK
    return x ^ x >> 31


def _mix_all(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """As `_mix`, of many numbers; `x` is used up."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(_FIRST)
    x ^= x >> np.uint64(27)
    x *= np.uint64(_SECOND)
    x ^= x >> np.uint64(31)
    return x
