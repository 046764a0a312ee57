"""The `transpose` codec: a view, in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.codecs import registry
from zlab.codecs.base import ChunkSpec
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable


@given(shape=st.lists(st.integers(1, 4), max_size=5).map(tuple), data=st.data())
def test_axes_go_and_come_back_without_a_copy(shape: tuple[int, ...], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    codec = registry.get("transpose").from_config(
        {"order": order}, ChunkSpec(shape, array.dtype, 0)
    )
    encoded = codec.encode(array)
    assert encoded.shape == codec.encoded.shape
    assert np.array_equal(encoded, np.transpose(array, order))
    assert np.array_equal(codec.decode(encoded), array)
    for view in (encoded, codec.decode(encoded), codec.encoded_view(array)):
        assert np.shares_memory(view, array)


@pytest.mark.parametrize("order", [[0], [0, 0], [0, 2], [-1, 0], [1.0, 0], "K", None, [True, 0]])
def test_what_is_no_permutation_is_refused(array_codec: Callable[..., Any], order: object) -> None:
    with pytest.raises(MetadataError, match="a permutation of the 2 axes"):
        array_codec("transpose", {"order": order}, (2, 3))


@pytest.mark.parametrize(("word", "order"), [("C", [0, 1, 2]), ("F", [2, 1, 0])])
def test_the_words_of_early_documents_are_read(
    array_codec: Callable[..., Any], word: str, order: list[int]
) -> None:
    codec = array_codec("transpose", {"order": word}, (2, 3, 4))
    assert codec.configuration == {"order": order}
