"""`reshape`, by the rules of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("shape", "configured", "expected"),
    [
        ((100, 50, 64, 3), [[0, 1], [2], 3], (5000, 64, 3)),
        ((2, 3, 4), [24], (24,)),
        ((2, 3, 4), [-1], (24,)),
        ((2, 3, 4), [2, -1, 2], (2, 6, 2)),
        ((2, 3, 4), [[0], [1, 2]], (2, 12)),
        ((2, 3, 4), [[0, 1, 2]], (24,)),
        ((2, 3, 4), [1, [0, 1], 2, 2], (1, 6, 2, 2)),
        ((6,), [2, 3], (2, 3)),
        ((), [], ()),
        ((), [1], (1,)),
        ((1,), [], ()),
    ],
)
def test_shapes(
    array_codec: Callable[..., Any],
    shape: tuple[int, ...],
    configured: list[Any],
    expected: tuple[int, ...],
) -> None:
    codec = array_codec("reshape", {"shape": configured}, shape)
    assert codec.encoded.shape == expected
    assert codec.configuration == {"shape": configured}
    array = np.arange(np.prod(shape, dtype=int), dtype="i4").reshape(shape)
    encoded = codec.encode(array)
    assert encoded.shape == expected
    assert np.shares_memory(encoded, array)
    assert np.array_equal(encoded.ravel(), array.ravel())
    assert np.array_equal(codec.decode(encoded), array)
    assert np.shares_memory(codec.encoded_view(array), array)


@pytest.mark.parametrize(
    "configured",
    [
        [25],
        [2, 3],
        [-1, -1],
        [-1, 5],
        [0, -1],
        [-2],
        [[1], [0], 4],
        [[1, 0], 4],
        [[0, 0], 12],
        [[0], [2], 3],
        [3, [0], 4],
        [[3]],
        [[-1]],
        [2.0, 12],
        [True, 24],
        "24",
        24,
        [None],
    ],
)
def test_what_cannot_be_is_refused(array_codec: Callable[..., Any], configured: object) -> None:
    with pytest.raises(MetadataError, match="reshape"):
        array_codec("reshape", {"shape": configured}, (2, 3, 4))


@pytest.mark.parametrize("order", ["C", "F"])
def test_decoding_writes_through_it_where_the_output_lies_in_one_piece(
    pipeline: Callable[..., Any], order: Any
) -> None:
    made = pipeline(
        {"name": "reshape", "configuration": {"shape": [[0, 1]]}},
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 1}},
        shape=(3, 5),
    )
    array = np.arange(15, dtype="i4").reshape(3, 5)
    out = np.empty((3, 5), "i4", order)
    made.decode(made.encode(array), out)
    assert np.array_equal(out, array)
