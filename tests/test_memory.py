"""Memory that JAX and Arrow take over, and views of it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from zlab.memory import ALIGNMENT, aligned_empty, strided

NAMES = ("bfloat16", "float8_e4m3", "float8_e5m2", "float6_e2m3fn", "int4", "uint2")
DTYPES = [*(np.dtype(getattr(ml_dtypes, name)) for name in NAMES), *map(np.dtype, ("f8", "M8[s]"))]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_view_has_the_elements_at_its_strides(dtype: np.dtype[Any]) -> None:
    array = np.arange(12).astype(dtype).reshape(3, 4)
    rows, elements = array.strides
    windows = strided(array, (3, 3, 2), (rows, elements, elements))
    assert windows.dtype == dtype
    assert np.shares_memory(windows, array)
    for start in range(3):
        assert (windows[:, start] == array[:, start : start + 2]).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (5, 7)])
def test_memory_starts_where_others_take_it_over(
    dtype: np.dtype[Any], shape: tuple[int, ...]
) -> None:
    array = aligned_empty(shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype)
    assert array.ctypes.data % ALIGNMENT == 0
    assert array.flags.c_contiguous
    assert array.flags.writeable
