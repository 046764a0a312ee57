/** Messages between a kernel and this page: see `docs/wire.md`, "Kernel to page". */

import {
  amount,
  fields,
  list,
  message,
  oneOf,
  text,
  where,
  whole,
  WIRE_VERSION,
  type Parsed
} from './parse';

/** The kernel opens this one to say that zlab records there. */
export const HELLO_TARGET = 'zlab.hello';
/** The page opens this one; frames come back on it. */
export const TELEMETRY_TARGET = 'zlab.telemetry';

/** Bucket `i` of a latency histogram begins at `2 ** (i - 20)` seconds. */
export const LATENCY_BUCKETS = 24;
const MOST_BUSIEST = 8;

const hello = message({ session: text });
export type Hello = Parsed<typeof hello>;

const totals = fields({
  chunks_read: whole,
  chunks_absent: whole,
  chunks_written: whole,
  nbytes_fetched: whole,
  nbytes_decoded: whole,
  nbytes_encoded: whole,
  nbytes_stored: whole,
  fetch_s: amount,
  decode_s: amount,
  encode_s: amount,
  store_s: amount,
  cache_hits: whole,
  cache_misses: whole,
  retries: whole,
  errors: whole,
  streams_started: whole,
  streams_stopped: whole
});

/** Sums since the session began. `fetched` and `stored` count stored bytes. */
export type Totals = Parsed<typeof totals>;

const busy = fields({ store: text, path: text, chunks: whole, nbytes: whole });
export type BusyArray = Parsed<typeof busy>;

const frame = message({
  zlab: oneOf('frame'),
  session: text,
  seq: whole,
  t: amount,
  source: text,
  totals,
  in_flight: whole,
  latency: where(
    list(whole),
    counts => counts.length === LATENCY_BUCKETS,
    `${LATENCY_BUCKETS} counts`
  ),
  top: where(list(busy), arrays => arrays.length <= MOST_BUSIEST, `at most ${MOST_BUSIEST}`)
});

/** What a kernel has done so far. Differences of two frames are rates. */
export type Frame = Parsed<typeof frame>;

export const parseHello = (value: unknown): Hello => hello(value, '');
export const parseFrame = (value: unknown): Frame => frame(value, '');

/** Tells zlab's frames from other comm messages without parsing them. */
export function isFrame(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'zlab' in data && data.zlab === 'frame';
}

type Outgoing =
  | { readonly zlab: 'open' | 'set'; readonly v: number; readonly hz: number }
  | { readonly zlab: 'renew'; readonly v: number };

export const formatOpen = (hz: number): Outgoing => ({ zlab: 'open', v: WIRE_VERSION, hz });
export const formatSet = (hz: number): Outgoing => ({ zlab: 'set', v: WIRE_VERSION, hz });
export const formatRenew = (): Outgoing => ({ zlab: 'renew', v: WIRE_VERSION });
