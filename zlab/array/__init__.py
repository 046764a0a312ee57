"""The handle on an array."""

from zlab.array.array import Array, create_array, open_array
from zlab.array.attributes import Attributes

__all__ = ["Array", "Attributes", "create_array", "open_array"]
