import type { Fault, Node, TreePage } from '../wire/server';
import { faultOf, isAbort } from './fault';
import { Signal } from './signal';

/** Children asked for at once. */
export const PAGE_SIZE = 1000;

export type LoadPage = (
  path: string,
  offset: number,
  limit: number,
  signal: AbortSignal
) => Promise<TreePage>;

interface Place {
  /** Depth, 1 for the children of the root; as in `aria-level`. */
  readonly level: number;
  /** Which of its siblings it is, from 1; as in `aria-posinset`. */
  readonly position: number;
  /** How many siblings there are; null until the first page has come. */
  readonly setSize: number | null;
}

export interface NodeRow extends Place {
  readonly is: 'node';
  readonly node: Node;
  /** Null for what cannot be opened. */
  readonly expanded: boolean | null;
}

/** A row of a page that has not come yet. */
export interface PendingRow extends Place {
  readonly is: 'pending';
}

/** A row of a page that could not be read. */
export interface FailedRow extends Place {
  readonly is: 'failed';
  readonly fault: Fault;
}

export type Row = NodeRow | PendingRow | FailedRow;

/** Children of one group, as far as they are known. */
class Branch {
  /** Null until the first page has come. */
  total: number | null = null;
  /** By position among the siblings; with holes where a page has not come. */
  readonly nodes: (Node | undefined)[] = [];
  /** By offset. */
  readonly pages = new Map<number, 'loading' | 'loaded' | Fault>();
  /** The server may send fewer at once than it was asked for. */
  pageSize = PAGE_SIZE;
  /** Children that were opened once, by position. */
  readonly branches: Branch[] = [];
  open = true;
  /** Rows that this branch shows, those of open branches below included. */
  rows = 1;

  constructor(
    readonly path: string,
    readonly parent: Branch | null,
    /** Position of this group among its siblings. */
    readonly index: number
  ) {}

  get level(): number {
    return this.parent === null ? 1 : this.parent.level + 1;
  }

  pageOf(index: number): number {
    return index - (index % this.pageSize);
  }

  branchAt(index: number): Branch | undefined {
    return this.branches.find(branch => branch.index === index);
  }

  insert(branch: Branch): void {
    const after = this.branches.findIndex(other => other.index > branch.index);
    this.branches.splice(after === -1 ? this.branches.length : after, 0, branch);
  }

  /** Counts the rows anew, from here up to the root. */
  recount(): void {
    this.rows = this.total ?? 1;
    for (const branch of this.branches) {
      this.rows += branch.open ? branch.rows : 0;
    }
    this.parent?.recount();
  }

  /** Finds the child that stands on a row, counted from the first row of this branch. */
  locate(row: number): { branch: Branch; index: number } {
    let below = 0;
    for (const branch of this.branches) {
      if (!branch.open) {
        continue;
      }
      const inside = row - below - branch.index - 1;
      if (inside < 0) {
        break;
      }
      if (inside < branch.rows) {
        return branch.locate(inside);
      }
      below += branch.rows;
    }
    return { branch: this, index: row - below };
  }

  /** The row of a child, counted from the root's first; null if a group above is closed. */
  rowOf(index: number): number | null {
    let row = index;
    for (const branch of this.branches) {
      row += branch.open && branch.index < index ? branch.rows : 0;
    }
    if (this.parent === null) {
      return row;
    }
    const own = this.open ? this.parent.rowOf(this.index) : null;
    return own === null ? null : own + 1 + row;
  }
}

/** A name in a large group's folder that turned out to be something else. */
const NOT_A_NODE: Fault = {
  message: 'Not an array or group',
  reason: 'NodeNotFoundError',
  hint: null
};

/**
 * The nodes of one store, loaded page by page as they come into sight.
 *
 * Rows are never laid out in a list: a row is found by walking down the open branches, so that a
 * group of a million children costs what its visible rows cost.
 */
export class TreeModel {
  readonly changed = new Signal();
  readonly #load: LoadPage;
  readonly #root = new Branch('', null, 0);
  readonly #places = new Map<string, { branch: Branch; index: number }>();
  readonly #abort = new AbortController();
  #selected: string | null = null;
  /** A row that the user went to before it was there. */
  #wanted: { branch: Branch; index: number } | null = null;
  #consolidated: boolean | null = null;

  constructor(load: LoadPage) {
    this.#load = load;
  }

  /** Gives up what is under way. */
  dispose(): void {
    this.#abort.abort();
  }

  get rowCount(): number {
    return this.#root.rows;
  }

  /** Whether the store answers from consolidated metadata; null until it is known. */
  get consolidated(): boolean | null {
    return this.#consolidated;
  }

  /** Whether the store was read and has nothing in it. */
  get empty(): boolean {
    return this.#root.total === 0;
  }

  /** Why the store could not be read at all. */
  get fault(): Fault | null {
    const first = this.#root.pages.get(0);
    return this.#root.total === null && typeof first === 'object' ? first : null;
  }

  get selected(): string | null {
    return this.#selected;
  }

  get selectedNode(): Node | null {
    return this.#selected === null ? null : this.node(this.#selected);
  }

  /** The row of the selected node, if it is in sight. */
  get selectedRow(): number | null {
    return this.#selected === null ? null : this.rowOf(this.#selected);
  }

  /** A node that has been loaded. */
  node(path: string): Node | null {
    const place = this.#places.get(path);
    return place?.branch.nodes[place.index] ?? null;
  }

  rowOf(path: string): number | null {
    const place = this.#places.get(path);
    return place === undefined ? null : place.branch.rowOf(place.index);
  }

  row(at: number): Row | null {
    if (at < 0 || at >= this.rowCount) {
      return null;
    }
    const { branch, index } = this.#root.locate(at);
    const place = { level: branch.level, position: index + 1, setSize: branch.total };
    const node = branch.nodes[index];
    if (node !== undefined) {
      const expanded = node.kind === 'group' && node.error === null ? this.isOpen(node.path) : null;
      return { is: 'node', node, expanded, ...place };
    }
    const page = branch.pages.get(branch.pageOf(index));
    if (page === undefined || page === 'loading') {
      return { is: 'pending', ...place };
    }
    return { is: 'failed', fault: page === 'loaded' ? NOT_A_NODE : page, ...place };
  }

  isOpen(path: string): boolean {
    const place = this.#places.get(path);
    return place?.branch.branchAt(place.index)?.open ?? false;
  }

  /** Loads what is missing in a range of rows. */
  async ensure(first: number, last: number): Promise<void> {
    const loads: Promise<void>[] = [];
    for (let at = Math.max(first, 0); at <= last && at < this.rowCount; at++) {
      const { branch, index } = this.#root.locate(at);
      const page = branch.pageOf(index);
      if (!branch.pages.has(page)) {
        loads.push(this.#loadPage(branch, page));
      }
    }
    await Promise.all(loads);
  }

  async open(path: string): Promise<void> {
    const place = this.#places.get(path);
    const node = place?.branch.nodes[place.index];
    if (place === undefined || node?.kind !== 'group' || node.error !== null) {
      return;
    }
    let branch = place.branch.branchAt(place.index);
    if (branch === undefined) {
      branch = new Branch(path, place.branch, place.index);
      place.branch.insert(branch);
    }
    branch.open = true;
    place.branch.recount();
    this.changed.emit();
    if (branch.total === null) {
      await this.#loadPage(branch, 0);
    }
  }

  close(path: string): void {
    const place = this.#places.get(path);
    const branch = place?.branch.branchAt(place.index);
    if (branch?.open !== true) {
      return;
    }
    branch.open = false;
    branch.parent?.recount();
    // The selection never hides: it goes up to the group that was closed.
    if (this.#selected?.startsWith(`${path}/`) === true) {
      this.#selected = path;
    }
    this.changed.emit();
  }

  async toggle(path: string): Promise<void> {
    if (this.isOpen(path)) {
      this.close(path);
    } else {
      await this.open(path);
    }
  }

  /** Reads a failed row's page once more. */
  async retry(at: number): Promise<void> {
    const { branch, index } = this.#root.locate(at);
    await this.#loadPage(branch, branch.pageOf(index));
  }

  select(path: string | null): void {
    this.#wanted = null;
    if (path !== this.#selected) {
      this.#selected = path;
      this.changed.emit();
    }
  }

  /** Selects a row; one that is not there yet is selected when it comes. */
  selectRow(at: number): void {
    const row = this.row(at);
    if (row?.is === 'node') {
      this.select(row.node.path);
    } else if (row !== null) {
      this.#wanted = this.#root.locate(at);
      void this.ensure(at, at);
    }
  }

  /** Opens the groups above a node and selects it, as far as they exist. */
  async reveal(path: string): Promise<void> {
    this.select(path);
    await this.ensure(0, 0);
    const names = path.split('/');
    for (let depth = 1; depth < names.length; depth++) {
      await this.open(names.slice(0, depth).join('/'));
    }
  }

  /** The next loaded row whose name begins so, after `from` and around the end; or null. */
  find(prefix: string, from: number): number | null {
    const wanted = prefix.toLocaleLowerCase();
    const count = this.rowCount;
    for (let step = 0; step < count; step++) {
      const at = (from + step) % count;
      const row = this.row(at);
      if (row?.is === 'node' && row.node.name.toLocaleLowerCase().startsWith(wanted)) {
        return at;
      }
    }
    return null;
  }

  async #loadPage(branch: Branch, offset: number): Promise<void> {
    const { signal } = this.#abort;
    branch.pages.set(offset, 'loading');
    this.changed.emit();
    try {
      const page = await this.#load(branch.path, offset, branch.pageSize, signal);
      if (!signal.aborted) {
        this.#place(branch, offset, page);
      }
    } catch (error) {
      if (!signal.aborted && !isAbort(error)) {
        branch.pages.set(offset, faultOf(error));
      }
    }
    this.changed.emit();
  }

  #place(branch: Branch, offset: number, page: TreePage): void {
    branch.total = page.total;
    if (offset === 0 && page.next !== null && page.next > 0) {
      branch.pageSize = page.next;
    }
    branch.pages.set(offset, 'loaded');
    page.nodes.forEach((node, step) => {
      branch.nodes[offset + step] = node;
      this.#places.set(node.path, { branch, index: offset + step });
    });
    branch.recount();
    this.#consolidated ??= page.consolidated;
    const wanted = this.#wanted;
    const node = wanted?.branch.nodes[wanted.index];
    if (node !== undefined) {
      this.#wanted = null;
      this.#selected = node.path;
    }
  }
}
