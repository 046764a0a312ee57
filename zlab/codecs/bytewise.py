"""What the codecs on bytes share: those without parameters, and those with a level alone.

Source: Zarr v3 core specification, section "Codecs".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.memory import Buffer


class BytewiseCodec(ABC):
    """A codec on bytes without parameters.

    Args:
        nbytes: Decoded bytes of every chunk, or `None` where they vary.
    """

    name: ClassVar[str]
    kind: ClassVar[Literal["bytes-bytes"]] = "bytes-bytes"
    encoded_nbytes: int | None = None

    def __init__(self, nbytes: int | None) -> None:
        self._nbytes = nbytes
        self._limit = limit()

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: There are parameters.
        """
        del itemsize
        Parameters(cls.name, configuration).close()
        return cls(nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """Empty."""
        return {}

    @abstractmethod
    def encode(self, data: Buffer) -> Buffer:
        """Encodes bytes."""

    @abstractmethod
    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes bytes, whose size is checked before memory is taken."""


class LevelCodec(BytewiseCodec):
    """A compressor whose one parameter says how hard it tries.

    Args:
        level: As the document records it.
        nbytes: Decoded bytes of every chunk, or `None` where they vary.

    Attributes:
        parameter: What the document calls the level.
        levels: The least, the greatest, and the one where the document says nothing.
    """

    parameter: ClassVar[str] = "level"
    levels: ClassVar[tuple[int, int, int]]

    def __init__(self, level: int, nbytes: int | None) -> None:
        super().__init__(nbytes)
        self.level = level

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The level is none, or there are other parameters.
        """
        del itemsize
        parameters = Parameters(cls.name, configuration)
        level = parameters.integer(cls.parameter, *cls.levels)
        parameters.close()
        return cls(level, nbytes)

    @property
    def configuration(self) -> dict[str, Any]:
        """The level."""
        return {self.parameter: self.level}
