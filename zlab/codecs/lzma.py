"""v2's `lzma`, which zarr-python calls `numcodecs.lzma` in v3.

Source: numcodecs, module `lzma`.
"""

from __future__ import annotations

import lzma
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

from zlab.codecs.bytewise import BytewiseCodec
from zlab.codecs.parameters import Parameters
from zlab.codecs.streams import decompress
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.memory import Buffer

_MEMORY_OF_PRESET_9 = 128 << 20
# twice that of preset 9: coders take it at once, and some of them clear it
_LARGEST_DICTIONARY = 128 << 20


@final
class LzmaCodec(BytewiseCodec):
    """An xz stream, or one of the other forms of the `lzma` module.

    Example:
        >>> codec = LzmaCodec.from_config({}, nbytes=5, itemsize=1)
        >>> bytes(codec.encode(b"hello"))[1:5]
        b'7zXZ'
    """

    name: ClassVar[str] = "numcodecs.lzma"

    def __init__(
        self,
        form: int,
        check: int,
        preset: int | None,
        filters: list[dict[str, Any]] | None,
        nbytes: int | None,
    ) -> None:
        super().__init__(nbytes)
        self.form = form
        self.check = check
        self.preset = preset
        self.filters = filters

    @classmethod
    def from_config(
        cls, configuration: Mapping[str, Any], nbytes: int | None, itemsize: int
    ) -> Self:
        """Makes the codec; the numbers are the constants of the `lzma` module.

        Raises:
            MetadataError: The parameters do not go together.
        """
        del itemsize
        parameters = Parameters(cls.name, configuration)
        form = parameters.integer("format", lzma.FORMAT_XZ, lzma.FORMAT_RAW, lzma.FORMAT_XZ)
        check = parameters.integer("check", -1, 15, -1)
        preset = parameters.take("preset", None)
        if preset is not None and (type(preset) is not int or preset < 0):
            raise parameters.fail("preset", preset, "a whole number or null")
        filters = parameters.take("filters", None)
        parameters.close()
        for each in filters if isinstance(filters, list) else ():
            size = each.get("dict_size", 0) if isinstance(each, dict) else 0
            if not isinstance(size, int) or size > _LARGEST_DICTIONARY:
                wanted = f"a whole number of at most {_LARGEST_DICTIONARY}"
                raise parameters.fail("dict_size", size, wanted)
        codec = cls(form, check, preset, filters, nbytes)
        try:
            codec.encode(b"")
        except (lzma.LZMAError, ValueError, TypeError) as error:
            msg = f"codec {cls.name!r}: bad parameters {dict(configuration)!r:.120}: {error}"
            raise MetadataError(msg) from error
        return codec

    @property
    def configuration(self) -> dict[str, Any]:
        """All four parameters."""
        return {
            "format": self.form,
            "check": self.check,
            "preset": self.preset,
            "filters": self.filters,
        }

    def encode(self, data: Buffer) -> Buffer:
        """One stream."""
        return lzma.compress(data, self.form, self.check, self.preset, self.filters)

    def decode(self, data: Buffer, out: memoryview | None = None) -> Buffer:
        """Decodes all streams."""
        return decompress(self.name, self._open, data, out, self._nbytes, self._limit)

    def _open(self) -> lzma.LZMADecompressor:
        if self.form == lzma.FORMAT_RAW:
            return lzma.LZMADecompressor(self.form, filters=self.filters)
        # the header names the size of the dictionary, which is taken at once
        return lzma.LZMADecompressor(self.form, memlimit=max(self._limit, _MEMORY_OF_PRESET_9))
