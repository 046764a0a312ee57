"""Arrays larger than memory, as streams of chunks and of slices."""

from zlab.stream.chunks import Chunk, ChunkStream, stream_chunks
from zlab.stream.plan import StreamPlan
from zlab.stream.samples import SampleStream, stream_samples
from zlab.stream.slices import Slice, SlicePlan, SliceStream, stream_slices
from zlab.stream.stream import Stream

__all__ = [
    "Chunk",
    "ChunkStream",
    "SampleStream",
    "Slice",
    "SlicePlan",
    "SliceStream",
    "Stream",
    "StreamPlan",
    "stream_chunks",
    "stream_samples",
    "stream_slices",
]
