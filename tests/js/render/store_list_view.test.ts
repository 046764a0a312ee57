import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreListModel } from '../../../js/src/model/stores';
import { StoreListView } from '../../../js/src/render/store_list_view';
import { sourceWords } from '../../../js/src/render/words';
import { parseStoreList } from '../../../js/src/wire/server';
import { golden } from '../wire/golden';

describe('the list of stores', () => {
  let model: StoreListModel;
  let view: StoreListView;

  const options = (): HTMLElement[] => [
    ...view.element.querySelectorAll<HTMLElement>('[role=option]')
  ];
  const press = (key: string): void => {
    view.element.dispatchEvent(new KeyboardEvent('keydown', { key }));
  };

  beforeEach(async () => {
    const list = parseStoreList(golden('stores').accept[0]);
    model = new StoreListModel(() => Promise.resolve(list));
    view = new StoreListView(model, sourceWords);
    document.body.append(view.element);
    await model.refresh();
    model.add('extra.zarr');
  });
  afterEach(() => {
    view.dispose();
  });

  it('is a list box, and names what is active', () => {
    expect(view.element.getAttribute('role')).toBe('listbox');
    expect(options().map(option => option.textContent)).toEqual([
      'climate.zarrv3',
      'ocean.zarrolder · v2',
      'ramp.zarrv3',
      'extra.zarr'
    ]);
    expect(options().map(option => option.getAttribute('aria-selected'))).toEqual([
      'false',
      'false',
      'false',
      'true'
    ]);
    expect(view.element.getAttribute('aria-activedescendant')).toBe(options()[3]?.id);
  });

  it('selects by click and by key', () => {
    options()[1]?.click();
    expect(model.selected).toBe('older/ocean.zarr');
    press('ArrowDown');
    expect(model.selected).toBe('ramp.zarr');
    press('Home');
    expect(model.selected).toBe('climate.zarr');
    press('ArrowUp');
    expect(model.selected).toBe('climate.zarr');
    press('End');
    expect(model.selected).toBe('extra.zarr');
  });

  it('takes away what was added, and nothing else', () => {
    press('Home');
    press('Delete');
    expect(options()).toHaveLength(4);
    options()[3]
      ?.querySelector<HTMLElement>('.zlab-StoreRow-remove')
      ?.dispatchEvent(new MouseEvent('click', { bubbles: true }));
    expect(options()).toHaveLength(3);
    model.add('again.zarr');
    press('Delete');
    expect(options()).toHaveLength(3);
  });
});
