"""Names to classes: lazily, with plug-ins, and with broken ones that harm nobody else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, ClassVar

import pytest

from zlab import plugins
from zlab.codecs import registry
from zlab.errors import UnknownCodecError

REGISTERED = [
    "bitround",
    "cast_value",
    "reshape",
    "scale_offset",
    "transpose",
    "bytes",
    "n5_default",
    "packbits",
    "sharding_indexed",
    "vlen-bytes",
    "vlen-utf8",
    "zfp",
    "blosc",
    "conditional",
    "crc32c",
    "gzip",
    "zstd",
]
OF_NUMCODECS = [
    "adler32",
    "astype",
    "base64",
    "bitround",
    "blosc",
    "bz2",
    "categorize",
    "crc32",
    "crc32c",
    "delta",
    "fixedscaleoffset",
    "fletcher32",
    "gzip",
    "jenkins_lookup3",
    "json2",
    "lz4",
    "lzma",
    "msgpack2",
    "packbits",
    "pcodec",
    "quantize",
    "shuffle",
    "vlen-array",
    "vlen-bytes",
    "vlen-utf8",
    "zfpy",
    "zlib",
    "zstd",
]
OPTIONAL = {"zfp", "zarrs.zfp", "numcodecs.zfpy", "numcodecs.pcodec", "numcodecs.snappy"}


def test_every_registered_codec_and_every_one_of_numcodecs_has_a_name_here() -> None:
    wanted = {*REGISTERED, *(f"numcodecs.{name}" for name in OF_NUMCODECS)}
    assert wanted <= set(registry.names())


@pytest.mark.parametrize("name", sorted(set(registry.names()) - OPTIONAL))
def test_every_name_loads_a_codec_of_a_kind(name: str) -> None:
    codec = registry.get(name)
    assert codec.kind in ("array-array", "array-bytes", "bytes-bytes")
    assert registry.get(codec.name) is codec


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("endian", "bytes"),
        ("numcodecs.zstd", "zstd"),
        ("numcodecs.gzip", "gzip"),
        ("numcodecs.blosc", "blosc"),
        ("numcodecs.bitround", "bitround"),
        ("lz4", "numcodecs.lz4"),
        ("bz2", "numcodecs.bz2"),
    ],
)
def test_aliases_lead_to_the_codec(alias: str, name: str) -> None:
    assert registry.get(alias) is registry.get(name)


def test_an_unknown_name_is_an_error_that_says_how_it_may_become_known() -> None:
    with pytest.raises(UnknownCodecError, match=r"unknown codec 'wavelet'.*'zlab\.codecs'"):
        registry.get("wavelet")


def test_pickle_is_refused_and_says_how_to_ask_for_it() -> None:
    with pytest.raises(UnknownCodecError, match=r"runs code.*PickleCodec"):
        registry.get("numcodecs.pickle")


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("zfp", "zfpy"),
        ("numcodecs.zfpy", "zfpy"),
        ("numcodecs.pcodec", "pcodec"),
        ("numcodecs.snappy", "cramjam"),
    ],
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setitem(sys.modules, package, None)
    module = registry._PLACES[name].partition(":")[0]
    monkeypatch.delitem(sys.modules, f"zlab.codecs.{module}", raising=False)
    with pytest.raises(UnknownCodecError, match=rf"{package}: pip install 'zlab\[codecs\]'"):
        registry.get(name)


def test_a_library_that_breaks_when_it_is_imported_fails_its_codec_alone(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zfpy.py").write_text("raise RuntimeError('wrong processor')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_loaded", {})
    for module in ("zfpy", "zlab.codecs.zfp"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(UnknownCodecError, match="RuntimeError: wrong processor"):
        registry.get("zfp")
    assert registry.get("zstd").name == "zstd"


class Mine:
    """A codec of a user."""

    name: ClassVar[str] = "mine"
    kind: ClassVar[str] = "bytes-bytes"


class Other:
    """Another, of the same name."""

    name: ClassVar[str] = "mine"
    kind: ClassVar[str] = "bytes-bytes"


@pytest.fixture
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setattr(registry._packages, "_plugins", {})


@pytest.mark.usefixtures("_fresh")
def test_a_registered_class_is_found_by_all_its_names() -> None:
    registry.register(Mine, "ours")
    registry.register(Mine, "ours")
    assert registry.get("mine") is Mine
    assert registry.get("ours") is Mine


@pytest.mark.usefixtures("_fresh")
def test_a_name_that_is_taken_is_refused() -> None:
    registry.register(Mine)
    with pytest.raises(ValueError, match="'mine' is taken"):
        registry.register(Other)
    with pytest.raises(ValueError, match="'zstd' is taken"):
        registry.register(type("Zstd", (), {"name": "zstd", "kind": "bytes-bytes"}))


def test_a_class_that_is_no_codec_is_refused() -> None:
    with pytest.raises(ValueError, match="must have a name and a kind"):
        registry.register(int)


class _Entry:
    dist = None
    module = "package"

    def __init__(self, loaded: object) -> None:
        self._loaded = loaded

    def load(self) -> Any:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


def _with_entry(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    def entry_points(*, group: str, name: str) -> list[_Entry]:
        assert group == "zlab.codecs"
        return [_Entry(loaded)] if name == "mine" else []

    monkeypatch.setattr(plugins, "entry_points", entry_points)


@pytest.mark.usefixtures("_fresh")
def test_an_entry_point_brings_a_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_entry(monkeypatch, Mine)
    assert registry.get("mine") is Mine


@pytest.mark.usefixtures("_fresh")
def test_a_broken_entry_point_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_entry(monkeypatch, OSError("no such library"))
    with pytest.raises(UnknownCodecError, match="'package' cannot be loaded: OSError"):
        registry.get("mine")


def test_entry_points_are_not_asked_for_names_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(**_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(plugins, "entry_points", never)
    monkeypatch.setattr(registry, "_loaded", {})
    assert registry.get("gzip").name == "gzip"


def test_the_registry_imports_no_codec_before_it_is_used() -> None:
    code = (
        "import sys, zlab.codecs.registry as r; "
        "assert 'numcodecs' not in sys.modules; "
        "r.get('transpose'); assert 'numcodecs' not in sys.modules; "
        "r.get('zstd'); assert 'numcodecs' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
