import { describe, expect, it } from 'vitest';
import { normaliseStoreId, StoreListModel } from '../../../js/src/model/stores';
import { parseStoreList, type StoreList } from '../../../js/src/wire/server';
import { golden } from '../wire/golden';

const list = parseStoreList(golden('stores').accept[0]);

function model(load: () => Promise<StoreList> = () => Promise.resolve(list)): StoreListModel {
  return new StoreListModel(load);
}

describe('normaliseStoreId', () => {
  it.each([
    [' demo/a.zarr/ ', 'demo/a.zarr'],
    ['./a.zarr', 'a.zarr'],
    ['s3://bucket/a.zarr/', 's3://bucket/a.zarr/'],
    ['/', '/'],
    ['  ', '']
  ])('%j becomes %j', (typed, id) => {
    expect(normaliseStoreId(typed)).toBe(id);
  });
});

describe('the list of stores', () => {
  it('has what the server found', async () => {
    const stores = model();
    await stores.refresh();
    expect(stores.entries).toEqual([
      { id: 'climate.zarr', name: 'climate.zarr', folder: '', kind: 'found', zarr_format: 3 },
      {
        id: 'older/ocean.zarr',
        name: 'ocean.zarr',
        folder: 'older',
        kind: 'found',
        zarr_format: 2
      },
      { id: 'ramp.zarr', name: 'ramp.zarr', folder: '', kind: 'found', zarr_format: 3 }
    ]);
  });

  it('adds, selects and forgets what a user typed', async () => {
    const stores = model();
    stores.add(' https://host/data/x.zarr ');
    stores.add('climate.zarr/');
    expect(stores.selected).toBe('climate.zarr');
    expect(stores.entries.map(entry => entry.id)).toEqual([
      'https://host/data/x.zarr',
      'climate.zarr'
    ]);
    await stores.refresh();
    // What is found is not listed a second time as added.
    expect(stores.entries.map(entry => [entry.id, entry.kind])).toEqual([
      ['climate.zarr', 'found'],
      ['older/ocean.zarr', 'found'],
      ['ramp.zarr', 'found'],
      ['https://host/data/x.zarr', 'added']
    ]);
    expect(stores.entries.at(-1)).toMatchObject({ name: 'x.zarr', folder: 'https://host/data' });
    stores.select('https://host/data/x.zarr');
    stores.remove('https://host/data/x.zarr');
    expect(stores.selected).toBeNull();
    stores.add('');
    expect(stores.entries).toHaveLength(3);
  });

  it('remembers what was added and selected', () => {
    const stores = model();
    stores.add('a.zarr');
    stores.add('b.zarr');
    const kept: unknown = JSON.parse(JSON.stringify(stores.remember()));
    const restored = model();
    restored.restore(kept);
    expect(restored.remember()).toEqual({ added: ['a.zarr', 'b.zarr'], selected: 'b.zarr' });
  });

  it.each([undefined, null, 7, {}, { added: 'no', selected: 3 }, { added: [1, null] }])(
    'passes over %j where it should have been remembered',
    kept => {
      const stores = model();
      stores.restore(kept);
      expect(stores.remember()).toEqual({ added: [], selected: null });
    }
  );

  it('keeps what it has while it looks again, and says why it could not', async () => {
    let fails = false;
    const stores = model(() =>
      fails ? Promise.reject(new TypeError('no network')) : Promise.resolve(list)
    );
    await stores.refresh();
    fails = true;
    const again = stores.refresh();
    expect(stores.found.state.is).toBe('loading');
    expect(stores.entries).toHaveLength(3);
    await again;
    expect(stores.found.state).toEqual({
      is: 'failed',
      fault: { message: 'no network', reason: 'TypeError', hint: null }
    });
  });
});
