import { describe, expect, it } from 'vitest';
import { quantile, ratesBetween, TelemetryModel } from '../../../js/src/model/telemetry';
import { LATENCY_BUCKETS, parseFrame, type Frame, type Totals } from '../../../js/src/wire/comm';
import { golden } from '../wire/golden';

const BLANK = parseFrame(golden('frame').accept[1]);

function frame(
  seq: number,
  t: number,
  totals: Partial<Totals> = {},
  rest: Partial<Frame> = {}
): Frame {
  return { ...BLANK, seq, t, ...rest, totals: { ...BLANK.totals, ...totals } };
}

describe('ratesBetween', () => {
  it('divides the differences by the time between', () => {
    const before = frame(1, 10, { nbytes_fetched: 1000, chunks_read: 5, decode_s: 1 });
    const after = frame(
      2,
      12,
      {
        nbytes_fetched: 5000,
        nbytes_decoded: 9000,
        nbytes_stored: 300,
        chunks_read: 9,
        chunks_written: 4,
        fetch_s: 0.5,
        decode_s: 2
      },
      { in_flight: 3 }
    );
    expect(ratesBetween(before, after)).toEqual({
      fetched: 2000,
      decoded: 4500,
      stored: 150,
      chunksRead: 2,
      chunksWritten: 2,
      fetching: 0.25,
      decoding: 0.5,
      inFlight: 3
    });
  });
});

describe('quantile', () => {
  const counts = (...entries: [number, number][]): number[] => {
    const all = new Array<number>(LATENCY_BUCKETS).fill(0);
    for (const [bucket, count] of entries) {
      all[bucket] = count;
    }
    return all;
  };

  it('is null without counts', () => {
    expect(quantile(counts(), 0.5)).toBeNull();
  });

  it('lies within the bucket that holds it, evenly by logarithm', () => {
    // bucket 10 is [2**-10, 2**-9) seconds
    expect(quantile(counts([10, 8]), 0.5)).toBeCloseTo(2 ** -9.5, 12);
    expect(quantile(counts([10, 8]), 1)).toBeCloseTo(2 ** -9, 12);
    expect(quantile(counts([10, 90], [20, 10]), 0.95)).toBeCloseTo(2 ** 0.5, 12);
    expect(quantile(counts([10, 90], [20, 10]), 0.9)).toBeCloseTo(2 ** -9, 12);
  });
});

describe('the telemetry of a kernel', () => {
  it('takes the first copy of each frame', () => {
    const model = new TelemetryModel();
    let changes = 0;
    model.changed.listen(() => {
      changes += 1;
    });
    expect(model.push(frame(1, 1), 100)).toBe(true);
    expect(model.push(frame(1, 1), 100.01)).toBe(false);
    expect(model.push(frame(3, 2), 101)).toBe(true);
    expect(model.push(frame(2, 1.5), 101.1)).toBe(false);
    expect(changes).toBe(2);
    expect(model.last?.seq).toBe(3);
  });

  it('draws rates in seconds before now', () => {
    const model = new TelemetryModel();
    model.push(frame(1, 5, { nbytes_fetched: 0 }), 100);
    model.push(frame(2, 6, { nbytes_fetched: 4000 }), 101);
    model.push(frame(4, 8, { nbytes_fetched: 5000 }), 103);
    const columns = model.columns(60, 104);
    expect([...columns.t]).toEqual([-4, -3, -1]);
    expect([...columns.fetched]).toEqual([0, 4000, 500]);
  });

  it('keeps one frame before the window, for the line to begin at its edge', () => {
    const model = new TelemetryModel();
    for (let seq = 1; seq <= 10; seq++) {
      model.push(frame(seq, seq), 100 + seq);
    }
    expect([...model.columns(3.5, 110).t]).toEqual([-4, -3, -2, -1, 0]);
    expect([...model.columns(3.5, 200).t]).toEqual([-90]);
  });

  it('loses resolution, not data, when frames are lost', () => {
    const whole = new TelemetryModel();
    const holey = new TelemetryModel();
    for (let seq = 1; seq <= 9; seq++) {
      const next = frame(seq, seq, { nbytes_decoded: seq * seq * 100 });
      whole.push(next, seq);
      if (seq % 4 === 1) {
        holey.push(next, seq);
      }
    }
    const sum = (model: TelemetryModel): number => {
      const { t, decoded } = model.columns(100, 9);
      return decoded.reduce((all, rate, at) => all + rate * ((t[at] ?? 0) - (t[at - 1] ?? 0)), 0);
    };
    expect(sum(holey)).toBeCloseTo(sum(whole), 9);
  });

  it('begins anew when the kernel was restarted, and passes over its late frames', () => {
    const model = new TelemetryModel();
    model.push(frame(8, 50, { nbytes_fetched: 9000 }), 100);
    model.push(frame(9, 51, { nbytes_fetched: 9900 }), 101);
    const fresh = { session: 'another' };
    expect(model.push(frame(1, 0.5, {}, fresh), 102)).toBe(true);
    expect(model.push(frame(10, 52, { nbytes_fetched: 9999 }), 102.1)).toBe(false);
    expect(model.push(frame(2, 1.5, { nbytes_fetched: 100 }, fresh), 103)).toBe(true);
    expect([...model.columns(60, 103).fetched]).toEqual([0, 100]);
  });

  it('keeps the latest frames in a ring', () => {
    const model = new TelemetryModel();
    for (let seq = 1; seq <= 4000; seq++) {
      model.push(frame(seq, seq, { chunks_read: seq * 2 }), seq);
    }
    const { t, chunksRead } = model.columns(1e6, 4000);
    expect(t).toHaveLength(1800);
    expect(t[0]).toBe(-1799);
    expect(t.at(-1)).toBe(0);
    expect(new Set(chunksRead)).toEqual(new Set([2]));
  });

  it('counts the latencies of the window only', () => {
    const model = new TelemetryModel();
    const latency = (count: number): Partial<Frame> => ({
      latency: BLANK.latency.map((_, bucket) => (bucket === 9 ? count : 0))
    });
    model.push(frame(1, 1, {}, latency(5)), 1);
    model.push(frame(2, 2, {}, latency(50)), 2);
    model.push(frame(3, 3, {}, latency(80)), 3);
    expect(model.latency(1.5, 3)[9]).toBe(75);
    expect(model.latency(0.5, 3)[9]).toBe(30);
    expect(model.latency(60, 3)[9]).toBe(75);
    expect(new TelemetryModel().latency(60, 3)).toEqual([]);
  });
});
