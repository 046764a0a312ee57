/** The binary reply of `GET chunks`, and the same two parts as traits of a widget. */

import {
  amount,
  list,
  message,
  nullable,
  pair,
  text,
  where,
  whole,
  WireError,
  type Parsed
} from './parse';

const LENGTH_BYTES = 4;
const ALIGNMENT = 8;

const header = where(
  message({
    store: text,
    path: text,
    axes: list(whole),
    shape: pair(whole),
    chunk_grid_shape: list(whole),
    index: list(whole),
    shards_per: nullable(pair(whole)),
    min: nullable(amount),
    max: nullable(amount),
    nchunks_stored: whole,
    nbytes_stored: amount
  }),
  ({ axes, chunk_grid_shape, index }) =>
    axes.length <= 2 &&
    axes.every(axis => axis < chunk_grid_shape.length) &&
    index.length === chunk_grid_shape.length,
  'at most two axes of the chunk grid, and an index on each of its axes'
);

export type ChunkHeader = Parsed<typeof header>;

/** Stored bytes of the chunks of one plane of the chunk grid. */
export interface ChunkPlane extends ChunkHeader {
  /** `shape[0]` rows of `shape[1]` values; -1 where the chunk is absent. */
  readonly values: Float64Array;
}

/** Puts a header and its payload together, and refuses a pair that does not fit. */
export function parseChunkPlane(headerValue: unknown, data: ArrayBufferView): ChunkPlane {
  const parsed = header(headerValue, '');
  const expected = parsed.shape[0] * parsed.shape[1] * Float64Array.BYTES_PER_ELEMENT;
  if (data.byteLength !== expected) {
    throw new WireError(
      'shape',
      `${parsed.shape.join(' x ')} values are ${expected} bytes, but ${data.byteLength} came`
    );
  }
  // A buffer of a comm message starts anywhere; Float64Array wants a multiple of eight.
  const values =
    data.byteOffset % ALIGNMENT === 0
      ? new Float64Array(data.buffer, data.byteOffset, expected / ALIGNMENT)
      : new Float64Array(data.buffer.slice(data.byteOffset, data.byteOffset + expected));
  return { ...parsed, values };
}

/** Parses the body of `GET chunks`: length, header, padding, values. */
export function parseChunks(body: ArrayBuffer): ChunkPlane {
  if (body.byteLength < LENGTH_BYTES) {
    throw new WireError('', `the reply of ${body.byteLength} bytes has no header`);
  }
  const start = LENGTH_BYTES + new DataView(body).getUint32(0, true);
  if (start > body.byteLength || start % ALIGNMENT !== 0) {
    throw new WireError(
      '',
      `the header ends at byte ${start} of ${body.byteLength}; expected a multiple of ` +
        `${ALIGNMENT} inside the reply`
    );
  }
  const document = new TextDecoder().decode(new Uint8Array(body, LENGTH_BYTES, start - 4));
  let value: unknown;
  try {
    value = JSON.parse(document);
  } catch (error) {
    throw new WireError('', `the header is not JSON (${String(error)})`);
  }
  return parseChunkPlane(value, new Uint8Array(body, start));
}
