import type { ChunkPlane } from '../../js/src/wire/chunks';

/** A plane as the server would send it, of sizes by row and column. */
export function plane(
  rows: readonly (readonly number[])[],
  rest: Partial<ChunkPlane> = {}
): ChunkPlane {
  const sizes = rows.flat();
  const stored = sizes.filter(size => size >= 0);
  const shape = [rows.length, rows[0]?.length ?? 0] as const;
  return {
    store: 's.zarr',
    path: 'a',
    axes: [0, 1],
    shape,
    chunk_grid_shape: [...shape],
    index: (rest.chunk_grid_shape ?? shape).map(() => 0),
    shards_per: null,
    min: stored.length === 0 ? null : Math.min(...stored),
    max: stored.length === 0 ? null : Math.max(...stored),
    nchunks_stored: stored.length,
    nbytes_stored: stored.reduce((sum, size) => sum + size, 0),
    values: Float64Array.from(sizes),
    ...rest
  };
}
