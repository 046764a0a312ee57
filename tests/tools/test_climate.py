from __future__ import annotations

import numpy as np
import pytest

from zlab.tools.climate import Climate


@pytest.fixture(scope="module")
def climate() -> Climate:
    return Climate(nlat=18, nlon=36)


def test_a_day_is_the_same_in_every_piece(climate: Climate) -> None:
    whole = climate.temperature(0, 20)
    pieces = [climate.temperature(start, start + 5) for start in (0, 5, 10, 15)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal(Climate(18, 36).temperature(7, 8)[0], whole[7])


def test_another_seed_is_another_climate(climate: Climate) -> None:
    other = Climate(nlat=18, nlon=36, seed=1)
    assert not np.array_equal(other.temperature(0, 2), climate.temperature(0, 2))


def test_axes_are_the_centres_of_bands_and_whole_steps(climate: Climate) -> None:
    np.testing.assert_array_equal(climate.lat, np.arange(-85, 90, 10, dtype=np.float32))
    np.testing.assert_array_equal(climate.lon, np.arange(0, 360, 10, dtype=np.float32))


def test_it_is_warm_at_the_equator_and_seasons_are_opposite(climate: Climate) -> None:
    year = climate.temperature(0, 365)
    by_latitude = year.mean(axis=(0, 2))
    assert by_latitude[[0, -1]].max() < 0
    assert by_latitude[8:10].min() > 20
    january, july = year[:31].mean(axis=(0, 2)), year[181:212].mean(axis=(0, 2))
    assert january[14] < july[14] - 5
    assert january[3] > july[3] + 5


def test_values_have_two_decimals_and_the_dtypes_that_are_stored(climate: Climate) -> None:
    field = climate.temperature(3, 5)
    assert field.dtype == np.float32
    np.testing.assert_array_equal(field, field.round(2))
    ice = climate.ice(field)
    assert ice.dtype == np.uint8
    assert ice.max() <= 100
    assert (ice[field > 0] == 0).all()
    assert ice.any()
