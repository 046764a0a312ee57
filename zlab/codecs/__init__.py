"""Bytes to arrays and back: codecs, their registry, and the pipeline that chains them."""

from zlab.codecs.base import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec, ChunkSpec
from zlab.codecs.pipeline import Pipeline

__all__ = ["ArrayArrayCodec", "ArrayBytesCodec", "BytesBytesCodec", "ChunkSpec", "Pipeline"]
