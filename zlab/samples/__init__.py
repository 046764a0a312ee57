"""Samples of aligned arrays in batches, in order or shuffled, for whatever trains on them."""

from zlab.samples.permutation import Permutation
from zlab.samples.stream import SampleStream, stream_samples

__all__ = ["Permutation", "SampleStream", "stream_samples"]
