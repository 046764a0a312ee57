"""Shuffled orders that take no memory: keyed bijections of the numbers below n."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        n: How many numbers.
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

    def _scramble(self, number: int) -> int:
        half = self._half
        mask = (1 << half) - 1
        left, right = number >> half, number & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        return left << half | right


def _mix(x: int) -> int:
    """The finaliser of splitmix64: every bit of the result depends on every bit of `x`."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31
