import type { ChunkPlane } from '../wire/chunks';
import type { Details, Stats, StoreList, TreePage } from '../wire/server';
import { chooseAxes, HeatmapModel } from './heatmap';
import { Remote } from './remote';
import { Signal } from './signal';
import { StoreListModel } from './stores';
import { TreeModel } from './tree';

/** Which plane of a chunk grid. */
export interface PlaneChoice {
  readonly axes: readonly number[];
  readonly index: readonly number[];
}

/** What the browser asks of the server extension. */
export interface ZarrServer {
  stores(signal: AbortSignal): Promise<StoreList>;
  tree(
    store: string,
    path: string,
    offset: number,
    limit: number,
    signal: AbortSignal
  ): Promise<TreePage>;
  node(store: string, path: string, signal: AbortSignal): Promise<Details>;
  stats(store: string, path: string, signal: AbortSignal): Promise<Stats>;
  chunks(
    store: string,
    path: string,
    choice: PlaneChoice,
    signal: AbortSignal
  ): Promise<ChunkPlane>;
}

/** A node of a store, by name. */
export interface NodeAddress {
  readonly store: string;
  readonly path: string;
}

/** Time that the selection must rest before its details are asked for, in milliseconds. */
const REST_MS = 80;

async function rest(signal: AbortSignal): Promise<void> {
  await new Promise<void>(resolve => {
    setTimeout(resolve, REST_MS);
  });
  signal.throwIfAborted();
}

/** A store, its tree, and the node of it that is looked at. */
export class BrowserModel {
  /** Another store was opened, or none. */
  readonly treeReplaced = new Signal();
  /** Something that is worth remembering changed. */
  readonly moved = new Signal();
  readonly stores: StoreListModel;
  readonly details = new Remote<Details>();
  readonly stats = new Remote<Stats>();
  readonly plane = new Remote<ChunkPlane>();
  readonly heatmap = new HeatmapModel();
  readonly #server: ZarrServer;
  #tree: TreeModel | null = null;
  #store: string | null = null;
  #node: NodeAddress | null = null;
  #showsChunks = false;
  /** Where to go in the store that is opened next. */
  #path = '';

  constructor(server: ZarrServer) {
    this.#server = server;
    this.stores = new StoreListModel(signal => server.stores(signal));
    this.stores.changed.listen(() => {
      if (this.stores.selected !== this.#store) {
        this.#openStore(this.stores.selected);
      }
      this.moved.emit();
    });
    this.plane.changed.listen(() => {
      const { state } = this.plane;
      // While another plane of the same array is on its way, the old one stays.
      if (state.is === 'ready') {
        this.heatmap.movePlane(state.value);
      } else if (state.is !== 'loading' || state.stale === null) {
        this.heatmap.setPlane(null);
      }
    });
  }

  /** The nodes of the store that is open. */
  get tree(): TreeModel | null {
    return this.#tree;
  }

  /** What is looked at: the selected node, else the root of the store. */
  get node(): NodeAddress | null {
    return this.#node;
  }

  /** Goes to a node of a store, whether the store is listed or not. */
  show(store: string, path = ''): void {
    this.#path = path;
    if (store === this.#store) {
      void this.#tree?.reveal(path);
    } else {
      this.stores.add(store);
    }
  }

  /** Reads everything anew. */
  async refresh(): Promise<void> {
    const listed = this.stores.refresh();
    if (this.#store !== null) {
      this.#path = this.#node?.path ?? '';
      this.#openStore(this.#store);
    }
    await listed;
  }

  /** Chunks are listed only for somebody who sees them: of a remote store that is dear. */
  set showsChunks(shows: boolean) {
    this.#showsChunks = shows;
    if (shows && this.plane.state.is === 'idle') {
      this.#askFirstPlane();
    }
  }

  /** Draws another plane of the chunk grid. */
  choosePlane(choice: PlaneChoice): void {
    this.#askPlane(choice, true);
  }

  remember(): unknown {
    return { stores: this.stores.remember(), path: this.#node?.path ?? '' };
  }

  /** Takes back what {@link remember} gave. */
  restore(kept: unknown): void {
    const { stores, path } = (kept ?? {}) as Record<string, unknown>;
    this.#path = typeof path === 'string' ? path : '';
    this.stores.restore(stores);
  }

  #openStore(store: string | null): void {
    const path = this.#path;
    this.#path = '';
    this.#tree?.dispose();
    this.#store = store;
    this.#tree = null;
    this.#node = null;
    this.#askDetails();
    if (store !== null) {
      const tree = new TreeModel((parent, offset, limit, signal) =>
        this.#server.tree(store, parent, offset, limit, signal)
      );
      this.#tree = tree;
      tree.changed.listen(() => {
        if (this.#tree === tree) {
          this.#follow(store, tree.selected ?? '');
        }
      });
      this.#follow(store, path);
      if (path !== '') {
        void tree.reveal(path);
      }
    }
    this.treeReplaced.emit();
  }

  /** Looks at what is selected in the tree. */
  #follow(store: string, path: string): void {
    if (this.#node?.store !== store || this.#node.path !== path) {
      this.#node = { store, path };
      this.#askDetails();
      this.moved.emit();
    }
  }

  #askDetails(): void {
    const node = this.#node;
    this.stats.clear();
    this.plane.clear();
    if (node === null) {
      this.details.clear();
      return;
    }
    const { store, path } = node;
    const load = async (signal: AbortSignal): Promise<Details> => {
      await rest(signal);
      return await this.#server.node(store, path, signal);
    };
    void this.details.ask(load, true).then(() => {
      if (this.#node === node && this.details.value?.array) {
        void this.stats.ask(signal => this.#server.stats(store, path, signal));
        this.#askFirstPlane();
      }
    });
  }

  #askFirstPlane(): void {
    const grid = this.details.value?.array?.chunk_grid_shape;
    if (grid !== undefined) {
      this.#askPlane({ axes: chooseAxes(grid), index: grid.map(() => 0) }, false);
    }
  }

  #askPlane(choice: PlaneChoice, keep: boolean): void {
    const details = this.details.value;
    if (this.#showsChunks && details !== null) {
      const { store, path } = details;
      const load = (signal: AbortSignal): Promise<ChunkPlane> =>
        this.#server.chunks(store, path, choice, signal);
      void this.plane.ask(load, keep);
    }
  }
}
