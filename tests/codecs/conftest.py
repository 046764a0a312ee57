"""What the tests of codecs share: pipelines made in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

from zlab.codecs import ChunkSpec, Pipeline, registry
from zlab.metadata.extension import NamedConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def _config(value: str | dict[str, Any]) -> NamedConfig:
    return NamedConfig.parse(value, "codec")


class MakePipeline(Protocol):
    """The fixture `pipeline`."""

    def __call__(
        self,
        *codecs: str | dict[str, Any],
        shape: tuple[int, ...] = (4,),
        dtype: Any = "int32",
        fill_value: Any = 0,
    ) -> Pipeline: ...


@pytest.fixture(scope="session")
def pipeline() -> MakePipeline:
    """Resolves codecs, given as a document has them."""

    def make(
        *codecs: str | dict[str, Any],
        shape: tuple[int, ...] = (4,),
        dtype: Any = "int32",
        fill_value: Any = 0,
    ) -> Pipeline:
        chunk = ChunkSpec(shape, np.dtype(dtype), fill_value)
        return Pipeline.resolve([_config(codec) for codec in codecs], chunk)

    return make


@pytest.fixture(scope="session")
def bytes_codec() -> Callable[..., Any]:
    """Makes one bytes-to-bytes codec."""

    def make(
        name: str,
        configuration: dict[str, Any] | None = None,
        nbytes: int | None = None,
        itemsize: int = 1,
    ) -> Any:
        return registry.get(name).from_config(configuration or {}, nbytes, itemsize)

    return make


@pytest.fixture(scope="session")
def array_codec() -> Callable[..., Any]:
    """Makes one codec whose input is an array."""

    def make(
        name: str,
        configuration: dict[str, Any] | None = None,
        shape: tuple[int, ...] = (4,),
        dtype: Any = "int32",
        fill_value: Any = None,
    ) -> Any:
        chunk = ChunkSpec(shape, np.dtype(dtype), fill_value)
        return registry.get(name).from_config(configuration or {}, chunk)

    return make


@pytest.fixture(scope="session")
def decode() -> Callable[[Pipeline, Any], NDArray[Any]]:
    """Decodes into a new array."""

    def into_new(pipeline: Pipeline, data: Any) -> NDArray[Any]:
        out = np.empty(pipeline.chunk.shape, pipeline.chunk.dtype)
        pipeline.decode(data, out)
        return out

    return into_new
