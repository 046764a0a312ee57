import { describe, expect, it } from 'vitest';
import { openingCode, relativePath } from '../../../js/src/model/snippet';

describe('relativePath', () => {
  it.each([
    ['', 'demo/digits.zarr', 'demo/digits.zarr'],
    ['livebooks', 'demo/digits.zarr', '../demo/digits.zarr'],
    ['a/b', 'a/c/x.zarr', '../c/x.zarr'],
    ['a/b/', 'a/b/x.zarr', 'x.zarr'],
    ['x.zarr', 'x.zarr', '../x.zarr'],
    ['', '', '.'],
    ['a', '', '..']
  ])('from %j to %j is %j', (folder, file, expected) => {
    expect(relativePath(folder, file)).toBe(expected);
  });
});

describe('openingCode', () => {
  it('opens an array inside a store, as seen from the notebook', () => {
    const node = { path: 'images', kind: 'array' } as const;
    expect(openingCode('demo/digits.zarr', node, 'livebooks')).toBe(
      'import zlab\n\narray = zlab.open("../demo/digits.zarr")["images"]'
    );
  });

  it('opens the root without a key', () => {
    expect(openingCode('ramp.zarr', { path: '', kind: 'array' }, '')).toBe(
      'import zlab\n\narray = zlab.open("ramp.zarr")'
    );
    expect(openingCode('a.zarr', { path: '', kind: 'group' }, '')).toBe(
      'import zlab\n\ngroup = zlab.open("a.zarr")'
    );
  });

  it('leaves a URL as it is, and quotes what needs it', () => {
    const node = { path: 'we"ird\\', kind: 'array' } as const;
    expect(openingCode('s3://b/a.zarr', node, 'x')).toBe(
      'import zlab\n\narray = zlab.open("s3://b/a.zarr")["we\\"ird\\\\"]'
    );
  });
});
