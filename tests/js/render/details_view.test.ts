import { describe, expect, it } from 'vitest';
import { detailsView, jsonTree } from '../../../js/src/render/details_view';
import { sourceWords } from '../../../js/src/render/words';
import { parseDetails, type Stats } from '../../../js/src/wire/server';
import { golden } from '../wire/golden';

const [array, , group, older] = golden('node').accept.map(parseDetails);
const stats: Stats = {
  store: 'climate.zarr',
  path: 'temperature',
  nchunks: 9,
  nchunks_stored: 5,
  nbytes: 240,
  nbytes_stored: 160
};

function facts(view: HTMLElement): Record<string, string> {
  const list = [...view.children].find(child => child.tagName === 'DL');
  const names = [...(list?.querySelectorAll(':scope > dt') ?? [])];
  return Object.fromEntries(
    names.map(name => [name.textContent, name.nextElementSibling?.textContent ?? ''])
  );
}

describe('the details of an array', () => {
  it('say what it is and what it takes', () => {
    if (array === undefined) {
      throw new Error('no golden array');
    }
    const view = detailsView(array, { is: 'ready', value: stats }, sourceWords);
    expect(view.querySelector('h2')?.textContent).toBe('temperature');
    expect(facts(view)).toEqual({
      Shape: '6 × 10',
      Dimensions: 'y, —',
      'Data type': 'float32',
      Chunks: '2 × 4',
      Shards: '4 × 8',
      Codecs:
        'sharding_indexed shards of chunks of 2 x 4, each by bytes; index at the end, by bytes, crc32c',
      'Fill value': 'NaN',
      Order: 'C',
      Size: '240 B',
      Stored: '160 B',
      Ratio: '1.5 : 1',
      'Chunks stored': '5 of 9 (55.6 %)'
    });
  });

  it('say so while the store is being listed, and when it could not be', () => {
    if (older === undefined) {
      throw new Error('no golden array');
    }
    expect(facts(detailsView(older, { is: 'loading', stale: null }, sourceWords))).toMatchObject({
      Codecs: 'transpose axes in the order 1, 0bytes big-endian bytes',
      Stored: 'counting…'
    });
    const fault = { message: 'the storage failed', reason: 'StoreError', hint: null };
    expect(facts(detailsView(older, { is: 'failed', fault }, sourceWords))).toMatchObject({
      Stored: 'the storage failed'
    });
  });

  it('never take what a store holds for HTML', () => {
    if (array === undefined) {
      throw new Error('no golden array');
    }
    const view = detailsView(array, { is: 'idle' }, sourceWords);
    expect(view.querySelector('img')).toBeNull();
    expect(view.textContent).toContain('<img src=x onerror=alert(1)>');
    expect(view.textContent).toContain('9007199254740993');
  });

  it('write the metadata document when somebody looks', () => {
    if (array === undefined) {
      throw new Error('no golden array');
    }
    const view = detailsView(array, { is: 'idle' }, sourceWords);
    const fold = view.querySelector<HTMLDetailsElement>('details.zlab-Metadata');
    expect(fold?.querySelector('pre')).toBeNull();
    fold?.setAttribute('open', '');
    fold?.dispatchEvent(new Event('toggle'));
    expect(JSON.parse(fold?.querySelector('pre')?.textContent ?? '')).toEqual(array.metadata);
  });
});

describe('the details of a group', () => {
  it('are its attributes', () => {
    if (group === undefined) {
      throw new Error('no golden group');
    }
    const view = detailsView(group, { is: 'idle' }, sourceWords);
    expect(view.querySelector('header')?.textContent).toBe('climate.zarrgroup, Zarr v3');
    expect(view.querySelector('.zlab-Attributes')?.textContent).toBe(
      'AttributestitleA small climatenested{2}list[1, 2.5, null, true]textäöü \u2028'
    );
    const bare = detailsView({ ...group, attributes: {} }, { is: 'idle' }, sourceWords);
    expect(bare.querySelector('.zlab-Attributes')?.textContent).toBe('AttributesNone');
  });
});

describe('jsonTree', () => {
  it.each([
    ['text', 'text'],
    [1.5, '1.5'],
    [null, 'null'],
    [[], '[]'],
    [{}, '{}'],
    [[1, 'a', false], '[1, "a", false]'],
    [[[1], [2]], '[2]0[1]1[2]']
  ])('of %j reads %j', (value, text) => {
    expect(jsonTree(value).textContent).toBe(text);
  });
});
