"""The handle on an array."""

from zlab.array.array import Array
from zlab.array.attributes import Attributes
from zlab.array.create import create_array
from zlab.array.plan import plan_array

__all__ = ["Array", "Attributes", "create_array", "plan_array"]
