import type { ChunkPlane } from '../wire/chunks';
import { Signal } from './signal';

/** A row and a column of a plane. */
export type Cell = readonly [row: number, column: number];

/** Cells are not drawn larger than this, in pixels. */
export const LARGEST_CELL = 28;
/** A cell is not drawn this many times longer than it is wide. */
const LONGEST_CELL = 3;
/** A line of chunks is folded when its cells would be narrower than this. */
const FOLD_BELOW = 8;

/** Where the cells of a plane are drawn, in pixels. */
export interface Geometry {
  readonly shape: Cell;
  /** Cells in a row of the drawing: `shape[1]`, but where a line of chunks is folded. */
  readonly columns: number;
  readonly rows: number;
  readonly cellWidth: number;
  readonly cellHeight: number;
  readonly width: number;
  readonly height: number;
}

/** Fits a plane into a box. A single line of chunks is folded like text. */
export function layOut(shape: Cell, width: number, height: number): Geometry {
  const [planeRows, planeColumns] = shape;
  let columns = Math.max(planeColumns, 1);
  let rows = Math.max(planeRows, 1);
  if (planeRows === 1 && width / columns < FOLD_BELOW) {
    // The largest square cells with which all rows still fit.
    const cell = Math.max(Math.floor(Math.sqrt((width * height) / planeColumns)), 1);
    columns = Math.min(Math.max(Math.floor(width / Math.min(cell, FOLD_BELOW)), 1), planeColumns);
    rows = Math.ceil(planeColumns / columns);
  }
  const widest = Math.min(width / columns, LARGEST_CELL);
  const tallest = Math.min(height / rows, LARGEST_CELL);
  const cellWidth = Math.min(widest, Math.max(tallest * LONGEST_CELL, 1));
  const cellHeight = Math.min(tallest, Math.max(widest * LONGEST_CELL, 1));
  return {
    shape,
    columns,
    rows,
    cellWidth,
    cellHeight,
    width: cellWidth * columns,
    height: cellHeight * rows
  };
}

/** The cell drawn at a place of the drawing, which counts in rows and columns of its own. */
export function cellAtPlace(geometry: Geometry, row: number, column: number): Cell | null {
  if (row < 0 || column < 0 || row >= geometry.rows || column >= geometry.columns) {
    return null;
  }
  if (geometry.columns === geometry.shape[1]) {
    return row < geometry.shape[0] ? [row, column] : null;
  }
  const along = row * geometry.columns + column;
  return along < geometry.shape[1] ? [0, along] : null;
}

/** The cell under a point, or null. */
export function cellAt(geometry: Geometry, x: number, y: number): Cell | null {
  return cellAtPlace(
    geometry,
    Math.floor(y / geometry.cellHeight),
    Math.floor(x / geometry.cellWidth)
  );
}

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Where a cell is drawn. */
export function boxOf(geometry: Geometry, [row, column]: Cell): Box {
  const folded = geometry.columns !== geometry.shape[1];
  const [placeRow, placeColumn] = folded
    ? [Math.floor(column / geometry.columns), column % geometry.columns]
    : [row, column];
  const { cellWidth: width, cellHeight: height } = geometry;
  return { x: placeColumn * width, y: placeRow * height, width, height };
}

/** Colours of a map: a level goes from 0 to this. */
export const HIGHEST_LEVEL = 255;

/** Which colour a stored size has; null for an absent chunk. */
export function levelOf(value: number, plane: Pick<ChunkPlane, 'min' | 'max'>): number | null {
  if (value < 0 || plane.min === null || plane.max === null) {
    return null;
  }
  if (plane.min === plane.max) {
    return HIGHEST_LEVEL >> 1;
  }
  const share = (value - plane.min) / (plane.max - plane.min);
  return Math.round(Math.min(Math.max(share, 0), 1) * HIGHEST_LEVEL);
}

/**
 * The plane with as many cells as can be told apart: each keeps the largest size among the chunks
 * it stands for, and is absent only if all of them are.
 */
export function thin(plane: ChunkPlane, rows: number, columns: number): Float64Array {
  const [planeRows, planeColumns] = plane.shape;
  const thinned = new Float64Array(rows * columns).fill(-1);
  for (let row = 0; row < planeRows; row++) {
    const target = Math.floor((row * rows) / planeRows) * columns;
    const source = row * planeColumns;
    for (let column = 0; column < planeColumns; column++) {
      const at = target + Math.floor((column * columns) / planeColumns);
      const value = plane.values[source + column] ?? -1;
      if (value > (thinned[at] ?? -1)) {
        thinned[at] = value;
      }
    }
  }
  return thinned;
}

/** Coordinates, on every axis of the chunk grid, of a cell. */
export function coordinatesOf(plane: ChunkPlane, [row, column]: Cell): number[] {
  const coordinates = [...plane.index];
  const [first, second] = plane.axes;
  if (second !== undefined && first !== undefined) {
    coordinates[first] = row;
    coordinates[second] = column;
  } else if (first !== undefined) {
    coordinates[first] = column;
  }
  return coordinates;
}

/** The cell of a chunk; null if the chunk is not on the plane. */
export function cellOf(plane: ChunkPlane, coordinates: readonly number[]): Cell | null {
  if (coordinates.length !== plane.index.length) {
    return null;
  }
  const drawn = plane.axes.map(axis => coordinates[axis] ?? 0);
  const cell: Cell = plane.axes.length === 2 ? [drawn[0] ?? 0, drawn[1] ?? 0] : [0, drawn[0] ?? 0];
  const back = coordinatesOf(plane, cell);
  const inside = cell[0] < plane.shape[0] && cell[1] < plane.shape[1];
  return inside && back.every((at, axis) => at === coordinates[axis]) ? cell : null;
}

/** A plane this many times longer than it is wide is laid on its side: there is more room. */
const UPRIGHT = 4;

/**
 * The axes of a chunk grid to be drawn as rows and columns, as long as nobody chose others: the two
 * with the most chunks.
 */
export function chooseAxes(chunkGridShape: readonly number[]): number[] {
  const most = chunkGridShape
    .map((length, axis) => ({ length, axis }))
    .sort((a, b) => b.length - a.length || b.axis - a.axis)
    .slice(0, 2)
    .sort((a, b) => a.axis - b.axis);
  const [rows, columns] = most;
  const tall =
    rows !== undefined && columns !== undefined && rows.length > UPRIGHT * columns.length;
  return (tall ? most.reverse() : most).map(({ axis }) => axis);
}

const STEPS: Readonly<Record<string, Cell>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1]
};

/** What is drawn of an array's chunks, and which of them the user looks at. */
export class HeatmapModel {
  readonly changed = new Signal();
  /** Tells of the user's own choice only. */
  readonly chosen = new Signal<readonly number[]>();
  #plane: ChunkPlane | null = null;
  #hovered: Cell | null = null;
  #selected: Cell | null = null;

  get plane(): ChunkPlane | null {
    return this.#plane;
  }

  get hovered(): Cell | null {
    return this.#hovered;
  }

  get selected(): Cell | null {
    return this.#selected;
  }

  /** Draws a plane of another array. */
  setPlane(plane: ChunkPlane | null, selected: readonly number[] = []): void {
    this.#plane = plane;
    this.#hovered = null;
    this.#selected = plane !== null && selected.length > 0 ? cellOf(plane, selected) : null;
    this.changed.emit();
  }

  /** Draws another plane of the same array; the place that is selected stays so. */
  movePlane(plane: ChunkPlane): void {
    const before = this.#plane;
    const selected = this.#selected;
    if (before === null || selected === null) {
      this.setPlane(plane);
      return;
    }
    const coordinates = coordinatesOf(before, selected).map((at, axis) =>
      plane.axes.includes(axis) ? at : (plane.index[axis] ?? 0)
    );
    this.setPlane(plane, coordinates);
  }

  hover(cell: Cell | null): void {
    if (cell?.[0] !== this.#hovered?.[0] || cell?.[1] !== this.#hovered?.[1]) {
      this.#hovered = cell;
      this.changed.emit();
    }
  }

  select(cell: Cell | null): void {
    this.#selected = cell;
    this.changed.emit();
    if (this.#plane !== null) {
      this.chosen.emit(cell === null ? [] : coordinatesOf(this.#plane, cell));
    }
  }

  /**
   * Moves the selection by a key.
   *
   * @returns Whether the key means something here.
   */
  press(key: string, columns: number): boolean {
    if (this.#plane === null) {
      return false;
    }
    const [rows, width] = this.#plane.shape;
    const [row, column] = this.#selected ?? [0, 0];
    const clamp = (at: number, length: number): number => Math.min(Math.max(at, 0), length - 1);
    const step = STEPS[key];
    if (key === 'Escape' && this.#selected !== null) {
      this.select(null);
    } else if (key === 'Home') {
      this.select([row, 0]);
    } else if (key === 'End') {
      this.select([row, width - 1]);
    } else if (step === undefined) {
      return false;
    } else if (this.#selected === null) {
      this.select([0, 0]);
    } else if (rows === 1) {
      // A folded line: up and down go by a drawn row.
      this.select([0, clamp(column + step[1] + step[0] * columns, width)]);
    } else {
      this.select([clamp(row + step[0], rows), clamp(column + step[1], width)]);
    }
    return true;
  }
}
