"""What all tests share: hypothesis profiles, and features that may be absent.

A test that needs an optional feature says so with `@pytest.mark.needs("jax")`, or takes the
library with `pytest.importorskip("jax")`. Where the feature is absent the test is skipped, and
the last lines of the run count what was not run and say how to get it. With `ZLAB_REQUIRE=jax,lab`
nothing runs unless these are there: CI must not lose a test because an installation failed.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
pytest_plugins = ["pytester"]
# Playwright's and vitest's
collect_ignore = ["e2e", "js"]

# tests pin what JAX does on the CPU (copies, exact values), also where an accelerator is present
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# as if the machine had eight accelerators, for what is spread over several
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

# how long an example takes is not a property of the code: the machine may be busy
_untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _untimed, max_examples=50)
settings.register_profile("ci", _untimed, max_examples=100, derandomize=True, print_blob=True)
settings.register_profile("long", _untimed, max_examples=2000, print_blob=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"),
)


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that tests may need and a machine may lack.

    Attributes:
        install: The command that brings it.
        modules: Python modules, all of which it needs.
        commands: Commands, one of which it needs.
        files: Files in the repository.
    """

    install: str
    modules: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def present(self) -> bool:
        """Whether this machine has it."""
        return (
            all(find_spec(module) for module in self.modules)
            and (not self.commands or any(shutil.which(command) for command in self.commands))
            and all((ROOT / file).exists() for file in self.files)
        )


FEATURES = {
    "azurite": Feature("npm ci", commands=("node",), files=("node_modules/.bin/azurite-blob",)),
    "browser": Feature("apt-get install chromium", commands=("chromium", "chromium-browser")),
    "cloud": Feature(
        "pip install 'zlab[cloud]'",
        modules=("adlfs", "aiohttp", "gcsfs", "obstore", "s3fs"),
    ),
    "codecs": Feature(
        "pip install 'zlab[codecs]'",
        modules=("cramjam", "msgpack", "pcodec", "zfpy"),
    ),
    "dask": Feature("pip install 'zlab[dask]'", modules=("dask",)),
    "demo": Feature("pip install 'zlab[demo]'", modules=("optax", "PIL", "sklearn", "statsmodels")),
    "grain": Feature("pip install 'zlab[grain]'", modules=("grain",)),
    "jax": Feature("pip install 'zlab[jax]'", modules=("jax",)),
    "lab": Feature(
        "pip install 'zlab[lab]'",
        modules=("anywidget", "comm", "ipykernel", "jupyter_server", "jupyterlab"),
    ),
    "lock": Feature("pip install 'zlab[lock]'", modules=("filelock",)),
    "moto": Feature("pip install 'zlab[dev]'", modules=("moto", "flask")),
    "nginx": Feature("apt-get install nginx-light", commands=("nginx", "/usr/sbin/nginx")),
    "node": Feature("apt-get install nodejs npm", commands=("npm",)),
    "otel": Feature("pip install 'zlab[otel,dev]'", modules=("opentelemetry", "prometheus_client")),
    "progress": Feature("pip install 'zlab[progress]'", modules=("rich", "tqdm")),
    "processes": Feature("pip install 'zlab[processes]'", modules=("cloudpickle",)),
    "polars": Feature("pip install 'zlab[polars]'", modules=("polars",)),
    "tensorstore": Feature("pip install 'zlab[dev]'", modules=("tensorstore",)),
    "torch": Feature("pip install 'zlab[torch]'", modules=("torch",)),
    "xarray": Feature("pip install 'zlab[xarray]'", modules=("xarray",)),
    "zarr": Feature("pip install 'zlab[dev]'", modules=("zarr",)),
}
FEATURE_OF_MODULE = {
    module: name for name, feature in FEATURES.items() for module in feature.modules
}
SERVERS = {
    "s3": ("moto", "moto, ministack, or the URL of a server whose keys are test and test"),
    "gcs": ("shim", "shim, the double before the emulator of S3, or the URL of a server"),
    "azure": ("azurite", "azurite, or the URL of a server with its account"),
    "http": ("nginx", "nginx"),
}
REQUIRED = frozenset(filter(None, os.environ.get("ZLAB_REQUIRE", "").split(",")))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cloud", "servers that the tests of clouds run against")
    for name, (default, what) in SERVERS.items():
        group.addoption(f"--{name}", default=default, help=what)


def pytest_configure() -> None:
    unknown = ", ".join(sorted(REQUIRED - FEATURES.keys()))
    if unknown:
        known = ", ".join(FEATURES)
        raise pytest.UsageError(f"ZLAB_REQUIRE names {unknown}; features are {known}")
    absent = [name for name in sorted(REQUIRED) if not FEATURES[name].present()]
    if absent:
        ways = "; ".join(f"{name}: {FEATURES[name].install}" for name in absent)
        raise pytest.UsageError(f"ZLAB_REQUIRE names what is absent: {ways}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # begun last, it would keep one process busy while the others wait
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            if not FEATURES[name].present():
                pytest.skip(f"needs {name}")


def _absent_feature(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """The feature for want of which something was skipped, if it was for one."""
    if not (report.skipped and isinstance(report.longrepr, tuple)):
        return None
    reason = report.longrepr[2]
    if match := re.search(r"needs (\w+)$", reason):
        return match[1]
    if match := re.search(r"could not import '(\w+)", reason):
        return FEATURE_OF_MODULE.get(match[1])
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # each xdist worker reports a module that is skipped as a whole
    skipped = {report.nodeid: report for report in terminalreporter.stats.get("skipped", [])}
    absent = Counter(filter(None, map(_absent_feature, skipped.values())))
    for name, count in sorted(absent.items()):
        terminalreporter.write_line(f"not run: {count} {name} ({FEATURES[name].install})")


def _wait_until(condition: Callable[[], object]) -> None:
    """Returns as soon as the condition holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.001)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Returns as soon as a condition holds."""
    return _wait_until
