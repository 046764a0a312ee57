"""`numcodecs.pcodec`: numbers through pcodec.

Source: numcodecs, module `pcodec`; https://github.com/pcodec/pcodec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, PagingSpec, standalone

from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_size
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array, ChunkSpec
    from zlab.memory import Buffer

_DTYPES = frozenset(
    {"uint16", "uint32", "uint64", "int16", "int32", "int64", "float16", "float32", "float64"}
)
_PAGE = 262144


@final
class PcodecCodec:
    """One standalone pcodec file."""

    name: ClassVar[str] = "numcodecs.pcodec"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    encoded_nbytes: int | None = None
    in_place = False

    def __init__(self, configuration: dict[str, Any], config: Any, chunk: ChunkSpec) -> None:
        self._configuration = configuration
        self._config = config
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: pcodec has no such data type, or the parameters do not go together.
        """
        parameters = Parameters(cls.name, configuration)
        order = parameters.take("delta_encoding_order", None)
        complete = {
            "level": parameters.integer("level", 0, 12, 8),
            "mode_spec": parameters.choice("mode_spec", ("auto", "classic"), "auto"),
            "delta_spec": parameters.choice(
                "delta_spec", ("auto", "none", "try_consecutive", "try_lookback"), "auto"
            ),
            "paging_spec": parameters.choice(
                "paging_spec", ("equal_pages_up_to",), "equal_pages_up_to"
            ),
            "delta_encoding_order": order,
            "equal_pages_up_to": parameters.integer("equal_pages_up_to", 1, 1 << 32, _PAGE),
        }
        parameters.close()
        if order is not None and (type(order) is not int or not 0 <= order <= 7):  # noqa: PLR2004
            raise parameters.fail("delta_encoding_order", order, "a number up to 7, or null")
        if order is not None and complete["delta_spec"] in ("none", "try_lookback"):
            msg = f"codec {cls.name!r}: delta_encoding_order goes with 'try_consecutive'"
            raise MetadataError(msg)
        if chunk.dtype.name not in _DTYPES:
            msg = f"codec {cls.name!r} does not hold {chunk.dtype}"
            raise MetadataError(msg)
        return cls(complete, _config(complete), chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """All parameters."""
        return self._configuration

    def encode(self, array: Array) -> Buffer:
        """One file."""
        flat = np.ascontiguousarray(array).reshape(-1)
        encoded: bytes = standalone.simple_compress(flat, self._config)
        return encoded

    def decode(self, data: Buffer) -> Array:
        """The numbers, into memory of the chunk's size.

        Raises:
            CodecError: There are more or fewer of them.
        """
        out = np.empty(self._chunk.size, self._chunk.dtype)
        progress = standalone.simple_decompress_into(bytes(data), out)
        check_size(self.name, out.nbytes, progress.n_processed * out.itemsize)
        if not progress.finished:
            raise CodecError(f"codec {self.name!r}: expected {out.nbytes} decoded bytes, got more")
        return out.reshape(self._chunk.shape)


def _config(complete: dict[str, Any]) -> Any:
    mode = ModeSpec.auto() if complete["mode_spec"] == "auto" else ModeSpec.classic()
    order = complete["delta_encoding_order"]
    match complete["delta_spec"]:
        case "auto":
            # what numcodecs made of an order before it had specs
            delta = DeltaSpec.auto() if order is None else DeltaSpec.try_consecutive(order)
        case "none":
            # the name that version 1 gave it, and the one of before
            no_delta = getattr(DeltaSpec, "no_op", None) or DeltaSpec.none
            delta = no_delta()
        case "try_consecutive":
            delta = DeltaSpec.try_consecutive(1 if order is None else order)
        case _:
            delta = DeltaSpec.try_lookback()
    return ChunkConfig(
        compression_level=complete["level"],
        delta_spec=delta,
        mode_spec=mode,
        paging_spec=PagingSpec.equal_pages_up_to(complete["equal_pages_up_to"]),
    )
