"""What every test of samples leaves behind: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zlab.stream.budget import process_held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _gives_everything_back(wait_until: Callable[[Callable[[], object]], None]) -> Iterator[None]:
    yield
    # what is being loaded when a stream is closed is given back when it is there
    wait_until(lambda: process_held() == 0)
