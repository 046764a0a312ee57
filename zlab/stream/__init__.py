"""Arrays larger than memory, as streams of chunks and of slices."""

from zlab.stream.checkpoint import Checkpoint
from zlab.stream.chunks import ChunkStream, stream_chunks
from zlab.stream.loader import Chunk
from zlab.stream.plan import StreamPlan
from zlab.stream.slices import Slice, SlicePlan, SliceStream, stream_slices
from zlab.stream.stats import Stats
from zlab.stream.stream import Derived, Stream
from zlab.stream.tally import StreamReport
from zlab.stream.together import ZipStream, stream_zip
from zlab.stream.write import WriteReport, write_stream

__all__ = [
    "Checkpoint",
    "Chunk",
    "ChunkStream",
    "Derived",
    "Slice",
    "SlicePlan",
    "SliceStream",
    "Stats",
    "Stream",
    "StreamPlan",
    "StreamReport",
    "WriteReport",
    "ZipStream",
    "stream_chunks",
    "stream_slices",
    "stream_zip",
    "write_stream",
]
