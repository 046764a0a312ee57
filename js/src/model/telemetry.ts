import type { Frame, Totals } from '../wire/comm';
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

/** Columns for a plot, oldest first. */
export type Columns = Readonly<Record<keyof Rates | 't', Float64Array>>;

/** Of a first frame, which has nothing to be compared with. */
const NO_RATES: Rates = {
  fetched: 0,
  decoded: 0,
  stored: 0,
  chunksRead: 0,
  chunksWritten: 0,
  fetching: 0,
  decoding: 0,
  inFlight: 0
};

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

interface Sample {
  readonly frame: Frame;
  readonly rates: Rates;
}

/**
 * What one kernel has told so far, as frames and their differences.
 *
 * The kernel sends sums, so a frame that is lost costs resolution and nothing else. The same frame
 * may come more than once, as one for each page that looks.
 */
export class TelemetryModel {
  readonly changed = new Signal();
  readonly #samples: Sample[] = [];
  readonly #finished = new Set<string>();
  /** The session's clock when the page's clock was at zero. */
  #offset = 0;

  /** The last frame, if one has come. */
  get last(): Frame | null {
    return this.#samples.at(-1)?.frame ?? null;
  }

  /**
   * Takes a frame.
   *
   * @param now - The page's clock in seconds, the same for every call.
   * @returns Whether it was new.
   */
  push(frame: Frame, now: number): boolean {
    const { last } = this;
    const isFirst = last?.session !== frame.session;
    if (isFirst ? this.#finished.has(frame.session) : frame.seq <= last.seq || frame.t <= last.t) {
      return false; // a copy, or a late one of a kernel that was restarted
    }
    if (isFirst && last !== null) {
      this.#finished.add(last.session);
      this.#samples.length = 0;
    }
    this.#samples.push({ frame, rates: isFirst ? NO_RATES : ratesBetween(last, frame) });
    if (this.#samples.length > CAPACITY) {
      this.#samples.shift();
    }
    this.#offset = frame.t - now;
    this.changed.emit();
    return true;
  }

  /** What a plot of the last `window_s` seconds shows, with `t` in seconds before now. */
  columns(window_s: number, now: number): Columns {
    const samples = this.#since(window_s, now);
    const end = now + this.#offset;
    const column = (name: keyof Rates): Float64Array =>
      Float64Array.from(samples, ({ rates }) => rates[name]);
    return {
      t: Float64Array.from(samples, ({ frame }) => frame.t - end),
      fetched: column('fetched'),
      decoded: column('decoded'),
      stored: column('stored'),
      chunksRead: column('chunksRead'),
      chunksWritten: column('chunksWritten'),
      fetching: column('fetching'),
      decoding: column('decoding'),
      inFlight: column('inFlight')
    };
  }

  /** Counts of chunk latencies of the last `window_s` seconds. */
  latency(window_s: number, now: number): number[] {
    const before = this.#since(window_s, now)[0]?.frame.latency;
    return (this.last?.latency ?? []).map((count, bucket) => count - (before?.[bucket] ?? 0));
  }

  /** The samples of the last seconds, and one before, for lines to begin at the edge. */
  #since(window_s: number, now: number): Sample[] {
    const edge = now + this.#offset - window_s;
    const before = this.#samples.findLastIndex(({ frame }) => frame.t <= edge);
    return this.#samples.slice(Math.max(before, 0));
  }
}
