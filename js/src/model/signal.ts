/** Something that others can listen to. Listening returns the way to stop. */
export class Signal<T = void> {
  readonly #listeners = new Set<(value: T) => void>();

  listen(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  emit(value: T): void {
    // A listener may stop listening, or make others listen, while it is told.
    for (const listener of [...this.#listeners]) {
      listener(value);
    }
  }
}
