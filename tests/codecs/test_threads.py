"""One pipeline serves many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from zlab.codecs import registry

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 8
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


@pytest.mark.parametrize(
    "codecs",
    [
        [LITTLE, "zstd"],
        [LITTLE, {"name": "blosc", "configuration": {"cname": "lz4"}}],
        [LITTLE, {"name": "blosc", "configuration": {"cname": "zstd", "shuffle": "bitshuffle"}}],
        [LITTLE, "gzip", "crc32c"],
        [LITTLE, "numcodecs.lz4"],
        [LITTLE, "numcodecs.zlib"],
        [{"name": "transpose", "configuration": {"order": [1, 0]}}, LITTLE, "zstd"],
        [
            {
                "name": "sharding_indexed",
                "configuration": {"chunk_shape": [16, 16], "codecs": [LITTLE, "zstd"]},
            }
        ],
    ],
    ids=lambda codecs: str(len(codecs)),
)
def test_threads_do_not_disturb_each_other(pipeline: Callable[..., Any], codecs: list[Any]) -> None:
    made = pipeline(*codecs, shape=(64, 64), dtype="i4")
    arrays = [np.full((64, 64), number, "i4") + np.arange(64, dtype="i4") for number in range(8)]
    expected = [bytes(made.encode(array)) for array in arrays]
    start = Barrier(THREADS)

    def work(number: int) -> None:
        start.wait()
        out = np.empty((64, 64), "i4")
        for turn in range(20):
            at = (number + turn) % len(arrays)
            assert bytes(made.encode(arrays[at])) == expected[at]
            made.decode(expected[at], out)
            assert np.array_equal(out, arrays[at])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def test_threads_that_load_a_codec_at_once_get_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_loaded", {})
    start = Barrier(THREADS)

    def load(_: int) -> list[type[Any]]:
        start.wait()
        return [registry.get(name) for name in ("zstd", "blosc", "numcodecs.lz4", "gzip")]

    with ThreadPoolExecutor(THREADS) as pool:
        loaded = list(pool.map(load, range(THREADS)))
    assert all(classes == loaded[0] for classes in loaded)
