/** Replies of the server extension: see `docs/wire.md`, "Server". Names are the protocol's. */

import {
  amount,
  anything,
  fields,
  list,
  message,
  nullable,
  oneOf,
  text,
  truth,
  where,
  whole,
  type Parsed
} from './parse';

const nodeKind = oneOf('group', 'array');
const zarrFormat = oneOf(2, 3);
const shape = list(whole);

const fault = message({ message: text, reason: text, hint: nullable(text) });

/** Why something could not be done, and what to do next. */
export type Fault = Parsed<typeof fault>;

const store = fields({
  id: text,
  name: text,
  path: text,
  kind: oneOf('found', 'added'),
  node: nodeKind,
  zarr_format: zarrFormat
});

/** A store below the server's root; `id` is what a request takes as `store`. */
export type Store = Parsed<typeof store>;

const storeList = message({ root: text, stores: list(store), truncated: truth });
export type StoreList = Parsed<typeof storeList>;

const node = fields({
  path: text,
  name: text,
  kind: nodeKind,
  zarr_format: zarrFormat,
  shape: nullable(shape),
  dtype: nullable(text),
  error: nullable(fault)
});

/** One row of the tree. With `error` its metadata could not be read. */
export type Node = Parsed<typeof node>;

const treePage = message({
  store: text,
  path: text,
  nodes: list(node),
  next: nullable(whole),
  total: whole,
  consolidated: truth
});

/** A page of a group's children; `next` is the offset of the page after it. */
export type TreePage = Parsed<typeof treePage>;

const codec = fields({
  name: text,
  kind: oneOf('array-array', 'array-bytes', 'bytes-bytes'),
  configuration: anything,
  summary: text
});
export type Codec = Parsed<typeof codec>;

const arrayDetails = where(
  fields({
    shape,
    dtype: text,
    chunks: shape,
    shards: nullable(shape),
    order: oneOf('C', 'F'),
    dimension_names: nullable(list(nullable(text))),
    fill_value: text,
    codecs: list(codec),
    nchunks: whole,
    chunk_grid_shape: shape,
    nbytes: amount
  }),
  array =>
    [array.chunks, array.chunk_grid_shape, array.shards, array.dimension_names].every(
      axes => axes === null || axes.length === array.shape.length
    ),
  'as many chunk lengths, shard lengths and names as the shape has axes'
);

/** `chunks` is the inner chunk of a sharded array; `shards` the shape of a shard. */
export type ArrayDetails = Parsed<typeof arrayDetails>;

const details = where(
  message({
    store: text,
    path: text,
    name: text,
    kind: nodeKind,
    zarr_format: zarrFormat,
    attributes: anything,
    metadata: anything,
    array: nullable(arrayDetails)
  }),
  parsed => (parsed.kind === 'array') === (parsed.array !== null),
  'the fields of an array for an array, and none for a group'
);
export type Details = Parsed<typeof details>;

const stats = message({
  store: text,
  path: text,
  nchunks: whole,
  nchunks_stored: whole,
  nbytes: amount,
  nbytes_stored: amount
});

/** What an array takes in its store; comes from a listing. */
export type Stats = Parsed<typeof stats>;

export const parseFault = (value: unknown): Fault => fault(value, '');
export const parseStoreList = (value: unknown): StoreList => storeList(value, '');
export const parseTreePage = (value: unknown): TreePage => treePage(value, '');
export const parseDetails = (value: unknown): Details => details(value, '');
export const parseStats = (value: unknown): Stats => stats(value, '');
