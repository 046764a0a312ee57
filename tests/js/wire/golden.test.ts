import { describe, expect, it } from 'vitest';
import { parseChunks } from '../../../js/src/wire/chunks';
import {
  formatOpen,
  formatRenew,
  formatSet,
  isFrame,
  parseFrame,
  parseHello
} from '../../../js/src/wire/comm';
import { WireError } from '../../../js/src/wire/parse';
import {
  parseDetails,
  parseFault,
  parseStats,
  parseStoreList,
  parseTreePage
} from '../../../js/src/wire/server';
import { parseChunkHeatmapTraits, parseTelemetryTraits } from '../../../js/src/wire/traits';
import { fromBase64, golden } from './golden';

type Fields = Record<string, unknown>;

const JSON_MESSAGES: Record<string, (value: unknown) => unknown> = {
  error: parseFault,
  frame: parseFrame,
  hello: parseHello,
  node: parseDetails,
  stats: parseStats,
  stores: parseStoreList,
  tree: parseTreePage
};

describe.each(Object.entries(JSON_MESSAGES))('%s.json', (name, parse) => {
  const { accept, refuse } = golden(name);

  it.each(accept.map((value, index) => [index, value]))('accepts message %i', (_, value) => {
    expect(value).toMatchObject(parse(value) as Fields);
  });

  it.each(refuse.map(({ why, value }) => [why, value]))('refuses %s', (_, value) => {
    expect(() => parse(value)).toThrow(WireError);
  });
});

describe('chunks.json', () => {
  const { accept, refuse } = golden('chunks');

  it.each(accept.map((message, index) => [index, message as Fields]))(
    'accepts reply %i',
    (_, { base64, header, values }) => {
      const plane = parseChunks(fromBase64(base64 as string));
      const { values: parsed, ...rest } = plane;
      expect(header).toMatchObject(rest);
      expect([...parsed]).toEqual((values as number[][]).flat());
    }
  );

  it.each(refuse.map(({ why, base64 }) => [why, base64 as string]))('refuses %s', (_, base64) => {
    expect(() => parseChunks(fromBase64(base64))).toThrow(WireError);
  });
});

describe('messages to the kernel', () => {
  it('are those of the golden files', () => {
    expect(golden('open').accept).toContainEqual(formatOpen(5));
    expect(golden('open').accept).toContainEqual(formatOpen(0.5));
    expect(golden('set').accept).toContainEqual(formatSet(2));
    expect(golden('renew').accept).toEqual([formatRenew()]);
  });
});

describe('isFrame', () => {
  it('knows frames of any version by their mark, and nothing else', () => {
    expect(golden('frame').accept.every(isFrame)).toBe(true);
    expect(isFrame({ zlab: 'frame', v: 99 })).toBe(true);
    for (const other of [null, 'frame', {}, { zlab: 'renew' }, { method: 'update' }]) {
      expect(isFrame(other)).toBe(false);
    }
  });
});

describe('traits of ChunkHeatmap', () => {
  const { accept, refuse } = golden('chunk_heatmap');
  const traits = (value: unknown) => (name: string) => {
    const trait = (value as Fields)[name];
    return name === '_data' ? new DataView(fromBase64(trait as string)) : trait;
  };

  it.each(accept.map((value, index) => [index, value as Fields]))('accepts set %i', (_, value) => {
    const parsed = parseChunkHeatmapTraits(traits(value));
    expect(parsed.title).toBe(value['title']);
    expect(parsed.selected).toEqual(value['selected']);
    const bytes = new Uint8Array(parsed.plane.values.buffer);
    expect(Buffer.from(bytes).toString('base64')).toBe(value['_data']);
  });

  it.each(refuse.map(({ why, value }) => [why, value]))('refuses %s', (_, value) => {
    expect(() => parseChunkHeatmapTraits(traits(value))).toThrow(WireError);
  });

  it('takes bytes that begin anywhere', () => {
    const value = accept[0] as Fields;
    const payload = new Uint8Array(fromBase64(value['_data'] as string));
    const shifted = new Uint8Array(payload.byteLength + 3);
    shifted.set(payload, 3);
    const { plane } = parseChunkHeatmapTraits(name =>
      name === '_data' ? new DataView(shifted.buffer, 3) : value[name]
    );
    expect([...plane.values]).toEqual([32, 32, -1, 32, -1, -1, 32, 32, -1]);
  });

  it('refuses what is not bytes', () => {
    expect(() => parseChunkHeatmapTraits(() => null)).toThrow('_data: expected bytes');
  });
});

describe('traits of Telemetry', () => {
  const { accept, refuse } = golden('telemetry');
  const traits = (value: unknown) => (name: string) => (value as Fields)[name];

  it.each(accept.map((value, index) => [index, value as Fields]))('accepts set %i', (_, value) => {
    const parsed = parseTelemetryTraits(traits(value));
    expect(value['_frame']).toMatchObject(parsed.frame);
    expect(parsed.window_s).toBe(value['window_s']);
  });

  it.each(refuse.map(({ why, value }) => [why, value]))('refuses %s', (_, value) => {
    expect(() => parseTelemetryTraits(traits(value))).toThrow(WireError);
  });
});
