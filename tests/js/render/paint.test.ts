import { describe, expect, it } from 'vitest';
import { layOut } from '../../../js/src/model/heatmap';
import {
  onDevice,
  paint,
  ringAround,
  shardLines,
  type Palette
} from '../../../js/src/render/paint';
import { plane } from '../plane';

/** Levels as colours above 1000, so that each can be told. */
const PALETTE: Palette = {
  map: Uint32Array.from({ length: 256 }, (_, level) => 1000 + level),
  background: 1,
  hatch: 2
};

const rowsOf = ({ width, pixels }: { width: number; pixels: Uint32Array }): number[][] =>
  Array.from({ length: pixels.length / width }, (_, row) => [
    ...pixels.slice(row * width, (row + 1) * width)
  ]);

describe('paint', () => {
  it('fills small cells whole', () => {
    const geometry = { ...layOut([2, 2], 4, 4), cellWidth: 2, cellHeight: 2, width: 4, height: 4 };
    const image = paint(
      plane([
        [0, 10],
        [10, 0]
      ]),
      geometry,
      PALETTE
    );
    expect(rowsOf(image)).toEqual([
      [1000, 1000, 1255, 1255],
      [1000, 1000, 1255, 1255],
      [1255, 1255, 1000, 1000],
      [1255, 1255, 1000, 1000]
    ]);
  });

  it('sets large cells apart by a line', () => {
    const geometry = layOut([1, 2], 12, 6);
    const [row] = rowsOf(paint(plane([[0, 10]]), geometry, PALETTE));
    expect(row).toEqual([1000, 1000, 1000, 1000, 1000, 1, 1255, 1255, 1255, 1255, 1255, 1]);
    const last = rowsOf(paint(plane([[0, 10]]), geometry, PALETTE)).at(-1);
    expect(new Set(last)).toEqual(new Set([1]));
  });

  it('hatches absent chunks, so that they differ from small ones', () => {
    const geometry = { ...layOut([1, 1], 28, 28), width: 28, height: 28 };
    const absent = paint(plane([[-1]], { min: 0, max: 9 }), geometry, PALETTE);
    expect(new Set(absent.pixels)).toEqual(new Set([1, 2]));
    const small = paint(plane([[0]], { min: 0, max: 9 }), geometry, PALETTE);
    expect(new Set(small.pixels)).toEqual(new Set([1, 1000]));
  });

  it('shows the largest of the chunks that share a pixel', () => {
    const values = Array.from({ length: 100 }, (_, row) =>
      Array.from({ length: 100 }, (_, column) => (row === 37 && column === 81 ? 9 : 1))
    );
    const geometry = layOut([100, 100], 20, 20);
    const image = paint(plane(values), onDevice(geometry, 1), PALETTE);
    expect([image.width, image.height]).toEqual([20, 20]);
    const bright = [...image.pixels].flatMap((pixel, at) => (pixel === 1255 ? [at] : []));
    expect(bright).toEqual([7 * 20 + 16]);
  });

  it('leaves the end of a folded line empty', () => {
    const geometry = layOut([1, 500], 100, 100);
    const image = paint(plane([new Array<number>(500).fill(3)]), onDevice(geometry, 1), PALETTE);
    expect(image.pixels[0]).toBe(1127);
    expect(image.pixels.at(-1)).toBe(1);
  });

  it('paints a million chunks', () => {
    const values = new Float64Array(1_000_000).fill(5);
    const large = { ...plane([[5]]), shape: [1000, 1000] as const, values };
    const image = paint(large, onDevice(layOut([1000, 1000], 280, 280), 2), PALETTE);
    expect(image.pixels).toHaveLength(560 * 560);
    expect(new Set(image.pixels)).toEqual(new Set([1127]));
  });
});

describe('shardLines', () => {
  it('go around each shard', () => {
    const sharded = plane(
      [
        [1, 1, 1],
        [1, 1, 1]
      ],
      { shards_per: [2, 2] }
    );
    const geometry = { ...layOut([2, 3], 30, 20), cellWidth: 10, cellHeight: 10 };
    const lines = shardLines(sharded, geometry).map(({ from, to }) => [...from, ...to].join(' '));
    const top = ['0 0 10 0', '10 0 20 0', '20 0 30 0'];
    const bottom = ['0 20 10 20', '10 20 20 20', '20 20 30 20'];
    const upright = [0, 20, 30].flatMap(x => [`${x} 0 ${x} 10`, `${x} 10 ${x} 20`]);
    expect(new Set(lines)).toEqual(new Set([...top, ...bottom, ...upright]));
    expect(lines).toHaveLength(12);
  });

  it('are none without shards', () => {
    expect(shardLines(plane([[1]]), layOut([1, 1], 10, 10))).toEqual([]);
  });
});

describe('ringAround', () => {
  it('is never too small to be seen', () => {
    const geometry = layOut([200, 200], 200, 200);
    expect(ringAround(geometry, [10, 20], 7)).toEqual({ x: 17, y: 7, width: 7, height: 7 });
    const large = layOut([2, 2], 200, 200);
    expect(ringAround(large, [1, 0], 7)).toEqual({ x: 0, y: 28, width: 28, height: 28 });
  });
});
