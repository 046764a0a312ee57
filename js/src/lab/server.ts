import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { PlaneChoice, ZarrServer } from '../model/browser';
import { FaultError } from '../model/fault';
import { parseChunks, type ChunkPlane } from '../wire/chunks';
import {
  parseDetails,
  parseFault,
  parseStats,
  parseStoreList,
  parseTreePage,
  type Details,
  type Fault,
  type Stats,
  type StoreList,
  type TreePage
} from '../wire/server';

type Query = Readonly<Record<string, string>>;

/** zlab's server extension, as asked from the page. */
export class LabServer implements ZarrServer {
  readonly #settings: ServerConnection.ISettings;
  readonly #trans: TranslationBundle;

  constructor(settings: ServerConnection.ISettings, trans: TranslationBundle) {
    this.#settings = settings;
    this.#trans = trans;
  }

  async stores(signal: AbortSignal): Promise<StoreList> {
    return parseStoreList(await this.#json('stores', {}, signal));
  }

  async tree(
    store: string,
    path: string,
    offset: number,
    limit: number,
    signal: AbortSignal
  ): Promise<TreePage> {
    const query = { store, path, offset: String(offset), limit: String(limit) };
    return parseTreePage(await this.#json('tree', query, signal));
  }

  async node(store: string, path: string, signal: AbortSignal): Promise<Details> {
    return parseDetails(await this.#json('node', { store, path }, signal));
  }

  async stats(store: string, path: string, signal: AbortSignal): Promise<Stats> {
    return parseStats(await this.#json('stats', { store, path }, signal));
  }

  async chunks(
    store: string,
    path: string,
    choice: PlaneChoice,
    signal: AbortSignal
  ): Promise<ChunkPlane> {
    const plane = { axes: choice.axes.join(','), index: choice.index.join(',') };
    const response = await this.#ask('chunks', { store, path, ...plane }, signal);
    return parseChunks(await response.arrayBuffer());
  }

  async #json(endpoint: string, query: Query, signal: AbortSignal): Promise<unknown> {
    const response = await this.#ask(endpoint, query, signal);
    return await response.json();
  }

  async #ask(endpoint: string, query: Query, signal: AbortSignal): Promise<Response> {
    const url =
      URLExt.join(this.#settings.baseUrl, 'zlab', 'api', endpoint) +
      URLExt.objectToQueryString(query);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, { signal }, this.#settings);
    } catch (error) {
      signal.throwIfAborted();
      throw new FaultError({
        message: this.#trans.__('The Jupyter server cannot be reached'),
        reason: error instanceof Error ? error.name : String(error),
        hint: this.#trans.__('See whether it is running, and whether you are connected.')
      });
    }
    if (!response.ok) {
      throw new FaultError(await this.#faultOf(response));
    }
    return response;
  }

  /** The server's own words, or, where an answer is not zlab's, what its status means. */
  async #faultOf(response: Response): Promise<Fault> {
    const trans = this.#trans;
    try {
      return parseFault(await response.json());
    } catch {
      const reason = `${response.status} ${response.statusText}`;
      switch (response.status) {
        case 401:
        case 403:
          return {
            message: trans.__('The Jupyter server does not let you in'),
            reason,
            hint: trans.__('Log in again: reload the page.')
          };
        case 404:
          return {
            message: trans.__("zlab's server extension does not answer"),
            reason,
            hint: trans.__(
              'Install zlab where the Jupyter server runs, see that "jupyter server extension list" has it enabled, and restart the server.'
            )
          };
        default:
          return {
            message: trans.__('The Jupyter server failed'),
            reason,
            hint: trans.__('Its log says more.')
          };
      }
    }
  }
}
