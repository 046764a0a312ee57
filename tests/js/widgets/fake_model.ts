import { vi } from 'vitest';
import type { RenderProps } from '@anywidget/types';

type Traits = Record<string, unknown>;

/** A model as anywidget hands it to a widget, without a kernel behind it. */
export class FakeModel {
  readonly saved: Traits[] = [];
  readonly #listeners = new Map<string, Set<() => void>>();
  #unsaved: Traits = {};

  constructor(readonly traits: Traits) {}

  get(name: string): unknown {
    return this.traits[name];
  }

  set(name: string, value: unknown): void {
    this.traits[name] = value;
    this.#unsaved[name] = value;
  }

  save_changes(): void {
    this.saved.push(this.#unsaved);
    this.#unsaved = {};
  }

  on(event: string, listener: () => void): void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
  }

  off(event: string, listener: () => void): void {
    this.#listeners.get(event)?.delete(listener);
  }

  get listening(): number {
    return [...this.#listeners.values()].reduce((sum, listeners) => sum + listeners.size, 0);
  }

  /** What arrives from the kernel: all traits are set, then each change is told. */
  receive(traits: Traits): void {
    Object.assign(this.traits, traits);
    for (const name of Object.keys(traits)) {
      for (const listener of this.#listeners.get(`change:${name}`) ?? []) {
        listener();
      }
    }
  }

  /** What a widget's `render` takes. */
  props(el: HTMLElement): RenderProps<Traits> {
    return {
      model: this,
      el,
      experimental: { invoke: vi.fn() }
    } as unknown as RenderProps<Traits>;
  }
}
