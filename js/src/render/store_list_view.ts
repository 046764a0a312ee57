import type { StoreEntry, StoreListModel } from '../model/stores';
import { element, freshId, setAttributes, type View } from './element';
import { icon } from './icons';
import type { Words } from './words';

/** The stores to choose from: a list box, with what was added by hand to be taken away. */
export class StoreListView implements View {
  readonly element: HTMLElement;
  readonly #model: StoreListModel;
  readonly #words: Words;
  readonly #id = freshId('stores');
  readonly #unlisten: () => void;

  constructor(model: StoreListModel, words: Words) {
    this.#model = model;
    this.#words = words;
    this.element = element('div', {
      class: 'zlab-StoreList',
      role: 'listbox',
      tabindex: 0,
      'aria-label': words.__('Zarr stores')
    });
    this.element.addEventListener('click', this.#onClick);
    this.element.addEventListener('keydown', this.#onKeyDown);
    this.#unlisten = model.changed.listen(() => {
      this.#draw();
    });
    this.#draw();
  }

  dispose(): void {
    this.#unlisten();
    this.element.remove();
  }

  #draw(): void {
    const { entries, selected } = this.#model;
    this.element.replaceChildren(...entries.map((entry, at) => this.#option(entry, at)));
    const active = entries.findIndex(entry => entry.id === selected);
    setAttributes(this.element, {
      'aria-activedescendant': active < 0 ? null : `${this.#id}-${active}`
    });
    this.element.children[active]?.scrollIntoView({ block: 'nearest' });
  }

  #option(entry: StoreEntry, at: number): HTMLElement {
    const about = [entry.folder, entry.zarr_format === null ? '' : `v${entry.zarr_format}`];
    const option = element(
      'div',
      {
        class: 'zlab-StoreRow',
        role: 'option',
        id: `${this.#id}-${at}`,
        title: entry.id,
        'aria-selected': String(entry.id === this.#model.selected),
        'data-store': entry.id,
        'data-kind': entry.kind
      },
      icon('array'),
      element('span', { class: 'zlab-StoreRow-name' }, entry.name),
      element('span', { class: 'zlab-StoreRow-about' }, about.filter(Boolean).join(' · '))
    );
    if (entry.kind === 'added') {
      // For the mouse; keys and the context menu have their own way.
      const remove = element(
        'span',
        { class: 'zlab-StoreRow-remove', title: this.#words.__('Remove from the list') },
        icon('remove')
      );
      option.append(remove);
    }
    return option;
  }

  readonly #onClick = (event: MouseEvent): void => {
    const target = event.target as Element;
    const store = target.closest<HTMLElement>('.zlab-StoreRow')?.dataset['store'];
    if (store === undefined) {
      return;
    }
    if (target.closest('.zlab-StoreRow-remove') !== null) {
      this.#model.remove(store);
    } else {
      this.#model.select(store);
    }
  };

  readonly #onKeyDown = (event: KeyboardEvent): void => {
    const { entries, selected } = this.#model;
    const at = entries.findIndex(entry => entry.id === selected);
    const last = entries.length - 1;
    const places: Record<string, number> = {
      ArrowDown: Math.min(at + 1, last),
      ArrowUp: Math.max(at - 1, 0),
      Home: 0,
      End: last
    };
    const place = places[event.key];
    const entry = entries[place ?? at];
    if (event.key === 'Delete' && entry?.kind === 'added') {
      this.#model.remove(entry.id);
    } else if (place !== undefined && entry !== undefined) {
      this.#model.select(entry.id);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
}
