import type { Store, StoreList } from '../wire/server';
import { Remote } from './remote';
import { Signal } from './signal';

/** A store that the browser offers. */
export interface StoreEntry {
  /** What the server takes as `store`: a path below its root, or a URL. */
  readonly id: string;
  readonly name: string;
  /** The folder that it is in; empty for the root. */
  readonly folder: string;
  readonly kind: 'found' | 'added';
  /** Null for an added store that the server has not found by itself. */
  readonly zarr_format: 2 | 3 | null;
}

/** What outlives a reload. */
export interface RememberedStores {
  readonly added: readonly string[];
  readonly selected: string | null;
}

/** Brings a path or URL that a user typed into the one form that it has here. */
export function normaliseStoreId(typed: string): string {
  const id = typed.trim();
  return id.includes('://') ? id : id.replace(/^(\.\/)+/, '').replace(/\/+$/, '') || id;
}

function entryOf(store: Store): StoreEntry {
  const { id, name, path, kind, zarr_format } = store;
  return { id, name, folder: folderOf(path), kind, zarr_format };
}

function addedEntry(id: string): StoreEntry {
  const name = id.replace(/\/+$/, '').split('/').pop() ?? id;
  return { id, name: name || id, folder: folderOf(id), kind: 'added', zarr_format: null };
}

function folderOf(path: string): string {
  const end = path.replace(/\/+$/, '').lastIndexOf('/');
  return end <= 0 ? '' : path.slice(0, end);
}

/** Stores found below the server's root, and those that the user added. */
export class StoreListModel {
  readonly changed = new Signal();
  readonly found = new Remote<StoreList>();
  readonly #load: (signal: AbortSignal) => Promise<StoreList>;
  #added: readonly string[] = [];
  #selected: string | null = null;

  constructor(load: (signal: AbortSignal) => Promise<StoreList>) {
    this.#load = load;
    this.found.changed.listen(() => {
      this.changed.emit();
    });
  }

  get entries(): readonly StoreEntry[] {
    const { state } = this.found;
    const list = state.is === 'ready' ? state.value : state.is === 'loading' ? state.stale : null;
    const found = list === null ? [] : list.stores.map(entryOf);
    const known = new Set(found.map(entry => entry.id));
    return [...found, ...this.#added.filter(id => !known.has(id)).map(addedEntry)];
  }

  get selected(): string | null {
    return this.#selected;
  }

  async refresh(): Promise<void> {
    await this.found.ask(this.#load, true);
  }

  /** Adds what the user typed, and selects it. */
  add(typed: string): void {
    const id = normaliseStoreId(typed);
    if (id === '') {
      return;
    }
    if (!this.entries.some(entry => entry.id === id)) {
      this.#added = [...this.#added, id];
    }
    this.#selected = id;
    this.changed.emit();
  }

  /** Forgets an added store. */
  remove(id: string): void {
    this.#added = this.#added.filter(other => other !== id);
    if (this.#selected === id && !this.entries.some(entry => entry.id === id)) {
      this.#selected = null;
    }
    this.changed.emit();
  }

  select(id: string | null): void {
    if (id !== this.#selected) {
      this.#selected = id;
      this.changed.emit();
    }
  }

  remember(): RememberedStores {
    return { added: this.#added, selected: this.#selected };
  }

  /** Takes back what {@link remember} gave; whatever else was kept is passed over. */
  restore(kept: unknown): void {
    const { added, selected } = (kept ?? {}) as Record<string, unknown>;
    if (Array.isArray(added)) {
      this.#added = added.filter(id => typeof id === 'string');
    }
    if (typeof selected === 'string') {
      this.#selected = selected;
    }
    this.changed.emit();
  }
}
