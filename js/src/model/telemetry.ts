import { LATENCY_BUCKETS, type Frame, type Totals } from '../wire/comm';
import { Signal } from './signal';

/** The clock that frames are received and drawn by: seconds since the page began. */
export function pageClock(): number {
  return performance.now() / 1000;
}

/** Frames kept: six minutes at five a second. */
const CAPACITY = 1800;

/** What is drawn over time. Each value is the mean since the frame before. */
export interface Rates {
  /** Stored bytes read, per second. */
  readonly fetched: number;
  /** Bytes that came out of the codecs, per second. */
  readonly decoded: number;
  /** Stored bytes written, per second. */
  readonly stored: number;
  /** Chunks per second. */
  readonly chunksRead: number;
  readonly chunksWritten: number;
  /** Seconds spent fetching, per second: how many fetches ran at once. */
  readonly fetching: number;
  /** Seconds spent decoding, per second: how many decodes ran at once. */
  readonly decoding: number;
  /** Chunks under way when the frame was made. */
  readonly inFlight: number;
}

const RATES = [
  'fetched',
  'decoded',
  'stored',
  'chunksRead',
  'chunksWritten',
  'fetching',
  'decoding',
  'inFlight'
] as const satisfies readonly (keyof Rates)[];

/** Columns for a plot, oldest first. */
export type Columns = Readonly<Record<keyof Rates | 't', Float64Array>>;

/** The rates between two frames of a session. */
export function ratesBetween(before: Frame, after: Frame): Rates {
  const span = after.t - before.t;
  const rate = (name: keyof Totals): number => (after.totals[name] - before.totals[name]) / span;
  return {
    fetched: rate('nbytes_fetched'),
    decoded: rate('nbytes_decoded'),
    stored: rate('nbytes_stored'),
    chunksRead: rate('chunks_read'),
    chunksWritten: rate('chunks_written'),
    fetching: rate('fetch_s'),
    decoding: rate('decode_s'),
    inFlight: after.in_flight
  };
}

/** The latency in seconds that a share of the counted reads stay below; null without any. */
export function quantile(counts: Iterable<number>, share: number): number | null {
  const buckets = [...counts];
  let left = share * buckets.reduce((sum, count) => sum + count, 0);
  for (const [bucket, count] of buckets.entries()) {
    if (count > 0 && left <= count) {
      // Within a bucket the logarithm is taken to be even.
      return 2 ** (bucket - 20 + left / count);
    }
    left -= count;
  }
  return null;
}

/**
 * What one kernel has told so far: a ring of frames, their differences as rates.
 *
 * The kernel sends sums, so a frame that is lost costs resolution and nothing else. The same frame
 * may come more than once, as one for each page that looks.
 */
export class TelemetryModel {
  readonly changed = new Signal();
  readonly #columns = new Map(
    [...RATES, 't' as const].map(name => [name, new Float64Array(CAPACITY)])
  );
  readonly #latency: (readonly number[])[] = [];
  readonly #finished = new Set<string>();
  #count = 0;
  #last: Frame | null = null;
  /** The session's clock when the page's clock was at zero. */
  #offset = 0;

  /** The last frame, if one has come. */
  get last(): Frame | null {
    return this.#last;
  }

  /**
   * Takes a frame.
   *
   * @param now - The page's clock in seconds, the same for every call.
   * @returns Whether it was new.
   */
  push(frame: Frame, now: number): boolean {
    const before = this.#last;
    if (before !== null && before.session !== frame.session) {
      if (this.#finished.has(frame.session)) {
        return false; // a late one of a kernel that was restarted
      }
      this.#finished.add(before.session);
      this.#count = 0;
      this.#last = null;
    } else if (before !== null && (frame.seq <= before.seq || frame.t <= before.t)) {
      return false;
    }
    this.#record(frame, this.#last === null ? null : ratesBetween(this.#last, frame));
    this.#last = frame;
    this.#offset = frame.t - now;
    this.changed.emit();
    return true;
  }

  /** What a plot of the last `window_s` seconds shows, with `t` in seconds before now. */
  columns(window_s: number, now: number): Columns {
    const end = now + this.#offset;
    const stored = Math.min(this.#count, CAPACITY);
    const t = this.#columns.get('t') ?? new Float64Array(0);
    let first = this.#count - stored;
    while (first < this.#count - 1 && (t[(first + 1) % CAPACITY] ?? 0) < end - window_s) {
      first++; // one frame before the window stays, for the line to begin at its edge
    }
    const length = this.#count - first;
    const cut = (name: keyof Rates | 't'): Float64Array => {
      const column = this.#columns.get(name);
      return Float64Array.from({ length }, (_, at) => column?.[(first + at) % CAPACITY] ?? 0);
    };
    const columns = Object.fromEntries(RATES.map(name => [name, cut(name)])) as Record<
      keyof Rates,
      Float64Array
    >;
    return { ...columns, t: cut('t').map(value => value - end) };
  }

  /** Counts of chunk latencies of the last `window_s` seconds. */
  latency(window_s: number, now: number): Float64Array {
    const counts = new Float64Array(LATENCY_BUCKETS);
    const end = now + this.#offset;
    const t = this.#columns.get('t');
    const oldest = Math.max(this.#count - CAPACITY, 0);
    let first = this.#count - 1;
    while (first > oldest && (t?.[first % CAPACITY] ?? 0) > end - window_s) {
      first--;
    }
    const before = this.#latency[first % CAPACITY];
    const after = this.#last?.latency;
    return counts.map((_, bucket) => (after?.[bucket] ?? 0) - (before?.[bucket] ?? 0));
  }

  #record(frame: Frame, rates: Rates | null): void {
    const at = this.#count % CAPACITY;
    for (const name of RATES) {
      const column = this.#columns.get(name);
      if (column !== undefined) {
        column[at] = rates?.[name] ?? 0;
      }
    }
    const t = this.#columns.get('t');
    if (t !== undefined) {
      t[at] = frame.t;
    }
    this.#latency[at] = frame.latency;
    this.#count++;
  }
}
