"""The arrays of a group as xarray's variables, encoded as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final, get_args

from numcodecs import get_codec
from xarray import Variable
from xarray.backends import AbstractDataStore
from xarray.core import indexing

from zlab.errors import MetadataError
from zlab.metadata.node import format_node
from zlab.xarray.fill import parse_fill_value
from zlab.xarray.lazy import LazyArray

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from zlab.array import Array
    from zlab.grid import Grid

By: TypeAlias = Literal["chunk", "shard"]
"""What dask's chunks are made of, and blocks."""

DIMENSIONS = "_ARRAY_DIMENSIONS"
"""The attribute of Zarr v2 arrays that names their axes."""


def check_by(by: object) -> None:
    """Raises a `ValueError` where something else was passed than `"chunk"` or `"shard"`."""
    if by not in get_args(By):
        msg = f"by must be 'chunk' or 'shard', not {by!r:.40}"
        raise ValueError(msg)


@final
class GroupStore(AbstractDataStore):
    """A group as what xarray decodes a dataset from.

    Args:
        arrays: The group's arrays by name.
        attributes: The group's.
        by: What `preferred_chunks` are.
        dims: Names of the axes by array, for arrays that do not name them.
        mask: Whether fill values mean "missing"; those of Zarr v2 do by default.
        close: Called when the dataset is closed.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        attributes: Mapping[str, Any],
        *,
        by: By,
        dims: Mapping[str, Sequence[str]],
        mask: bool | None,
        close: Callable[[], None],
    ) -> None:
        self._arrays = arrays
        self._attributes = attributes
        self._by: By = by
        self._dims = dims
        self._mask = mask
        self._close = close

    def get_variables(self) -> dict[str, Variable]:
        """The variables by name.

        Raises:
            MetadataError: An array's axes have no names.
        """
        return {
            name: variable_of(array, by=self._by, dims=self._dims.get(name), mask=self._mask)
            for name, array in self._arrays.items()
        }

    def get_attrs(self) -> dict[str, Any]:
        """The group's attributes, without those of NCZarr."""
        return _public(self._attributes)

    def close(self) -> None:
        """Closes what was opened for the dataset."""
        self._close()


def variable_of(
    array: Array, *, by: By = "shard", dims: Sequence[str] | None = None, mask: bool | None = None
) -> Variable:
    """An array as a lazy variable, not decoded; its codecs and chunks are its encoding.

    Args:
        array: The array.
        by: What `preferred_chunks` are, of a sharded array.
        dims: Names of its axes, where it does not name them itself.
        mask: Whether its fill value means "missing"; that of Zarr v2 does by default.

    Raises:
        MetadataError: Its axes have no names.
    """
    metadata, layout = array.metadata, array.layout
    names = _dimensions(array, dims)
    chunks = _lengths(layout.chunks)
    preferred = layout.objects if by == "shard" else layout.chunks
    encoding: dict[str, Any] = {
        "chunks": chunks,
        "preferred_chunks": dict(zip(names, _lengths(preferred), strict=True)),
        "shards": None if layout.sharding is None else _lengths(layout.objects),
        **_codecs(array),
    }
    if array.dtype.kind == "T":
        encoding["dtype"] = array.dtype
    attributes = dict(metadata.attributes)
    is_v2 = metadata.zarr_format == 2  # noqa: PLR2004  what xarray makes of each version
    if is_v2:
        attributes = _public(attributes)
        attributes.pop(DIMENSIONS, None)
    else:
        encoding["fill_value"] = metadata.fill_value
    if is_v2 if mask is None else mask:
        if metadata.fill_value is not None:
            attributes["_FillValue"] = metadata.fill_value
            encoding.pop("fill_value", None)
    elif attributes.get("_FillValue") is not None:
        try:
            attributes["_FillValue"] = parse_fill_value(
                attributes["_FillValue"], metadata.data_type
            )
        except MetadataError as error:
            error.locate(store=array.store.name, key=array.path)
            raise
    return Variable(names, indexing.LazilyIndexedArray(LazyArray(array)), attributes, encoding)


def _public(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if not _is_nczarr(name)}


def _is_nczarr(name: str) -> bool:
    return name.lower().startswith("_nc")


def _dimensions(array: Array, given: Sequence[str] | None) -> tuple[Hashable, ...]:
    stored = array.dimension_names
    if given is not None:
        if len(given) != array.ndim:
            raise MetadataError(
                f"dims= names {len(given)} axes of an array with {array.ndim}",
                store=array.store.name,
                key=array.path,
            )
        return tuple(given)
    if array.ndim == 0:
        return ()
    if stored is None:
        stored = _nczarr_dimensions(array)
    if stored is None or None in stored:
        where = DIMENSIONS if array.zarr_format == 2 else "dimension_names"  # noqa: PLR2004
        what = "axes without names" if stored is None else f"an axis without a name: {stored}"
        raise MetadataError(
            f"an array of {array.ndim} dimensions has {what}, and xarray needs one for each",
            store=array.store.name,
            key=array.path,
            hint=f"Pass dims={{{array.name!r}: [...]}}, leave it out with drop_variables, "
            f"or store {where}",
        )
    return stored


def _nczarr_dimensions(array: Array) -> tuple[str, ...] | None:
    """What NCZarr says, whose dimensions have the paths of groups before them."""
    if array.zarr_format != 2:  # noqa: PLR2004  it is a dialect of v2
        return None
    said = array.metadata_document().get(".zarray", {}).get("_NCZARR_ARRAY")
    if said is None:
        said = array.metadata.attributes.get("_nczarr_array")
    names = said.get("dimrefs") if isinstance(said, dict) else None
    if not isinstance(names, list) or len(names) != array.ndim:
        return None
    return tuple(str(name).rpartition("/")[2] for name in names)


def _lengths(grid: Grid) -> tuple[int | tuple[int, ...], ...]:
    """For each axis the length of its chunks, or those of all where they differ."""
    if grid.chunk_shape is not None:
        return grid.chunk_shape
    lengths: list[int | tuple[int, ...]] = []
    for axis in grid.axes:
        starts = [axis.start(number) for number in range(axis.nchunks)]
        stops = [*starts[1:], axis.length]
        sizes = tuple(stop - start for start, stop in zip(starts, stops, strict=True))
        regular = len(set(sizes[:-1])) <= 1 and (not sizes or sizes[-1] <= sizes[0])
        lengths.append((sizes[0] if sizes else 0) if regular else sizes)
    return tuple(lengths)


def _codecs(array: Array) -> dict[str, Any]:
    """The codecs in a form that zlab and zarr-python both write arrays by."""
    if array.zarr_format == 2:  # noqa: PLR2004  the codecs of a v2 document
        document = format_node(array.metadata)[".zarray"]
        compressor = document["compressor"]
        return {
            "compressors": () if compressor is None else (_numcodec(compressor),),
            "filters": tuple(map(_numcodec, document["filters"] or ())),
        }
    return {
        "compressors": tuple(codec.format() for codec in array.compressors),
        "filters": tuple(codec.format() for codec in array.filters),
        "serializer": array.serializer.format(),
    }


def _numcodec(config: dict[str, Any]) -> Any:
    """The object of numcodecs, which is all that zarr-python takes for v2."""
    try:
        return get_codec(config)
    except ValueError:  # one that zlab alone knows
        return config
