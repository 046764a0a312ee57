/** Traits of the anywidget classes: see `docs/wire.md`, "Widgets". */

import { parseChunkPlane, type ChunkPlane } from './chunks';
import { parseFrame, type Frame } from './comm';
import { list, positive, text, whole, WireError } from './parse';

/** A trait by its name, as anywidget's model hands it out. */
export type Traits = (name: string) => unknown;

export interface ChunkHeatmapTraits {
  readonly plane: ChunkPlane;
  readonly title: string;
  /** Coordinates of the chosen chunk, or none. */
  readonly selected: readonly number[];
}

export function parseChunkHeatmapTraits(get: Traits): ChunkHeatmapTraits {
  const data = get('_data');
  if (!ArrayBuffer.isView(data)) {
    throw new WireError('_data', 'expected bytes');
  }
  return {
    plane: parseChunkPlane(get('_header'), data),
    title: text(get('title'), 'title'),
    selected: list(whole)(get('selected'), 'selected')
  };
}

export interface TelemetryTraits {
  readonly frame: Frame;
  readonly window_s: number;
}

export function parseTelemetryTraits(get: Traits): TelemetryTraits {
  return {
    frame: parseFrame(get('_frame')),
    window_s: positive(get('window_s'), 'window_s')
  };
}
