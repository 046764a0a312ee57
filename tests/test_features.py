"""A test that cannot run is counted, and where it must run it fails (tests/conftest.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = (
    (Path(__file__).parent / "conftest.py").read_text(encoding="utf-8")
    + """
FEATURES["ghost"] = Feature("apt-get install ghost", modules=("ghost",), commands=("ghost",))
FEATURE_OF_MODULE["ghost"] = "ghost"
"""
)
MARKED = """
import pytest

@pytest.mark.needs("ghost")
def test_marked(): ...

@pytest.mark.needs("zarr")
def test_present(): ...
"""
# plugins that take seconds to load, for nothing here
UNRELATED = ("-p", "no:zarr", "-p", "no:nbval")
IMPORTING = """
import pytest

ghost = pytest.importorskip("ghost")

def test_never_collected(): ...
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("ZLAB_REQUIRE", raising=False)
    pytester.makeini("[pytest]\nmarkers = needs")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_marked=MARKED, test_importing=IMPORTING)
    return pytester


@pytest.mark.parametrize("parallel", [(), ("--numprocesses=2",)], ids=["alone", "xdist"])
def test_what_cannot_run_is_counted(suite: pytest.Pytester, parallel: tuple[str, ...]) -> None:
    result = suite.runpytest_subprocess(*UNRELATED, *parallel)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["not run: 2 ghost (apt-get install ghost)", "*1 passed*"])


@pytest.mark.parametrize("parallel", [(), ("--numprocesses=2",)], ids=["alone", "xdist"])
def test_what_must_run_and_cannot_stops_the_run(
    suite: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    parallel: tuple[str, ...],
) -> None:
    monkeypatch.setenv("ZLAB_REQUIRE", "zarr,ghost")
    result = suite.runpytest_subprocess(*UNRELATED, *parallel)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: ZLAB_REQUIRE names what is absent: ghost: apt-get install ghost"]
    )


def test_a_feature_that_does_not_exist_stops_the_run(
    suite: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZLAB_REQUIRE", "zarr,goblin")
    result = suite.runpytest_subprocess(*UNRELATED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: ZLAB_REQUIRE names goblin; features are *"])
