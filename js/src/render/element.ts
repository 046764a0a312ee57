/** Attributes by name. `null` and `false` leave an attribute out; `true` sets it empty. */
export type Attributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

export type Child = Node | string | null;

/** Makes an element. Text stays text: nothing that a store holds is ever parsed as HTML. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  setAttributes(made, attributes);
  made.append(...children.filter(child => child !== null));
  return made;
}

export function setAttributes(target: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) {
      target.removeAttribute(name);
    } else {
      target.setAttribute(name, value === true ? '' : String(value));
    }
  }
}

/** A part of a page, and the end of it. */
export interface View {
  readonly element: HTMLElement;
  dispose(): void;
}

let made = 0;

/** An id that no other element has. */
export function freshId(purpose: string): string {
  made += 1;
  return `zlab-${purpose}-${made}`;
}
