"""The widgets with small scripts of their own, so that they are tested without a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("anywidget")
    for name in ("chunk_heatmap", "telemetry"):
        (tmp_path / f"{name}.js").write_text(f"// {name}\nexport default {{}};\n")
    monkeypatch.setattr("zlab.widgets.bundles.STATIC", tmp_path)
    return tmp_path
