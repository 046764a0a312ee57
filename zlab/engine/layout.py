"""Everything that finding, decoding and encoding a chunk needs, resolved once when it is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zlab.codecs.base import ChunkSpec
from zlab.codecs.pipeline import Pipeline
from zlab.config import settings
from zlab.engine.access import Access
from zlab.engine.cache import Cache
from zlab.errors import MetadataError
from zlab.grid import ChunkKeys, Grid
from zlab.metadata.fill import default_fill
from zlab.metadata.version import VERSIONS
from zlab.stores.transformers import transformed

if TYPE_CHECKING:
    import numpy as np

    from zlab.codecs.sharding import ShardingCodec
    from zlab.metadata import ArrayMetadata
    from zlab.stores.base import Store


class ArrayLayout:
    """An array, as the engine sees it.

    Attributes:
        node_store: Where the array is: its documents, and its chunks behind its transformers.
        store: Where its chunks are read and written; the same where it has no transformers.
        path: Its path in the store, `""` for the root.
        metadata: Its model.
        dtype: In memory, native byte order.
        fill: What an absent chunk is filled with; zero where the document says nothing.
        objects: The grid of stored objects: shards, or chunks where there are no shards.
        chunks: The grid of chunks; of a sharded array, of inner chunks, the innermost ones.
        sharding: The codec of the shards, or `None`.
        access: The options of the handle.
        batch_length: Chunks that are decoded at one go.
        index_cache: Where shard indices are kept. Without a cache of the user's it lives as long
            as the handle, so that it keeps no store alive.
    """

    __slots__ = (
        "_keys",
        "_pipeline",
        "_pipelines",
        "_prefix",
        "access",
        "batch_length",
        "chunks",
        "dtype",
        "fill",
        "index_cache",
        "metadata",
        "node_store",
        "objects",
        "path",
        "sharding",
        "store",
    )

    def __init__(
        self, store: Store, path: str, metadata: ArrayMetadata, access: Access | None = None
    ) -> None:
        """Resolves the codecs and the grid.

        Raises:
            MetadataError: They are not known, or do not fit each other.
        """
        self.node_store = store
        self.path = path
        self.metadata = metadata
        self.access = access or Access()
        self.index_cache = self.access.cache or Cache(settings.shard_index_cache)
        self.dtype: np.dtype[Any] = metadata.data_type.dtype
        self.fill = (
            default_fill(metadata.data_type) if metadata.fill_value is None else metadata.fill_value
        )
        self._prefix = f"{path}/" if path else ""
        try:
            self.store = transformed(store, path, metadata.storage_transformers)
            self.objects = Grid.parse(metadata.chunk_grid, metadata.shape)
            self._keys = ChunkKeys.parse(metadata.chunk_key_encoding, len(metadata.shape))
            self._pipelines: dict[tuple[int, ...], Pipeline] = {}
            self._pipeline: Pipeline | None = None
            first = self._resolve(self.objects.stored_shape((0,) * len(metadata.shape)))
            if self.objects.chunk_shape is not None:
                self._pipeline = first
            self.sharding: ShardingCodec | None = first.sharding
            self.chunks = self.objects
            self.batch_length = self._batch_length(first)
            if self.sharding is not None:
                shape = self.sharding.innermost.chunk.shape
                self.chunks = Grid.regular(metadata.shape, shape)
        except MetadataError as error:
            document = VERSIONS[metadata.zarr_format].array
            error.locate(store=store.name, key=f"{self._prefix}{document}")
            raise

    def __reduce__(self) -> tuple[object, ...]:
        return ArrayLayout, (self.node_store, self.path, self.metadata, self.access)

    def _batch_length(self, pipeline: Pipeline) -> int:
        if self._pipeline is None:
            # chunks of several shapes
            return 1
        return (pipeline if pipeline.sharding is None else pipeline.sharding.innermost).batch_length

    def _resolve(self, shape: tuple[int, ...]) -> Pipeline:
        pipeline = self._pipelines.get(shape)
        if pipeline is None:
            chunk = ChunkSpec(shape, self.dtype, self.fill)
            pipeline = self._pipelines[shape] = Pipeline.resolve(self.metadata.codecs, chunk)
        return pipeline

    def pipeline(self, coords: tuple[int, ...]) -> Pipeline:
        """The pipeline of a stored object (a chunk, or a whole shard)."""
        if self._pipeline is not None:
            return self._pipeline
        return self._resolve(self.objects.stored_shape(coords))

    def chunk_pipeline(self, coords: tuple[int, ...]) -> Pipeline:
        """The pipeline of a chunk; of a sharded array, of an inner chunk."""
        return self.pipeline(coords) if self.sharding is None else self.sharding.innermost

    def key(self, coords: tuple[int, ...]) -> str:
        """The key of a stored object."""
        return self._prefix + self._keys.encode(coords)

    def coords_of(self, key: str) -> tuple[int, ...] | None:
        """The coordinates of the stored object with this key, `None` where it is none."""
        if not key.startswith(self._prefix):
            return None
        coords = self._keys.decode(key[len(self._prefix) :])
        return coords if coords is not None and self.objects.contains(coords) else None

    def shard_of(self, coords: tuple[int, ...]) -> tuple[int, ...]:
        """The shard that holds an inner chunk."""
        return tuple(
            shards.chunk_at(chunks.start(c))
            for shards, chunks, c in zip(self.objects.axes, self.chunks.axes, coords, strict=True)
        )

    def first_chunk(self, shard: tuple[int, ...]) -> tuple[int, ...]:
        """The coordinates of a shard's first inner chunk."""
        return tuple(
            chunks.chunk_at(shards.start(s)) if chunks.length else 0
            for shards, chunks, s in zip(self.objects.axes, self.chunks.axes, shard, strict=True)
        )
