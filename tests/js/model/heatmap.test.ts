import { describe, expect, it } from 'vitest';
import {
  boxOf,
  cellAt,
  cellAtPlace,
  cellOf,
  chooseAxes,
  coordinatesOf,
  HeatmapModel,
  layOut,
  levelOf,
  thin
} from '../../../js/src/model/heatmap';
import type { ChunkPlane } from '../../../js/src/wire/chunks';
import { plane } from '../plane';

describe('layOut', () => {
  it('fills the room with cells, up to a size at which more would tell nothing', () => {
    expect(layOut([2, 3], 300, 320)).toMatchObject({ cellWidth: 28, cellHeight: 28, width: 84 });
    expect(layOut([20, 10], 200, 200)).toMatchObject({ cellWidth: 20, cellHeight: 10 });
  });

  it('stretches the cells of a long plane, but not without end', () => {
    expect(layOut([100, 10], 200, 200)).toMatchObject({ cellWidth: 6, cellHeight: 2 });
  });

  it('folds a line of chunks', () => {
    const geometry = layOut([1, 900], 240, 160);
    expect(geometry).toMatchObject({ columns: 40, rows: 23, cellWidth: 6 });
    expect(geometry.height).toBeLessThanOrEqual(160);
    expect(cellAtPlace(geometry, 1, 0)).toEqual([0, 40]);
    expect(cellAtPlace(geometry, 22, 19)).toEqual([0, 899]);
    expect(cellAtPlace(geometry, 22, 20)).toBeNull();
  });

  it('leaves a short line as it is', () => {
    expect(layOut([1, 10], 240, 160)).toMatchObject({ columns: 10, rows: 1 });
  });

  it('has room for a plane without chunks', () => {
    expect(layOut([0, 5], 200, 100)).toMatchObject({ rows: 1, columns: 5 });
    expect(cellAtPlace(layOut([0, 5], 200, 100), 0, 0)).toBeNull();
  });
});

describe('cells', () => {
  it.each([
    [[7, 9], 250, 200],
    [[1, 500], 250, 200],
    [[300, 200], 250, 200]
  ] as const)('of a plane of %j are found where they are drawn', (shape, width, height) => {
    const geometry = layOut(shape, width, height);
    for (let row = 0; row < shape[0]; row += 3) {
      for (let column = 0; column < shape[1]; column += 7) {
        const box = boxOf(geometry, [row, column]);
        const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
        expect(cellAt(geometry, x, y)).toEqual([row, column]);
      }
    }
    expect(cellAt(geometry, -1, 0)).toBeNull();
    expect(cellAt(geometry, 0, geometry.height + 1)).toBeNull();
  });
});

describe('levelOf', () => {
  it('goes evenly from the smallest to the largest size', () => {
    const range = { min: 100, max: 200 };
    expect([100, 150, 200].map(value => levelOf(value, range))).toEqual([0, 128, 255]);
    expect(levelOf(-1, range)).toBeNull();
    expect(levelOf(5, { min: 5, max: 5 })).toBe(127);
    expect(levelOf(-1, { min: null, max: null })).toBeNull();
  });
});

describe('thin', () => {
  it('keeps the largest of the chunks that share a place', () => {
    const values = [
      [1, 2, -1, -1],
      [3, 9, -1, 4],
      [-1, -1, 7, 7],
      [-1, -1, 8, 6]
    ];
    expect([...thin(plane(values), 2, 2)]).toEqual([9, 4, -1, 8]);
    expect([...thin(plane(values), 4, 4)]).toEqual(values.flat());
    expect([...thin(plane(values), 1, 3)]).toEqual([9, 8, 7]);
  });
});

describe('coordinates', () => {
  const cut: ChunkPlane = plane(
    [
      [1, 1, 1],
      [1, 1, 1]
    ],
    { axes: [2, 0], chunk_grid_shape: [3, 9, 2], index: [0, 4, 0] }
  );

  it('go from cells to chunks and back', () => {
    expect(coordinatesOf(cut, [1, 2])).toEqual([2, 4, 1]);
    expect(cellOf(cut, [2, 4, 1])).toEqual([1, 2]);
  });

  it('are of no cell where the chunk is not on the plane', () => {
    expect(cellOf(cut, [2, 5, 1])).toBeNull();
    expect(cellOf(cut, [3, 4, 1])).toBeNull();
    expect(cellOf(cut, [2, 4])).toBeNull();
  });

  it('are those of a line, and of a single chunk', () => {
    const line = plane([[1, 1, 1]], { axes: [0], chunk_grid_shape: [3], index: [0] });
    expect(coordinatesOf(line, [0, 2])).toEqual([2]);
    expect(cellOf(line, [2])).toEqual([0, 2]);
    const single = plane([[1]], { axes: [], chunk_grid_shape: [], index: [] });
    expect(coordinatesOf(single, [0, 0])).toEqual([]);
    expect(cellOf(single, [])).toEqual([0, 0]);
  });
});

describe('chooseAxes', () => {
  it.each([
    [[], []],
    [[5], [0]],
    [
      [4, 6],
      [0, 1]
    ],
    [
      [365, 1, 4],
      [2, 0]
    ],
    [
      [3, 3, 3],
      [1, 2]
    ],
    [
      [10, 3, 4, 2],
      [0, 2]
    ],
    [
      [24, 2, 2],
      [2, 0]
    ]
  ])('of a grid of %j are %j', (grid, axes) => {
    expect(chooseAxes(grid)).toEqual(axes);
  });
});

describe('the heatmap', () => {
  const values = [
    [1, 2, 3],
    [4, 5, 6]
  ];

  it('moves the selection by keys, and tells of it', () => {
    const model = new HeatmapModel();
    const told: (readonly number[])[] = [];
    model.chosen.listen(coordinates => {
      told.push(coordinates);
    });
    expect(model.press('ArrowDown', 3)).toBe(false);
    model.setPlane(plane(values));
    const keys = ['ArrowRight', 'ArrowRight', 'ArrowDown', 'ArrowDown', 'End', 'Home', 'ArrowUp'];
    for (const key of keys) {
      expect(model.press(key, 3)).toBe(true);
    }
    expect(told).toEqual([
      [0, 0],
      [0, 1],
      [1, 1],
      [1, 1],
      [1, 2],
      [1, 0],
      [0, 0]
    ]);
    expect(model.press('Escape', 3)).toBe(true);
    expect(model.selected).toBeNull();
    expect(told.at(-1)).toEqual([]);
    expect(model.press('Escape', 3)).toBe(false);
    expect(model.press('q', 3)).toBe(false);
  });

  it('goes up and down by drawn rows in a folded line', () => {
    const model = new HeatmapModel();
    model.setPlane(plane([new Array<number>(100).fill(1)], { axes: [0], chunk_grid_shape: [100] }));
    model.select([0, 5]);
    model.press('ArrowDown', 30);
    expect(model.selected).toEqual([0, 35]);
    model.press('ArrowUp', 30);
    model.press('ArrowUp', 30);
    expect(model.selected).toEqual([0, 0]);
  });

  it('keeps the place that is selected on another plane of the array, and tells nobody', () => {
    const model = new HeatmapModel();
    let told = 0;
    model.chosen.listen(() => {
      told += 1;
    });
    const cut = { axes: [0, 1], chunk_grid_shape: [2, 3, 4], index: [0, 0, 1] };
    model.setPlane(plane(values, cut), [1, 2, 1]);
    expect(model.selected).toEqual([1, 2]);
    model.movePlane(plane(values, { ...cut, index: [0, 0, 2] }));
    expect(model.selected).toEqual([1, 2]);
    const onItsSide = [
      [1, 1],
      [1, 1],
      [1, 1]
    ];
    model.movePlane(plane(onItsSide, { ...cut, axes: [1, 0] }));
    expect(model.selected).toEqual([2, 1]);
    model.setPlane(plane(values, cut));
    expect(model.selected).toBeNull();
    model.setPlane(plane(values, cut), [1, 2, 3]);
    expect(model.selected).toBeNull();
    expect(told).toBe(0);
  });

  it('changes only when another cell is hovered', () => {
    const model = new HeatmapModel();
    model.setPlane(plane(values));
    let changes = 0;
    model.changed.listen(() => {
      changes += 1;
    });
    model.hover([0, 1]);
    model.hover([0, 1]);
    model.hover(null);
    expect(changes).toBe(2);
  });
});
