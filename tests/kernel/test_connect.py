from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import zlab.kernel


@pytest.fixture
def not_connected(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr("zlab.kernel._connected", False)
    return monkeypatch


def test_a_plain_interpreter_has_no_telemetry_and_loads_nothing_for_it() -> None:
    code = """
import sys, zlab, zlab.kernel
assert zlab.kernel.connect() is False
loaded = {"comm", "ipykernel", "IPython", "numpy", "zlab.telemetry"} & sys.modules.keys()
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def fake_kernel(kernel: type[Any]) -> ModuleType:
    fake = ModuleType("ipykernel.kernelbase")
    fake.Kernel = kernel  # type: ignore[attr-defined]
    return fake


def test_ipykernel_without_a_kernel(not_connected: pytest.MonkeyPatch) -> None:
    class Kernel:
        @staticmethod
        def initialized() -> bool:
            return False

    not_connected.setitem(sys.modules, "ipykernel.kernelbase", fake_kernel(Kernel))
    assert zlab.kernel.connect() is False


@pytest.mark.parametrize("error", [RuntimeError("odd"), AttributeError("odd"), ImportError("odd")])
def test_a_kernel_that_is_odd_does_not_break_the_import(
    not_connected: pytest.MonkeyPatch, error: Exception
) -> None:
    class Kernel:
        @staticmethod
        def initialized() -> bool:
            raise error

    not_connected.setitem(sys.modules, "ipykernel.kernelbase", fake_kernel(Kernel))
    assert zlab.kernel.connect() is False


def test_a_process_that_a_kernel_started(not_connected: pytest.MonkeyPatch) -> None:
    class Kernel:
        @staticmethod
        def initialized() -> bool:
            raise AssertionError("not asked")

    not_connected.setitem(sys.modules, "ipykernel.kernelbase", fake_kernel(Kernel))
    not_connected.setattr("multiprocessing.process.parent_process", object)
    assert zlab.kernel.connect() is False
