"""v2's `pickle`, which runs whatever code a store holds. It is not registered.

Who trusts a store registers it by name:

```python
from zlab.codecs import registry
from zlab.codecs.pickle import PickleCodec

registry.register(PickleCodec)
```
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np

from zlab.codecs.parameters import Parameters
from zlab.codecs.sizes import check_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zlab.codecs.base import Array, ChunkSpec
    from zlab.memory import Buffer


@final
class PickleCodec:
    """A pickled array of objects."""

    name: ClassVar[str] = "numcodecs.pickle"
    kind: ClassVar[Literal["array-bytes"]] = "array-bytes"
    encoded_nbytes: int | None = None
    in_place = False

    def __init__(self, protocol: int, chunk: ChunkSpec) -> None:
        self.protocol = protocol
        self._chunk = chunk

    @classmethod
    def from_config(cls, configuration: Mapping[str, Any], chunk: ChunkSpec) -> Self:
        """Makes the codec."""
        parameters = Parameters(cls.name, configuration)
        highest = pickle.HIGHEST_PROTOCOL
        protocol = parameters.integer("protocol", 0, highest, highest)
        parameters.close()
        return cls(protocol, chunk)

    @property
    def configuration(self) -> dict[str, Any]:
        """The protocol."""
        return {"protocol": self.protocol}

    def encode(self, array: Array) -> Buffer:
        """A pickle."""
        return pickle.dumps(array.astype(object), protocol=self.protocol)

    def decode(self, data: Buffer) -> Array:
        """Elements, after running the code of the pickle."""
        elements = np.asarray(pickle.loads(data), object)  # noqa: S301  asked for by name
        check_size(self.name, self._chunk.size, elements.size)
        return elements.reshape(self._chunk.shape).astype(self._chunk.dtype, copy=False)
