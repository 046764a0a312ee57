import { describe, expect, it } from 'vitest';
import { FaultError } from '../../../js/src/model/fault';
import { PAGE_SIZE, TreeModel, type LoadPage, type Row } from '../../../js/src/model/tree';
import type { Node, TreePage } from '../../../js/src/wire/server';

function node(path: string, kind: 'group' | 'array' = 'group'): Node {
  const name = path.split('/').pop() ?? '';
  const shape = kind === 'array' ? [4] : null;
  const dtype = kind === 'array' ? 'int8' : null;
  return { path, name, kind, zarr_format: 3, shape, dtype, error: null };
}

/** A server of a hierarchy given as children by path; it notes what it was asked for. */
class Hierarchy {
  readonly asked: string[] = [];
  failing: string | null = null;
  pageLimit = PAGE_SIZE;

  constructor(readonly children: Readonly<Record<string, readonly Node[]>>) {}

  readonly load: LoadPage = (path, offset, limit) => {
    this.asked.push(`${path}@${offset}`);
    if (path === this.failing) {
      const fault = { message: 'unreachable', reason: 'StoreError', hint: null };
      return Promise.reject(new FaultError(fault));
    }
    const all = this.children[path] ?? [];
    const end = offset + Math.min(limit, this.pageLimit);
    const page: TreePage = {
      store: 's',
      path,
      nodes: all.slice(offset, end),
      next: end < all.length ? end : null,
      total: all.length,
      consolidated: false
    };
    return Promise.resolve(page);
  };
}

const SMALL = {
  '': [node('a'), node('b'), node('z', 'array')],
  a: [node('a/x'), node('a/y', 'array')],
  'a/x': [node('a/x/deep', 'array')],
  b: []
};

function paths(tree: TreeModel): (string | null)[] {
  return Array.from({ length: tree.rowCount }, (_, at) => {
    const row = tree.row(at);
    return row?.is === 'node' ? row.node.path : null;
  });
}

function pathAt(row: Row | null): string | null {
  return row?.is === 'node' ? row.node.path : null;
}

describe('a tree', () => {
  it('is one pending row until its first page has come', async () => {
    const tree = new TreeModel(new Hierarchy(SMALL).load);
    expect(tree.rowCount).toBe(1);
    expect(tree.row(0)).toEqual({ is: 'pending', level: 1, position: 1, setSize: null });
    await tree.ensure(0, 10);
    expect(paths(tree)).toEqual(['a', 'b', 'z']);
    expect(tree.row(0)).toMatchObject({ level: 1, position: 1, setSize: 3, expanded: false });
    expect(tree.row(2)).toMatchObject({ level: 1, position: 3, setSize: 3, expanded: null });
    expect(tree.row(3)).toBeNull();
    expect(tree.row(-1)).toBeNull();
  });

  it('loads a group when it is opened, once', async () => {
    const server = new Hierarchy(SMALL);
    const tree = new TreeModel(server.load);
    await tree.ensure(0, 0);
    await tree.open('a');
    await tree.open('a/x');
    expect(paths(tree)).toEqual(['a', 'a/x', 'a/x/deep', 'a/y', 'b', 'z']);
    expect(tree.row(2)).toMatchObject({ level: 3, position: 1, setSize: 1 });
    tree.close('a');
    expect(paths(tree)).toEqual(['a', 'b', 'z']);
    await tree.toggle('a');
    expect(paths(tree)).toEqual(['a', 'a/x', 'a/x/deep', 'a/y', 'b', 'z']);
    await tree.toggle('a');
    expect(server.asked).toEqual(['@0', 'a@0', 'a/x@0']);
  });

  it('knows the row of each node, unless a group above is closed', async () => {
    const tree = new TreeModel(new Hierarchy(SMALL).load);
    await tree.ensure(0, 0);
    await tree.open('b');
    await tree.open('a');
    await tree.open('a/x');
    for (const [at, path] of paths(tree).entries()) {
      expect(tree.rowOf(path ?? '')).toBe(at);
    }
    tree.close('a');
    expect(tree.rowOf('a/x/deep')).toBeNull();
    expect(tree.rowOf('a')).toBe(0);
    expect(tree.rowOf('nowhere')).toBeNull();
  });

  it('moves the selection up to a group that is closed over it', async () => {
    const tree = new TreeModel(new Hierarchy(SMALL).load);
    await tree.reveal('a/x/deep');
    expect(tree.selectedRow).toBe(2);
    tree.close('a/x');
    expect(tree.selected).toBe('a/x');
    tree.select('z');
    tree.close('a');
    expect(tree.selected).toBe('z');
  });

  it('does not open arrays, nor what is broken', async () => {
    const fault = { message: 'no JSON', reason: 'MetadataError', hint: null };
    const broken = { ...node('broken'), error: fault };
    const server = new Hierarchy({ '': [node('z', 'array'), broken] });
    const tree = new TreeModel(server.load);
    await tree.ensure(0, 0);
    await tree.open('z');
    await tree.open('broken');
    await tree.open('nowhere');
    expect(server.asked).toEqual(['@0']);
    expect(tree.row(1)).toMatchObject({ expanded: null });
  });

  it('says what went wrong, and tries again', async () => {
    const server = new Hierarchy(SMALL);
    server.failing = '';
    const tree = new TreeModel(server.load);
    await tree.ensure(0, 5);
    expect(tree.fault).toEqual({ message: 'unreachable', reason: 'StoreError', hint: null });
    expect(tree.row(0)).toMatchObject({ is: 'failed', fault: { message: 'unreachable' } });
    await tree.ensure(0, 5);
    expect(server.asked).toHaveLength(1);

    server.failing = 'a';
    await tree.retry(0);
    expect(tree.fault).toBeNull();
    await tree.open('a');
    expect(tree.row(1)).toMatchObject({ is: 'failed', level: 2 });
    expect(paths(tree)).toEqual(['a', null, 'b', 'z']);
    server.failing = null;
    await tree.retry(1);
    expect(paths(tree)).toEqual(['a', 'a/x', 'a/y', 'b', 'z']);
  });

  it('is empty only when the store has answered so', async () => {
    const tree = new TreeModel(new Hierarchy({ '': [] }).load);
    expect(tree.empty).toBe(false);
    await tree.ensure(0, 0);
    expect(tree.empty).toBe(true);
    expect(tree.rowCount).toBe(0);
    expect(tree.consolidated).toBe(false);
  });

  it('lists an array that is the whole store', async () => {
    const whole = { ...node('', 'array'), name: 'ramp.zarr' };
    const tree = new TreeModel(new Hierarchy({ '': [whole] }).load);
    await tree.ensure(0, 0);
    tree.selectRow(0);
    expect(tree.selected).toBe('');
    expect(tree.selectedNode?.name).toBe('ramp.zarr');
  });

  it('gives up what is under way when it is disposed of', async () => {
    const tree = new TreeModel(new Hierarchy(SMALL).load);
    const loading = tree.ensure(0, 0);
    tree.dispose();
    await loading;
    expect(tree.row(0)).toMatchObject({ is: 'pending' });
  });
});

describe('a tree of 100,000 nodes', () => {
  const names = Array.from({ length: 100_000 }, (_, at) => `n${String(at).padStart(5, '0')}`);
  const server = (): Hierarchy =>
    new Hierarchy({ '': names.map(name => node(name)), n00001: [node('n00001/child', 'array')] });

  it('loads only the pages that come into sight', async () => {
    const large = server();
    const tree = new TreeModel(large.load);
    await tree.ensure(0, 40);
    expect(tree.rowCount).toBe(100_000);
    await tree.ensure(99_960, 99_999);
    expect(large.asked).toEqual(['@0', '@99000']);
    expect(pathAt(tree.row(99_999))).toBe('n99999');
    expect(tree.row(50_000)).toEqual({
      is: 'pending',
      level: 1,
      position: 50_001,
      setSize: 100_000
    });
  });

  it('keeps the rows below an open group in their places', async () => {
    const tree = new TreeModel(server().load);
    await tree.ensure(0, 40);
    await tree.open('n00001');
    expect(tree.rowCount).toBe(100_001);
    await tree.ensure(99_990, 100_000);
    expect(pathAt(tree.row(2))).toBe('n00001/child');
    expect(pathAt(tree.row(3))).toBe('n00002');
    expect(pathAt(tree.row(100_000))).toBe('n99999');
    expect(tree.rowOf('n99999')).toBe(100_000);
  });

  it('selects a row that is not there yet when it comes', async () => {
    const tree = new TreeModel(server().load);
    await tree.ensure(0, 0);
    tree.selectRow(75_500);
    expect(tree.selected).toBeNull();
    await tree.ensure(75_500, 75_500);
    await Promise.resolve();
    expect(tree.selected).toBe('n75500');
  });

  it('goes by the pages of a server that sends fewer nodes at once', async () => {
    const large = server();
    large.pageLimit = 100;
    const tree = new TreeModel(large.load);
    await tree.ensure(0, 0);
    await tree.ensure(0, 250);
    expect(large.asked).toEqual(['@0', '@100', '@200']);
    expect(pathAt(tree.row(250))).toBe('n00250');
  });

  it('marks a name that turned out to be no node', async () => {
    const load: LoadPage = (path, offset) =>
      Promise.resolve({
        store: 's',
        path,
        nodes: [node(`n${offset}`)],
        next: null,
        total: 2,
        consolidated: false
      });
    const tree = new TreeModel(load);
    await tree.ensure(0, 0);
    expect(tree.row(1)).toMatchObject({ is: 'failed', fault: { reason: 'NodeNotFoundError' } });
  });
});

describe('find', () => {
  it('finds the next name that begins so, and goes around the end', async () => {
    const tree = new TreeModel(new Hierarchy(SMALL).load);
    await tree.ensure(0, 0);
    await tree.open('a');
    expect(paths(tree)).toEqual(['a', 'a/x', 'a/y', 'b', 'z']);
    expect(tree.find('Y', 0)).toBe(2);
    expect(tree.find('a', 1)).toBe(0);
    expect(tree.find('zz', 0)).toBeNull();
  });
});
