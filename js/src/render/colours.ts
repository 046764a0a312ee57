import { HIGHEST_LEVEL } from '../model/heatmap';
import type { Rgb } from './theme';

/** Sixteen even steps of a colour map; what lies between is interpolated. */
const STEPS = {
  // matplotlib's viridis and cividis: even in lightness, and apart for the colour-blind
  viridis:
    '440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e ' +
    '1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725',
  cividis:
    '00224e 002e6c 1e3a6f 35456c 47516c 575d6d 666970 757575 ' +
    '848279 948e77 a59c74 b7a96e c8b866 dbc75a eed649 fee838',
  grey:
    '2b2b2b 383838 454545 525252 5f5f5f 6c6c6c 797979 868686 ' +
    '939393 a0a0a0 adadad bababa c7c7c7 d4d4d4 e1e1e1 eeeeee'
} as const;

export type ColourMapName = keyof typeof STEPS;
export const COLOUR_MAPS = Object.keys(STEPS) as ColourMapName[];

/** A colour for each level, ready for the buffer of an `ImageData`. */
export type ColourMap = Uint32Array;

/** A pixel as it lies in an `ImageData`. */
export function packColour([red, green, blue]: Rgb): number {
  return (
    ((255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0
  );
}

function parseHex(text: string): Rgb {
  const value = parseInt(text, 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

function mix(from: Rgb, to: Rgb, share: number): Rgb {
  const [red, green, blue] = from;
  return [
    red + (to[0] - red) * share,
    green + (to[1] - green) * share,
    blue + (to[2] - blue) * share
  ];
}

const tables = new Map<ColourMapName, ColourMap>();

export function colourMap(name: ColourMapName): ColourMap {
  const known = tables.get(name);
  if (known !== undefined) {
    return known;
  }
  const stops = STEPS[name].split(' ').map(parseHex);
  const table = Uint32Array.from({ length: HIGHEST_LEVEL + 1 }, (_, level) => {
    const at = (level / HIGHEST_LEVEL) * (stops.length - 1);
    const below = Math.min(Math.floor(at), stops.length - 2);
    const from = stops[below] ?? [0, 0, 0];
    return packColour(mix(from, stops[below + 1] ?? from, at - below));
  });
  tables.set(name, table);
  return table;
}
