"""numcodecs is usable even where one of its optional codecs cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BROKEN_METADATA = "Metadata-Version: 2.1\nName: zfpy\nVersion: 1.0.1.post0\n"


def test_a_version_of_zfpy_that_numcodecs_cannot_read_breaks_no_other_codec(
    tmp_path: Path,
) -> None:
    info = tmp_path / "zfpy-1.0.1.post0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(BROKEN_METADATA)
    (tmp_path / "zfpy.py").write_text("")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from zlab.codecs import registry
codec = registry.get("zstd").from_config({{"level": 1}}, 5, 1)
assert bytes(codec.decode(codec.encode(b"hello"))) == b"hello"
import numcodecs
assert "zfpy" not in numcodecs.codec_registry if hasattr(numcodecs, "codec_registry") else True
"""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
