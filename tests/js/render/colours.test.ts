import { describe, expect, it } from 'vitest';
import { COLOUR_MAPS, colourMap, packColour } from '../../../js/src/render/colours';
import { formatColour, parseColour } from '../../../js/src/render/theme';

const channels = (pixel: number): number[] => [
  pixel & 255,
  (pixel >> 8) & 255,
  (pixel >> 16) & 255
];

describe('a colour map', () => {
  it('has a colour for each level, and viridis begins and ends as it should', () => {
    const map = colourMap('viridis');
    expect(map).toHaveLength(256);
    expect(channels(map[0] ?? 0)).toEqual([0x44, 0x01, 0x54]);
    expect(channels(map[255] ?? 0)).toEqual([0xfd, 0xe7, 0x25]);
    expect(channels(map[119] ?? 0)).toEqual([0x23, 0x88, 0x8e]);
  });

  it.each(COLOUR_MAPS)('%s goes from dark to light, and is opaque', name => {
    const lightness = Array.from(colourMap(name), pixel => {
      const [red = 0, green = 0, blue = 0] = channels(pixel);
      expect(pixel >>> 24).toBe(255);
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    });
    const steps = lightness.slice(1).map((value, at) => value - (lightness[at] ?? 0));
    // Each channel is rounded for itself.
    expect(Math.min(...steps)).toBeGreaterThan(-1);
    expect((lightness.at(-1) ?? 0) - (lightness[0] ?? 0)).toBeGreaterThan(150);
  });
});

describe('colours', () => {
  it('are packed as they lie in an image', () => {
    const bytes = new Uint8Array(Uint32Array.of(packColour([1, 2, 3])).buffer);
    expect([...bytes]).toEqual([1, 2, 3, 255]);
  });

  it.each([
    ['rgb(1, 2, 3)', [1, 2, 3]],
    ['rgba(10, 20, 30, 0.5)', [10, 20, 30]],
    ['color(srgb 0 1 0.2)', [0, 255, 51]],
    ['color(display-p3 1 0 0)', null],
    ['', null]
  ])('are parsed from %j', (text, colour) => {
    expect(parseColour(text)).toEqual(colour);
  });

  it('are written with their opacity', () => {
    expect(formatColour([1.4, 2.6, 3], 0.5)).toBe('rgba(1, 3, 3, 0.5)');
  });
});
