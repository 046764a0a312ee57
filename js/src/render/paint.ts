/** Paints a plane of chunks, pixel by pixel. Pure: it knows buffers, not canvases. */

import {
  boxOf,
  cellAtPlace,
  levelOf,
  thin,
  type Box,
  type Cell,
  type Geometry
} from '../model/heatmap';
import type { ChunkPlane } from '../wire/chunks';
import type { ColourMap } from './colours';

/** Cells from this many device pixels on are set apart by a line. */
const GAP_FROM = 5;
/** Distance of the lines that hatch an absent chunk, in device pixels. */
const HATCH = 6;

export interface Palette {
  readonly map: ColourMap;
  /** Between cells, and behind absent ones. */
  readonly background: number;
  /** The lines of absent chunks. */
  readonly hatch: number;
}

/** An image in device pixels, as `ImageData` wants it. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint32Array;
}

/** The geometry in device pixels, its edges on whole ones. */
export function onDevice(geometry: Geometry, ratio: number): Geometry {
  const width = Math.max(Math.round(geometry.width * ratio), 1);
  const height = Math.max(Math.round(geometry.height * ratio), 1);
  return {
    ...geometry,
    width,
    height,
    cellWidth: width / geometry.columns,
    cellHeight: height / geometry.rows
  };
}

/** For each pixel along one side: the cell that it belongs to, or -1 where cells are set apart. */
function divide(pixels: number, cells: number): Int32Array {
  const size = pixels / cells;
  return Int32Array.from({ length: pixels }, (_, pixel) => {
    const cell = Math.min(Math.floor((pixel + 0.5) / size), cells - 1);
    const isLast = Math.floor((pixel + 1.5) / size) > cell;
    return size >= GAP_FROM && isLast ? -1 : cell;
  });
}

/** Paints the cells. `geometry` is in device pixels. */
export function paint(plane: ChunkPlane, geometry: Geometry, palette: Palette): Image {
  const { width, height } = geometry;
  // Where several chunks share a pixel, the largest of them is seen.
  const rows = Math.min(geometry.rows, height);
  const columns = Math.min(geometry.columns, width);
  const thinned = rows < geometry.rows || columns < geometry.columns;
  const values = thinned ? thin(plane, rows, columns) : plane.values;
  const rowOf = divide(height, rows);
  const columnOf = divide(width, columns);
  const colours = Uint32Array.from(values, value => {
    const level = levelOf(value, plane);
    return level === null ? 0 : (palette.map[level] ?? 0);
  });
  const pixels = new Uint32Array(width * height).fill(palette.background);
  for (let y = 0; y < height; y++) {
    const row = rowOf[y] ?? -1;
    if (row < 0) {
      continue;
    }
    for (let x = 0; x < width; x++) {
      const column = columnOf[x] ?? -1;
      const at = row * columns + column;
      // A folded line may end before its last row does.
      if (column < 0 || at >= colours.length) {
        continue;
      }
      const colour = colours[at] ?? 0;
      if (colour !== 0) {
        pixels[y * width + x] = colour;
      } else if ((x + y) % HATCH === 0) {
        pixels[y * width + x] = palette.hatch;
      }
    }
  }
  return { width, height, pixels };
}

/** A line from a point to a point. */
export interface Line {
  readonly from: readonly [x: number, y: number];
  readonly to: readonly [x: number, y: number];
}

/** The edges between chunks of different shards, and around them all. */
export function shardLines(plane: ChunkPlane, geometry: Geometry): Line[] {
  const per = plane.shards_per;
  if (per === null) {
    return [];
  }
  const shardOf = (cell: Cell | null): string =>
    cell === null ? '' : `${Math.floor(cell[0] / per[0])},${Math.floor(cell[1] / per[1])}`;
  const lines: Line[] = [];
  for (let row = 0; row <= geometry.rows; row++) {
    for (let column = 0; column <= geometry.columns; column++) {
      const here = shardOf(cellAtPlace(geometry, row, column));
      const x = column * geometry.cellWidth;
      const y = row * geometry.cellHeight;
      if (here !== shardOf(cellAtPlace(geometry, row - 1, column))) {
        lines.push({ from: [x, y], to: [x + geometry.cellWidth, y] });
      }
      if (here !== shardOf(cellAtPlace(geometry, row, column - 1))) {
        lines.push({ from: [x, y], to: [x, y + geometry.cellHeight] });
      }
    }
  }
  return lines;
}

/** Where a ring around a cell runs; never so small that it cannot be seen. */
export function ringAround(geometry: Geometry, cell: Cell, smallest: number): Box {
  const box = boxOf(geometry, cell);
  const width = Math.max(box.width, smallest);
  const height = Math.max(box.height, smallest);
  return {
    x: box.x - (width - box.width) / 2,
    y: box.y - (height - box.height) / 2,
    width,
    height
  };
}
