import type { Fault } from '../wire/server';
import { faultOf, isAbort } from './fault';
import { Signal } from './signal';

export type RemoteState<T> =
  | { readonly is: 'idle' }
  /** `stale` is what was there before, to be shown until the new value is. */
  | { readonly is: 'loading'; readonly stale: T | null }
  | { readonly is: 'ready'; readonly value: T }
  | { readonly is: 'failed'; readonly fault: Fault };

/** A value that comes from elsewhere; only the answer to the latest question counts. */
export class Remote<T> {
  readonly changed = new Signal();
  #state: RemoteState<T> = { is: 'idle' };
  #asking: AbortController | null = null;
  #again: (() => Promise<void>) | null = null;

  get state(): RemoteState<T> {
    return this.#state;
  }

  /** The value, if it is there. */
  get value(): T | null {
    return this.#state.is === 'ready' ? this.#state.value : null;
  }

  /**
   * Asks, and gives up what was asked before.
   *
   * @param keep - Whether the old value stays in sight meanwhile: it is of the same thing.
   */
  async ask(load: (signal: AbortSignal) => Promise<T>, keep = false): Promise<void> {
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    this.#again = () => this.ask(load, keep);
    this.#become({ is: 'loading', stale: keep ? this.value : null });
    try {
      const value = await load(asking.signal);
      if (this.#asking === asking) {
        this.#become({ is: 'ready', value });
      }
    } catch (error) {
      if (this.#asking === asking && !isAbort(error)) {
        this.#become({ is: 'failed', fault: faultOf(error) });
      }
    }
  }

  /** Asks the same question once more. */
  async retry(): Promise<void> {
    await this.#again?.();
  }

  /** Forgets value and question. */
  clear(): void {
    this.#asking?.abort();
    this.#asking = null;
    this.#again = null;
    this.#become({ is: 'idle' });
  }

  #become(state: RemoteState<T>): void {
    this.#state = state;
    this.changed.emit();
  }
}
