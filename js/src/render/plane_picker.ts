import type { PlaneChoice } from '../model/browser';
import type { ChunkHeader } from '../wire/chunks';
import { element, type View } from './element';
import type { Words } from './words';

/** Swaps an axis in; if it was the other one already, the two change places. */
export function withAxis(axes: readonly number[], place: number, axis: number): readonly number[] {
  const before = axes[place] ?? axis;
  return axes.map((other, at) => (at === place ? axis : other === axis ? before : other));
}

/** Chooses which axes are drawn, and where on the others; empty for a grid of up to two axes. */
export class PlanePicker implements View {
  readonly element = element('div', { class: 'zlab-PlanePicker' });
  readonly #words: Words;
  readonly #choose: (choice: PlaneChoice) => void;
  /** What the controls were made for. */
  #made = '';
  readonly #sliders = new Map<number, (at: number) => void>();
  /** What was chosen last; the plane that it asks for may be on its way. */
  #chosen: PlaneChoice = { axes: [], index: [] };

  constructor(words: Words, choose: (choice: PlaneChoice) => void) {
    this.#words = words;
    this.#choose = choose;
  }

  dispose(): void {
    this.element.remove();
  }

  show(plane: ChunkHeader, names: readonly (string | null)[] | null): void {
    this.#chosen = plane;
    // Controls that still fit stay, and keep the focus.
    const made = JSON.stringify([plane.chunk_grid_shape, plane.axes, names]);
    if (made !== this.#made) {
      this.#made = made;
      this.#sliders.clear();
      this.element.replaceChildren(...this.#controls(plane, names));
    }
    for (const [axis, move] of this.#sliders) {
      move(plane.index[axis] ?? 0);
    }
  }

  #ask(choice: PlaneChoice): void {
    this.#chosen = choice;
    this.#choose(choice);
  }

  #controls(plane: ChunkHeader, names: readonly (string | null)[] | null): HTMLElement[] {
    const { axes, chunk_grid_shape: grid } = plane;
    if (grid.length <= 2) {
      return [];
    }
    const labels = grid.map((_, axis) => names?.[axis] ?? this.#words.__('axis %1', axis));
    const others = grid.flatMap((length, axis) => {
      const label = labels[axis] ?? '';
      return axes.includes(axis) || length <= 1 ? [] : [this.#slider(axis, label, length)];
    });
    return [
      this.#axisChoice(this.#words.__('rows'), 0, labels, axes),
      this.#axisChoice(this.#words.__('columns'), 1, labels, axes),
      ...others
    ];
  }

  #axisChoice(
    label: string,
    place: number,
    names: readonly string[],
    axes: readonly number[]
  ): HTMLElement {
    const options = names.map((name, axis) =>
      element('option', { value: axis, selected: axis === axes[place] }, name)
    );
    const select = element('select', {}, ...options);
    select.addEventListener('change', () => {
      const { axes, index } = this.#chosen;
      this.#ask({ axes: withAxis(axes, place, Number(select.value)), index });
    });
    return element('label', {}, `${label} `, select);
  }

  #slider(axis: number, name: string, length: number): HTMLElement {
    const shown = element('output');
    const slider = element('input', { type: 'range', min: 0, max: length - 1 });
    this.#sliders.set(axis, at => {
      slider.value = String(at);
      shown.textContent = slider.value;
    });
    slider.addEventListener('input', () => {
      shown.textContent = slider.value;
    });
    slider.addEventListener('change', () => {
      const { axes, index } = this.#chosen;
      const moved = index.map((old, other) => (other === axis ? Number(slider.value) : old));
      this.#ask({ axes, index: moved });
    });
    return element('label', { class: 'zlab-PlanePicker-slider' }, `${name} `, slider, shown);
  }
}
