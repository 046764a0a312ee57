import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FaultError } from '../../../js/src/model/fault';
import { TreeModel } from '../../../js/src/model/tree';
import { TreeView } from '../../../js/src/render/tree_view';
import { sourceWords } from '../../../js/src/render/words';
import type { Node, TreePage } from '../../../js/src/wire/server';

function node(path: string, kind: 'group' | 'array'): Node {
  const name = path.split('/').pop() ?? '';
  const [shape, dtype] = kind === 'array' ? [[3, 4], 'int8'] : [null, null];
  return { path, name, kind, zarr_format: 3, shape, dtype, error: null };
}

const CHILDREN: Record<string, Node[]> = {
  '': [node('air', 'group'), node('ground', 'group'), node('zero', 'array')],
  air: [node('air/wind', 'array'), node('air/water', 'array')]
};

let failing: string | null = null;
const pages = (children: Record<string, Node[]>): ConstructorParameters<typeof TreeModel>[0] => {
  return (path, offset, limit) => {
    if (path === failing) {
      const fault = { message: 'away', reason: 'StoreError', hint: 'come back' };
      return Promise.reject(new FaultError(fault));
    }
    const all = children[path] ?? [];
    const nodes = all.slice(offset, offset + limit);
    const next = offset + limit < all.length ? offset + limit : null;
    const page: TreePage = {
      store: 's',
      path,
      nodes,
      next,
      total: all.length,
      consolidated: false
    };
    return Promise.resolve(page);
  };
};

describe('the tree view', () => {
  let model: TreeModel;
  let view: TreeView;
  const activated: string[] = [];

  const show = async (children: Record<string, Node[]>): Promise<void> => {
    model = new TreeModel(pages(children));
    view = new TreeView(model, sourceWords, {
      label: 'nodes',
      onActivate: ({ path }) => activated.push(path),
      dragText: ({ path }) => `open ${path}`
    });
    document.body.append(view.element);
    await vi.waitFor(() => {
      expect(model.rowCount).toBe(children['']?.length);
    });
  };
  const rows = (): HTMLElement[] =>
    [...view.element.querySelectorAll<HTMLElement>('[role=treeitem]')].sort(
      (a, b) => Number(a.dataset['row']) - Number(b.dataset['row'])
    );
  const names = (): string[] =>
    rows().map(row => row.querySelector('.zlab-TreeRow-name')?.textContent ?? '…');
  const press = (key: string, timeStamp = 0): KeyboardEvent => {
    const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true });
    Object.defineProperty(event, 'timeStamp', { value: timeStamp });
    view.element.dispatchEvent(event);
    return event;
  };
  const rowNamed = (name: string): HTMLElement => {
    const row = rows()[names().indexOf(name)];
    if (row === undefined) {
      throw new Error(`no row ${name}`);
    }
    return row;
  };

  beforeEach(() => {
    failing = null;
    activated.length = 0;
  });
  afterEach(() => {
    view.dispose();
  });

  it('is a tree to assistive technology', async () => {
    await show(CHILDREN);
    await model.open('air');
    expect(view.element.getAttribute('role')).toBe('tree');
    expect(view.element.getAttribute('aria-label')).toBe('nodes');
    const attributes = rows().map(row =>
      ['level', 'posinset', 'setsize', 'expanded', 'selected'].map(name =>
        row.getAttribute(`aria-${name}`)
      )
    );
    expect(attributes).toEqual([
      ['1', '1', '3', 'true', 'false'],
      ['2', '1', '2', null, 'false'],
      ['2', '2', '2', null, 'false'],
      ['1', '2', '3', 'false', 'false'],
      ['1', '3', '3', null, 'false']
    ]);
    expect(view.element.hasAttribute('aria-activedescendant')).toBe(false);
    model.select('air/water');
    expect(view.element.getAttribute('aria-activedescendant')).toBe(rowNamed('water').id);
    expect(rowNamed('water').getAttribute('aria-selected')).toBe('true');
  });

  it('shows type and shape beside the name', async () => {
    await show(CHILDREN);
    expect(rowNamed('zero').querySelector('.zlab-TreeRow-about')?.textContent).toBe('int8 3 × 4');
    expect(rowNamed('air').querySelector('.zlab-TreeRow-about')).toBeNull();
  });

  it('goes by arrows, Home and End', async () => {
    await show(CHILDREN);
    press('ArrowDown');
    expect(model.selected).toBe('air');
    press('ArrowRight');
    await vi.waitFor(() => {
      expect(names()).toEqual(['air', 'wind', 'water', 'ground', 'zero']);
    });
    press('ArrowRight');
    expect(model.selected).toBe('air/wind');
    press('ArrowLeft');
    expect(model.selected).toBe('air');
    press('ArrowLeft');
    expect(names()).toEqual(['air', 'ground', 'zero']);
    press('ArrowLeft');
    expect(model.selected).toBe('air');
    press('End');
    expect(model.selected).toBe('zero');
    press('ArrowDown');
    press('ArrowRight');
    expect(model.selected).toBe('zero');
    press('ArrowUp');
    expect(model.selected).toBe('ground');
    press('Home');
    expect(model.selected).toBe('air');
  });

  it('opens groups and activates arrays by Enter and by a double click', async () => {
    await show(CHILDREN);
    press('End');
    press('Enter');
    expect(activated).toEqual(['zero']);
    press('Home');
    press('Enter');
    await vi.waitFor(() => {
      expect(rowNamed('air').getAttribute('aria-expanded')).toBe('true');
    });
    rowNamed('wind').dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
    expect(activated).toEqual(['zero', 'air/wind']);
  });

  it('leaves keys alone that have a modifier or mean nothing here', async () => {
    await show(CHILDREN);
    const chord = new KeyboardEvent('keydown', { key: 'a', ctrlKey: true, cancelable: true });
    view.element.dispatchEvent(chord);
    expect(chord.defaultPrevented).toBe(false);
    expect(press('Tab').defaultPrevented).toBe(false);
    expect(press('ArrowDown').defaultPrevented).toBe(true);
  });

  it('goes to names as they are typed', async () => {
    await show({ '': ['water', 'wave', 'wind', 'zone'].map(name => node(name, 'array')) });
    press('w', 1000);
    expect(model.selected).toBe('wave');
    press('w', 3000);
    expect(model.selected).toBe('wind');
    press('w', 5000);
    expect(model.selected).toBe('water');
    press('w', 7000);
    press('i', 7100);
    expect(model.selected).toBe('wind');
    press('z', 9000);
    expect(model.selected).toBe('zone');
    press('q', 11_000);
    expect(model.selected).toBe('zone');
  });

  it('goes by clicks: the row selects, the twisty opens', async () => {
    await show(CHILDREN);
    const before = rowNamed('ground');
    before.querySelector<HTMLElement>('.zlab-TreeRow-name')?.click();
    expect(model.selected).toBe('ground');
    expect(model.isOpen('ground')).toBe(false);
    expect(rowNamed('ground')).toBe(before);
    rowNamed('air').querySelector<HTMLElement>('.zlab-TreeRow-twisty')?.click();
    await vi.waitFor(() => {
      expect(names()).toContain('wind');
    });
  });

  it('says in the row what could not be read, and tries again on a click', async () => {
    failing = 'air';
    await show(CHILDREN);
    await model.open('air');
    expect(names()).toEqual(['air', 'away', 'ground', 'zero']);
    expect(rowNamed('away').querySelector('[title]')?.getAttribute('title')).toBe(
      'away\ncome back\nClick to try again.'
    );
    failing = null;
    rowNamed('away').click();
    await vi.waitFor(() => {
      expect(names()).toEqual(['air', 'wind', 'water', 'ground', 'zero']);
    });
  });

  it('gives what it drags as text', async () => {
    await show(CHILDREN);
    const row = rowNamed('zero');
    expect(row.getAttribute('draggable')).toBe('true');
    const setData = vi.fn();
    const event = new Event('dragstart', { bubbles: true });
    Object.defineProperty(event, 'dataTransfer', { value: { setData } });
    row.dispatchEvent(event);
    expect(setData).toHaveBeenCalledWith('text/plain', 'open zero');
  });

  it('draws the rows in sight and no others', async () => {
    const many = Array.from({ length: 100_000 }, (_, at) => node(`n${at}`, 'array'));
    await show({ '': many });
    expect(rows().length).toBeLessThan(60);
    press('End');
    await vi.waitFor(() => {
      expect(model.selected).toBe('n99999');
    });
    view.element.scrollTop = 50_000 * 24;
    view.element.dispatchEvent(new Event('scroll'));
    await vi.waitFor(() => {
      expect(names()).toContain('n50000');
    });
    expect(rows().length).toBeLessThan(60);
    expect(rowNamed('n50000').style.transform).toBe('translateY(1200000px)');
    expect(view.element.querySelector<HTMLElement>('.zlab-Tree-canvas')?.style.height).toBe(
      '2400000px'
    );
    // The selected row is out of sight, so that there is no active descendant to name.
    expect(view.element.hasAttribute('aria-activedescendant')).toBe(false);
  });
});
