"""Samples of aligned arrays in batches, in order or shuffled, for whatever trains on them."""

from zlab.samples.describe import stream_samples
from zlab.samples.grid import SampleGrid
from zlab.samples.lanes import Share
from zlab.samples.permutation import Permutation
from zlab.samples.randomness import Randomness
from zlab.samples.state import Shuffle, State
from zlab.samples.stream import SampleBatch, SampleStream

__all__ = [
    "Permutation",
    "Randomness",
    "SampleBatch",
    "SampleGrid",
    "SampleStream",
    "Share",
    "Shuffle",
    "State",
    "stream_samples",
]
