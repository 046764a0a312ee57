from __future__ import annotations

import pytest

from zlab.kernel.cadence import Attention, is_due, period_s


@pytest.mark.parametrize(
    ("hz", "unseen_s", "cell_runs", "expected_s"),
    [
        (5, 0, False, 0.2),
        (5, 59, False, 0.2),
        (10, 0, True, 0.1),
        (5, 60, False, 1),
        (5, 599, False, 1),
        (5, 600, False, 5),
        (5, 1e9, False, 5),
        # a page cannot give a sign while a cell runs: never below 1 Hz
        (5, 600, True, 1),
        (5, 1e9, True, 1),
        # a page that wants less gets less
        (0.5, 0, False, 2),
        (0.5, 60, True, 2),
        (0.2, 1e9, False, 5),
    ],
)
def test_period(hz: float, unseen_s: float, cell_runs: bool, expected_s: float) -> None:
    assert period_s(Attention(hz, unseen_s, cell_runs)) == pytest.approx(expected_s)


def frames(attention: Attention, seconds: float, *, changing: bool) -> int:
    """Frames sent in so many seconds by a sender that looks 100 times a second."""
    last, sent = 0.0, 0
    for tick in range(1, int(seconds * 100) + 1):
        now = tick / 100
        if is_due(attention, now - last, changed=changing):
            last, sent = now, sent + 1
    return sent


def test_a_heartbeat_where_nothing_changes() -> None:
    assert frames(Attention(5, 0, cell_runs=True), 60, changing=False) == 12
    assert frames(Attention(5, 1e9, cell_runs=False), 60, changing=False) == 12


def test_frames_where_something_changes() -> None:
    assert frames(Attention(5, 0, cell_runs=False), 60, changing=True) == pytest.approx(320, abs=20)
    assert frames(Attention(5, 100, cell_runs=True), 90, changing=True) == pytest.approx(95, abs=5)
    assert frames(Attention(5, 1e9, cell_runs=False), 60, changing=True) == pytest.approx(12, abs=1)
