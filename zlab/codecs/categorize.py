"""Text as numbers of labels: `categorize`, v2's `numcodecs.categorize`.

Source: numcodecs, module `categorize`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.filters import Filter, dtype_of
from zlab.codecs.parameters import Parameters
from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array


@final
class CategorizeCodec(Filter):
    """Text as the number of its label, from 1; 0 is every other text, and is read as empty.

    zlab writes it in v3 by the name `categorize`, which is not registered: a document of ours
    says what it means by `labels` (a list of strings) and `astype` (a NumPy integer type, `|u1`
    by default). The configuration of numcodecs, which repeats the array's `dtype`, is read too.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((3,), np.dtypes.StringDType(), "")
        >>> codec = CategorizeCodec.from_config({"labels": ["female", "male"]}, chunk)
        >>> codec.encode(np.array(["male", "other", "female"], np.dtypes.StringDType())).tolist()
        [2, 0, 1]
    """

    name: ClassVar[str] = "categorize"

    def __init__(self, labels: list[str], astype: np.dtype[Any], chunk: ChunkSpec) -> None:
        self.labels = labels
        self._numbers = {label: number for number, label in enumerate(labels, 1)}
        self._texts = np.array(["", *labels], object)
        self._chunk = chunk
        fill_value = astype.type(self._numbers.get(str(chunk.fill_value), 0))
        self.encoded = ChunkSpec(chunk.shape, astype, fill_value)

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The labels are not text, are too many for the dtype, or the chunk's
                elements are not text.
        """
        parameters = Parameters(cls.name, configuration)
        labels = parameters.take("labels")
        astype = dtype_of(parameters, "astype", np.dtype(np.uint8))
        parameters.take("dtype", None)
        parameters.close()
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise parameters.fail("labels", labels, "a list of strings")
        if astype.kind not in "iu" or len(labels) > np.iinfo(astype).max:
            raise parameters.fail("astype", str(astype), f"an integer type up to {len(labels)}")
        if chunk.dtype.kind not in "TUO":
            msg = f"codec {cls.name!r} is for text, not for {chunk.dtype}"
            raise MetadataError(msg)
        return cls(labels, astype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Labels and dtype of their numbers."""
        return {"labels": self.labels, "astype": self.encoded.dtype.str}

    def encode(self, array: Array) -> Array:
        """Numbers."""
        find = self._numbers.get
        numbers = (find(text, 0) for text in array.reshape(-1).tolist())
        encoded = np.fromiter(numbers, self.encoded.dtype, array.size)
        return encoded.reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """Texts; a number that has no label is read as empty, as numcodecs does."""
        known = (array >= 0) & (array < len(self._texts))
        texts = self._texts[np.where(known, array, 0).astype(np.intp)]
        return texts.astype(self._chunk.dtype).reshape(self._chunk.shape)
