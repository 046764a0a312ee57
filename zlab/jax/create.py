"""New arrays in a store, of a `jax.Array`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from zlab.array import create_array
from zlab.array.plan import plan_array
from zlab.engine.layout import ArrayLayout
from zlab.errors import AlignmentError, ZlabError
from zlab.grid.auto import auto_chunks
from zlab.group import open_array
from zlab.jax.arrays import bounds_of
from zlab.jax.dtypes import data_type_of
from zlab.jax.write import write
from zlab.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zlab.array import Array
    from zlab.array.plan import ChunksLike
    from zlab.stores.open import StoreLike


def from_array(
    x: object,
    store: StoreLike,
    *,
    path: str = "",
    chunks: ChunksLike = "auto",
    shards: Sequence[int] | int | None = None,
    dimension_names: Sequence[str | None] | None = None,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Array:
    """Creates an array of a tensor, of the same shape and data type, bit for bit.

    A tensor that lies on several devices is written part by part, never gathered. Where several
    processes hold it, all of them call this, on a store that all of them see: the first creates the
    array, each writes what its own devices hold, and all return when it is whole.

    Args:
        x: A `jax.Array` or a NumPy array; or an `xarray.DataArray` of one, whose dimension names
            and attributes are stored too.
        store: A path, a URL, a store, or anything else that `zlab.open` takes.
        path: Where in the store, `""` for its root.
        chunks: The shape of a chunk, in elements; by default at most 1 MiB, and such that no
            process has part of a chunk.
        shards: The shape of a shard, a multiple of `chunks`; no shards by default.
        dimension_names: A name or `None` for each axis; those of a `DataArray` by default.
        attributes: The user's, JSON values; those of a `DataArray` by default.
        overwrite: Replace what is there, with everything below it.
        storage_options: For the file system behind a URL.
        **options: Codecs, fill value, version and the like, as for `zlab.create_array`.

    Returns:
        The array, open for writing.

    Raises:
        DataTypeError: No Zarr data type holds the dtype.
        MetadataError: The arguments do not fit each other, or the version cannot say them.
        AlignmentError: Processes have parts of the same chunk (or shard).
        NodeExistsError: Something is there, and `overwrite` is false.
        TypeError: An argument is not what its name says.
        ChunkWriteError: A chunk could not be encoded or stored.

    Example:
        >>> import jax.numpy as jnp, zlab
        >>> array = zlab.jax.from_array(jnp.ones((4, 6), "bfloat16"), {}, chunks=(2, 6))
        >>> array.shape, array.dtype, array.nchunks_initialized
        ((4, 6), dtype(bfloat16), 2)
    """
    if hasattr(x, "dims"):
        dimension_names = x.dims if dimension_names is None else dimension_names
        attributes = getattr(x, "attrs", None) if attributes is None else attributes
        x = getattr(x, "data", x)
    for name in ("shape", "dtype", "data"):
        if name in options:
            msg = f"from_array() got an unexpected keyword argument {name!r}: it is the tensor's"
            raise TypeError(msg)
    tensor = _checked(x)
    data_type = data_type_of(tensor.dtype)
    together = not getattr(tensor, "is_fully_addressable", True)
    if together and isinstance(chunks, str) and shards is None:
        chunks = _auto_chunks(tensor)
    options |= {
        "shape": tensor.shape,
        "dtype": data_type,
        "chunks": chunks,
        "shards": shards,
        "dimension_names": dimension_names,
        "attributes": attributes,
    }
    created: dict[str, Any] = {
        "path": path,
        "overwrite": overwrite,
        "storage_options": storage_options,
    }
    region = (slice(None),) * tensor.ndim
    if not together:
        array = create_array(store, **created, **options)
        write(array, [(region, tensor)])
        return array
    _check_alignment(tensor, options)
    with _All("create the array"):
        first = create_array(store, **created, **options) if jax.process_index() == 0 else None
    array = first or open_array(store, path=path, mode="r+", storage_options=storage_options)
    with _All("write its part"):
        write(array, [(region, tensor)])
    return array


def _checked(x: object) -> Any:
    if isinstance(x, jax.core.Tracer):
        msg = "x has no values while a function is traced: return it from the function, then write"
        raise TypeError(msg)
    if not isinstance(x, (jax.Array, np.ndarray, np.generic)):
        msg = (
            "x must be a jax.Array, a NumPy array or an xarray.DataArray of one, "
            f"not {type(x).__name__}"
        )
        raise TypeError(msg)
    if isinstance(x, jax.Array) and x.is_deleted():
        msg = "x has no values any more: it was deleted, or donated to a function"
        raise ValueError(msg)
    return x


# -- several processes


class _All:
    """What all processes do, each for itself: none goes on where it failed in one of them."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        from jax.experimental import multihost_utils  # noqa: PLC0415  several processes are rare

        failed = multihost_utils.process_allgather(np.asarray(error is not None))
        if error is None and failed.any():
            who = int(np.flatnonzero(failed)[0])
            msg = f"process {who} could not {self._what}"
            raise ZlabError(msg, hint="Its own error says why")


def _parts(tensor: jax.Array) -> set[tuple[tuple[int, int], ...]]:
    """Where the parts lie that devices of all processes hold."""
    indices = tensor.sharding.devices_indices_map(tensor.shape).values()
    return {bounds_of(index, tensor.shape) for index in indices}


def _auto_chunks(tensor: jax.Array) -> tuple[int, ...]:
    """The usual chunks of a device's part, a little smaller where they would not divide it."""
    part = tensor.sharding.shard_shape(tensor.shape)
    lengths = []
    for n, chunk in zip(part, auto_chunks(part, tensor.dtype.itemsize), strict=True):
        pieces = -(-n // chunk)
        even = next((k for k in range(pieces, 2 * pieces) if n % k == 0), 1)
        lengths.append(max(n // even, 1))
    return tuple(lengths)


def _check_alignment(tensor: jax.Array, options: Mapping[str, Any]) -> None:
    """Raises `AlignmentError` where parts of several devices lie in one stored object."""
    objects = ArrayLayout(MemoryStore(), "", plan_array(**options)).objects
    for bounds in _parts(tensor):
        for number, (axis, (start, stop)) in enumerate(zip(objects.axes, bounds, strict=True)):
            edges = [edge for edge in (start, stop) if edge < axis.length and start < stop]
            if any(axis.start(axis.chunk_at(edge)) != edge for edge in edges):
                part = tensor.sharding.shard_shape(tensor.shape)
                raise AlignmentError(
                    f"each device holds {part} elements, and along axis {number} that cuts a chunk "
                    "or shard, which one process must write as a whole",
                    hint="Pass chunks= (and shards=) that divide what a device holds",
                )
