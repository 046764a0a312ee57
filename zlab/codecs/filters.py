"""The array-to-array filters of numcodecs, by its names `numcodecs.delta` and so on.

They hold in v2 documents and, as zarr-python writes them, in v3. The data types in their
configuration name the form in which values are computed; byte order is put right by the `bytes`
codec behind them.

Source: numcodecs, modules of the same names.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.base import ChunkSpec
from zlab.codecs.parameters import Parameters
from zlab.errors import CodecError, MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array


class _Filter:
    """What the filters share: they change values, so that none can be seen through."""

    kind: ClassVar[Literal["array-array"]] = "array-array"

    def encoded_view(self, out: Array) -> Array | None:
        """None: the values change."""
        del out
        return None


def _dtype(parameters: Parameters, key: str, default: np.dtype[Any] | None) -> np.dtype[Any]:
    """A fixed-size dtype in the native byte order, from its NumPy name."""
    value = parameters.take(key, None)
    if value is None and default is not None:
        return default
    try:
        dtype = np.dtype(value) if isinstance(value, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.hasobject or dtype.itemsize == 0:
        raise parameters.fail(key, value, "the name of a NumPy data type of fixed size")
    return dtype.newbyteorder("=")


def _check_dtype(name: str, dtype: np.dtype[Any], chunk: ChunkSpec) -> None:
    """Raises `MetadataError` where the filter would not see the chunk's elements one by one.

    numcodecs looks at the chunk's memory through the filter's dtype: times as integers, say.
    """
    if not chunk.has_fixed_size or dtype.itemsize != chunk.dtype.itemsize:
        msg = f"codec {name!r}: its dtype is {dtype}, but the chunk's is {chunk.dtype}"
        raise MetadataError(msg)


def _cast_fill(chunk: ChunkSpec, dtype: np.dtype[Any]) -> Any:
    """The fill value behind a filter: numcodecs does not filter it, so it is the same number."""
    if chunk.fill_value is None or dtype == chunk.dtype:
        return chunk.fill_value
    with np.errstate(all="ignore"):
        return np.asarray(chunk.fill_value, chunk.dtype).astype(dtype)[()]


@final
class DeltaCodec(_Filter):
    """Differences between neighbours, in C order, behind the first value.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((3,), np.dtype("uint8"), 0)
        >>> codec = DeltaCodec.from_config({"dtype": "|u1"}, chunk)
        >>> codec.encode(np.array([5, 3, 250], "uint8")).tolist()
        [5, 254, 247]
    """

    name: ClassVar[str] = "numcodecs.delta"

    def __init__(self, dtype: np.dtype[Any], astype: np.dtype[Any], chunk: ChunkSpec) -> None:
        self.encoded = ChunkSpec(chunk.shape, astype, _cast_fill(chunk, astype))
        self._dtype = dtype
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: `dtype` does not fit the chunk's.
        """
        parameters = Parameters(cls.name, configuration)
        dtype = _dtype(parameters, "dtype", chunk.dtype)
        astype = _dtype(parameters, "astype", dtype)
        parameters.close()
        _check_dtype(cls.name, dtype, chunk)
        return cls(dtype, astype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The dtype of the values and that of the differences."""
        return {"dtype": self._dtype.str, "astype": self.encoded.dtype.str}

    def encode(self, array: Array) -> Array:
        """The first value and the differences."""
        flat = array.reshape(-1).view(self._dtype)
        encoded = np.empty(flat.shape, self.encoded.dtype)
        if flat.size:
            encoded[0] = flat[0]
            encoded[1:] = np.diff(flat)
        return encoded.reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """Running sums."""
        decoded = np.empty(array.size, self._dtype)
        np.cumsum(array.reshape(-1), out=decoded)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)


@final
class QuantizeCodec(_Filter):
    """Floating-point numbers rounded to as many bits as some decimal digits need.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((3,), np.dtype("float64"), 0)
        >>> codec = QuantizeCodec.from_config({"digits": 1, "dtype": "<f8"}, chunk)
        >>> codec.encode(np.array([0.123, 0.456, 1.999])).tolist()
        [0.125, 0.4375, 2.0]
    """

    name: ClassVar[str] = "numcodecs.quantize"

    def __init__(
        self, digits: int, dtype: np.dtype[Any], astype: np.dtype[Any], chunk: ChunkSpec
    ) -> None:
        self.digits = digits
        self.encoded = ChunkSpec(chunk.shape, astype, _cast_fill(chunk, astype))
        self._dtype = dtype
        self._chunk = chunk
        # numcodecs' own arithmetic, so that the same bits come out
        exponent = math.log10(10.0**-digits)
        exponent = math.floor(exponent) if exponent < 0 else math.ceil(exponent)
        self._scale = 2.0 ** math.ceil(math.log2(10.0**-exponent))

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: A dtype is not of floating point, or does not fit the chunk's.
        """
        parameters = Parameters(cls.name, configuration)
        digits = parameters.integer("digits", -300, 300)
        dtype = _dtype(parameters, "dtype", chunk.dtype)
        astype = _dtype(parameters, "astype", dtype)
        parameters.close()
        _check_dtype(cls.name, dtype, chunk)
        if dtype.kind != "f" or astype.kind != "f":
            msg = f"codec {cls.name!r} is for floating-point numbers, not {dtype} and {astype}"
            raise MetadataError(msg)
        return cls(digits, dtype, astype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Digits and dtypes."""
        return {
            "digits": self.digits,
            "dtype": self._dtype.str,
            "astype": self.encoded.dtype.str,
        }

    def encode(self, array: Array) -> Array:
        """Rounded values."""
        values = array.reshape(-1).view(self._dtype)
        encoded = np.around(self._scale * values) / self._scale
        return encoded.astype(self.encoded.dtype, copy=False).reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """The rounded values in their dtype."""
        decoded = array.astype(self._dtype, copy=False).reshape(-1)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)


@final
class FixedScaleOffsetCodec(_Filter):
    """`round((x - offset) * scale)`.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((2,), np.dtype("float64"), 0)
        >>> codec = FixedScaleOffsetCodec.from_config(
        ...     {"offset": 1000, "scale": 10, "dtype": "<f8", "astype": "|u1"}, chunk
        ... )
        >>> codec.encode(np.array([1000, 1000.5])).tolist()
        [0, 5]
    """

    name: ClassVar[str] = "numcodecs.fixedscaleoffset"

    def __init__(
        self,
        offset: float,
        scale: float,
        dtype: np.dtype[Any],
        astype: np.dtype[Any],
        chunk: ChunkSpec,
    ) -> None:
        self.offset = offset
        self.scale = scale
        self.encoded = ChunkSpec(chunk.shape, astype, _cast_fill(chunk, astype))
        self._dtype = dtype
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: `dtype` does not fit the chunk's, or the scale is 0.
        """
        parameters = Parameters(cls.name, configuration)
        offset = parameters.number("offset")
        scale = parameters.number("scale")
        dtype = _dtype(parameters, "dtype", chunk.dtype)
        astype = _dtype(parameters, "astype", dtype)
        parameters.close()
        _check_dtype(cls.name, dtype, chunk)
        if not scale:
            raise parameters.fail("scale", scale, "a number other than 0")
        return cls(offset, scale, dtype, astype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Offset, scale and dtypes."""
        return {
            "offset": self.offset,
            "scale": self.scale,
            "dtype": self._dtype.str,
            "astype": self.encoded.dtype.str,
        }

    def encode(self, array: Array) -> Array:
        """Scaled and rounded values."""
        values = array.reshape(-1).view(self._dtype)
        encoded = np.around((values - self.offset) * self.scale)
        return encoded.astype(self.encoded.dtype, copy=False).reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """Values scaled back."""
        decoded = (array.reshape(-1) / self.scale) + self.offset
        decoded = decoded.astype(self._dtype, copy=False)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)


@final
class AsTypeCodec(_Filter):
    """Values in another dtype, by NumPy's rules.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((2,), np.dtype("int16"), 0)
        >>> codec = AsTypeCodec.from_config({"encode_dtype": "|i1"}, chunk)
        >>> codec.encode(np.array([1, -1], "int16")).dtype.name
        'int8'
    """

    name: ClassVar[str] = "numcodecs.astype"

    def __init__(
        self, encode_dtype: np.dtype[Any], decode_dtype: np.dtype[Any], chunk: ChunkSpec
    ) -> None:
        self.encoded = ChunkSpec(chunk.shape, encode_dtype, _cast_fill(chunk, encode_dtype))
        self._dtype = decode_dtype
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: `decode_dtype` does not fit the chunk's.
        """
        parameters = Parameters(cls.name, configuration)
        encode_dtype = _dtype(parameters, "encode_dtype", None)
        decode_dtype = _dtype(parameters, "decode_dtype", chunk.dtype)
        parameters.close()
        _check_dtype(cls.name, decode_dtype, chunk)
        return cls(encode_dtype, decode_dtype, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Both dtypes."""
        return {"encode_dtype": self.encoded.dtype.str, "decode_dtype": self._dtype.str}

    def encode(self, array: Array) -> Array:
        """Values in the stored dtype."""
        values = array.reshape(-1).view(self._dtype)
        return values.astype(self.encoded.dtype).reshape(self.encoded.shape)

    def decode(self, array: Array) -> Array:
        """Values in the chunk's dtype."""
        decoded = array.reshape(-1).astype(self._dtype)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)


@final
class NumcodecsPackBitsCodec(_Filter):
    """Booleans, eight to a byte, behind a byte that counts the bits of padding.

    Example:
        >>> import numpy as np
        >>> chunk = ChunkSpec((9,), np.dtype("bool"), False)
        >>> codec = NumcodecsPackBitsCodec.from_config({}, chunk)
        >>> codec.encode(np.array([1, 0, 1, 1, 0, 0, 0, 1, 1], bool)).tobytes().hex()
        '07b180'
    """

    name: ClassVar[str] = "numcodecs.packbits"

    def __init__(self, chunk: ChunkSpec) -> None:
        fill_value = _cast_fill(chunk, np.dtype(np.uint8))
        self.encoded = ChunkSpec((1 + -(-chunk.size // 8),), np.dtype(np.uint8), fill_value)
        self._padding = -chunk.size % 8
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec.

        Raises:
            MetadataError: The chunk's elements are not booleans, nor bytes that stand for them.
        """
        Parameters(cls.name, configuration).close()
        if chunk.dtype.itemsize != 1 or chunk.dtype.kind not in "bui":
            msg = f"codec {cls.name!r} is for booleans, not for {chunk.dtype}"
            raise MetadataError(msg)
        return cls(chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def encode(self, array: Array) -> Array:
        """Bytes."""
        encoded = np.empty(self.encoded.shape, np.uint8)
        encoded[0] = self._padding
        encoded[1:] = np.packbits(array.reshape(-1).view(np.uint8))
        return encoded

    def decode(self, array: Array) -> Array:
        """Booleans.

        Raises:
            CodecError: The padding is not what the chunk's size makes it.
        """
        if array[0] != self._padding:
            raise CodecError(
                f"codec {self.name!r}: the chunk has {array[0]} bits of padding, "
                f"expected {self._padding}"
            )
        decoded = np.unpackbits(array[1:], count=self._chunk.size)
        return decoded.view(self._chunk.dtype).reshape(self._chunk.shape)


@final
class CategorizeCodec(_Filter):
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
        astype = _dtype(parameters, "astype", np.dtype(np.uint8))
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
