import { PanelWithToolbar } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import type { Message } from '@lumino/messaging';
import { Signal } from '../model/signal';

/** One foldable part of the sidebar. */
export class Section extends PanelWithToolbar {
  /** Tells whether the section came into sight or went out of it. */
  readonly shown = new Signal<boolean>();
  readonly #body = document.createElement('div');

  constructor(id: string, title: string) {
    super();
    this.id = `zlab-${id}`;
    this.title.label = title;
    this.addClass('zlab-Section');
    this.addClass('zlab-View');
    this.#body.className = 'zlab-Section-body';
    this.addWidget(new Widget({ node: this.#body }));
  }

  /** Puts something else into the section. With `scrolls` it scrolls by itself. */
  fill(content: readonly (Node | null)[], scrolls = false): void {
    this.#body.classList.toggle('zlab-mod-fill', scrolls);
    const parts = content.filter(part => part !== null);
    const there = [...this.#body.childNodes];
    // What is there already stays: put in again it would lose focus and place.
    if (parts.length !== there.length || parts.some((part, at) => part !== there[at])) {
      this.#body.replaceChildren(...parts);
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this.shown.emit(true);
    }
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.shown.emit(true);
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.shown.emit(false);
  }
}
