"""Settings are checked when they are set."""

from __future__ import annotations

from typing import Any

import pytest

import zlab
from zlab.config import Settings


@pytest.mark.parametrize("value", [0, -1, "x", 1.5, True, None])
def test_settings_are_positive_whole_numbers(value: Any) -> None:
    settings = Settings()
    before = settings.threads
    with pytest.raises(ValueError, match=r"settings\.threads"):
        settings.threads = value
    assert settings.threads == before
    with pytest.raises(ValueError, match=r"settings\.threads"), settings.override(threads=value):
        pass
    assert settings.threads == before


def test_a_gap_may_be_nothing() -> None:
    settings = Settings()
    settings.coalesce_gap = 0
    assert settings.coalesce_gap == 0
    with pytest.raises(ValueError, match=r"settings\.coalesce_gap must be a whole number from 0"):
        settings.coalesce_gap = -1


def test_there_are_no_other_settings() -> None:
    with pytest.raises(AttributeError):
        zlab.settings.thread = 1
    with pytest.raises(AttributeError), zlab.settings.override(thread=1):
        pass


def test_an_override_ends_with_its_block() -> None:
    before = zlab.settings.threads
    with zlab.settings.override(threads=7) as settings:
        assert settings.threads == 7
    assert zlab.settings.threads == before


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZLAB_THREADS", "3")
    assert Settings().threads == 3
    monkeypatch.setenv("ZLAB_THREADS", "many")
    with pytest.raises(ValueError, match="ZLAB_THREADS"):
        Settings()
