from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlab.telemetry.quantiles import Histogram, Quantiles

DURATIONS = st.lists(st.floats(min_value=2e-9, max_value=1e4), min_size=1, max_size=200)


@given(DURATIONS, st.sampled_from([0.01, 0.25, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_within_its_precision(durations: list[float], q: float) -> None:
    histogram = Histogram()
    histogram.add(durations)
    exact = float(np.quantile(durations, q, method="inverted_cdf"))
    assert histogram.quantile(q) == pytest.approx(exact, rel=0.032)
    assert histogram.count == len(durations)
    assert histogram.max_s == max(durations)
    assert histogram.sum_s == pytest.approx(sum(durations))


@given(DURATIONS, DURATIONS)
def test_histograms_add_up(first: list[float], second: list[float]) -> None:
    both, one, other = Histogram(), Histogram(), Histogram()
    both.add(first + second)
    one.add(first)
    other.add(second)
    one.merge(other)
    assert list(one.octaves()) == list(both.octaves())
    assert (one.count, one.max_s, one.quantile(0.5)) == (both.count, both.max_s, both.quantile(0.5))


@given(DURATIONS)
def test_octaves_count_what_is_shorter(durations: list[float]) -> None:
    histogram = Histogram()
    histogram.add(durations)
    for edge, seen in histogram.octaves():
        assert seen == sum(duration < edge for duration in durations)


def test_extremes() -> None:
    histogram = Histogram()
    assert histogram.quantiles() == Quantiles(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    histogram.add([])
    assert histogram.count == 0
    histogram.add([0.0, 5e-324, 1e300])
    assert histogram.count == 3
    assert histogram.max_s == 1e300
    first, *_ = histogram.octaves()
    assert first == (2.0**-30, 2)
