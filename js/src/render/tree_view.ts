import type { FailedRow, NodeRow, Row, TreeModel } from '../model/tree';
import type { Node as ZarrNode } from '../wire/server';
import { element, freshId, setAttributes, type View } from './element';
import { formatShape } from './format';
import { icon } from './icons';
import type { Words } from './words';

/** Height of a row in pixels, as in `shared.css`. */
const ROW_HEIGHT = 24;
/** Rows drawn above and below what is in sight. */
const OVERSCAN = 8;
/** Letters typed within this time of each other are one word. */
const TYPE_AHEAD_MS = 700;
const INDENT = 12;

export interface TreeOptions {
  readonly label: string;
  /** Enter or a double click on an array. */
  onActivate?(node: ZarrNode): void;
  /** What a row leaves where it is dropped. */
  dragText?(node: ZarrNode): string;
}

/**
 * A tree of which only the rows in sight exist, with the keys and roles of an ARIA tree.
 *
 * The rows are of one height, so which of them are in sight is a division.
 */
export class TreeView implements View {
  readonly element: HTMLElement;
  readonly #model: TreeModel;
  readonly #options: TreeOptions;
  readonly #words: Words;
  readonly #canvas = element('div', { class: 'zlab-Tree-canvas', role: 'presentation' });
  readonly #rows = new Map<number, HTMLElement>();
  readonly #id = freshId('tree');
  readonly #resized: ResizeObserver;
  readonly #unlisten: () => void;
  #typed = '';
  #typedAt = 0;
  /** The selection that was scrolled to. */
  #shown: string | null = null;

  constructor(model: TreeModel, words: Words, options: TreeOptions) {
    this.#model = model;
    this.#words = words;
    this.#options = options;
    this.element = element(
      'div',
      { class: 'zlab-Tree', role: 'tree', tabindex: 0, 'aria-label': options.label },
      this.#canvas
    );
    this.element.addEventListener('scroll', () => {
      this.#draw();
    });
    this.element.addEventListener('click', this.#onClick);
    this.element.addEventListener('dblclick', this.#onDoubleClick);
    this.element.addEventListener('contextmenu', this.#onContextMenu);
    this.element.addEventListener('keydown', this.#onKeyDown);
    this.element.addEventListener('dragstart', this.#onDragStart);
    this.#resized = new ResizeObserver(() => {
      this.#draw();
    });
    this.#resized.observe(this.element);
    this.#unlisten = model.changed.listen(() => {
      this.#update();
    });
    this.#update();
  }

  dispose(): void {
    this.#unlisten();
    this.#resized.disconnect();
    this.element.remove();
  }

  #update(): void {
    this.#canvas.style.height = `${this.#model.rowCount * ROW_HEIGHT}px`;
    const { selected, selectedRow } = this.#model;
    if (selected === null) {
      this.#shown = null;
    } else if (selectedRow !== null && selected !== this.#shown) {
      this.#shown = selected;
      this.#scrollTo(selectedRow);
    }
    this.#draw();
  }

  #draw(): void {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(Math.floor(scrollTop / ROW_HEIGHT) - OVERSCAN, 0);
    const visible = Math.ceil(clientHeight / ROW_HEIGHT) + 2 * OVERSCAN;
    const last = Math.min(first + visible, this.#model.rowCount) - 1;
    for (const [at, drawn] of this.#rows) {
      if (at < first || at > last) {
        drawn.remove();
        this.#rows.delete(at);
      }
    }
    for (let at = first; at <= last; at++) {
      const row = this.#model.row(at);
      if (row !== null) {
        this.#drawRow(at, row);
      }
    }
    const active = this.#model.selectedRow;
    setAttributes(this.element, {
      'aria-activedescendant':
        active !== null && this.#rows.has(active) ? this.#rowId(active) : null
    });
    void this.#model.ensure(first, last);
  }

  #rowId(at: number): string {
    return `${this.#id}-${at}`;
  }

  #drawRow(at: number, row: Row): void {
    let drawn = this.#rows.get(at);
    if (drawn === undefined) {
      drawn = element('div', { class: 'zlab-TreeRow', role: 'treeitem', id: this.#rowId(at) });
      drawn.dataset['row'] = String(at);
      drawn.style.transform = `translateY(${at * ROW_HEIGHT}px)`;
      this.#rows.set(at, drawn);
      this.#canvas.append(drawn);
    }
    const node = row.is === 'node' ? row.node : null;
    setAttributes(drawn, {
      'aria-level': row.level,
      'aria-posinset': row.position,
      // -1 is ARIA's word for a number that is not known
      'aria-setsize': row.setSize ?? -1,
      'aria-expanded': row.is === 'node' && row.expanded !== null ? String(row.expanded) : null,
      'aria-selected': String(node !== null && node.path === this.#model.selected),
      'aria-busy': row.is === 'pending' ? 'true' : null,
      'data-kind': node?.kind,
      'data-path': node?.path,
      draggable: node !== null && this.#options.dragText !== undefined ? 'true' : null
    });
    drawn.style.paddingLeft = `${(row.level - 1) * INDENT}px`;
    // The element stays while its row does, or a second click would not find the first one's.
    const content = row.is === 'node' ? JSON.stringify([row.node, row.expanded]) : row.is;
    if (drawn.dataset['content'] !== content) {
      drawn.dataset['content'] = content;
      drawn.replaceChildren(...this.#contentOf(row));
    }
  }

  #contentOf(row: Row): Node[] {
    if (row.is === 'pending') {
      return [element('span', { class: 'zlab-TreeRow-pending' }, this.#words.__('Loading…'))];
    }
    if (row.is === 'failed') {
      return this.#failedContent(row);
    }
    return this.#nodeContent(row);
  }

  #failedContent({ fault }: FailedRow): Node[] {
    const title = [fault.message, fault.hint, this.#words.__('Click to try again.')];
    return [
      element('span', { class: 'zlab-TreeRow-twisty' }),
      icon('fault'),
      element(
        'span',
        { class: 'zlab-TreeRow-name', title: title.filter(Boolean).join('\n') },
        fault.message
      )
    ];
  }

  #nodeContent({ node, expanded }: NodeRow): Node[] {
    const twisty = element('span', { class: 'zlab-TreeRow-twisty' });
    if (expanded !== null) {
      twisty.append(icon(expanded ? 'open' : 'closed'));
    }
    const kind = node.error === null ? node.kind : 'fault';
    const shape = node.shape === null ? '' : formatShape(node.shape);
    const about = node.error?.message ?? [node.dtype ?? '', shape].filter(Boolean).join(' ');
    const content: Node[] = [
      twisty,
      icon(kind),
      element('span', { class: 'zlab-TreeRow-name', title: node.path || node.name }, node.name)
    ];
    if (about !== '') {
      content.push(element('span', { class: 'zlab-TreeRow-about', title: about }, about));
    }
    return content;
  }

  #rowAt(event: Event): { at: number; row: Row } | null {
    const drawn = (event.target as Element).closest<HTMLElement>('.zlab-TreeRow');
    const at = Number(drawn?.dataset['row'] ?? NaN);
    const row = this.#model.row(at);
    return row === null ? null : { at, row };
  }

  readonly #onClick = (event: MouseEvent): void => {
    const hit = this.#rowAt(event);
    if (hit?.row.is === 'failed') {
      void this.#model.retry(hit.at);
    } else if (hit?.row.is === 'node') {
      this.#model.select(hit.row.node.path);
      if ((event.target as Element).closest('.zlab-TreeRow-twisty') !== null) {
        void this.#model.toggle(hit.row.node.path);
      }
    }
  };

  readonly #onDoubleClick = (event: MouseEvent): void => {
    const hit = this.#rowAt(event);
    const onTwisty = (event.target as Element).closest('.zlab-TreeRow-twisty') !== null;
    if (hit?.row.is === 'node' && !onTwisty) {
      this.#activate(hit.row);
    }
  };

  readonly #onContextMenu = (event: MouseEvent): void => {
    const hit = this.#rowAt(event);
    if (hit?.row.is === 'node') {
      this.#model.select(hit.row.node.path);
    }
  };

  readonly #onDragStart = (event: DragEvent): void => {
    const hit = this.#rowAt(event);
    if (hit?.row.is === 'node' && this.#options.dragText !== undefined) {
      event.dataTransfer?.setData('text/plain', this.#options.dragText(hit.row.node));
    }
  };

  #activate(row: NodeRow): void {
    if (row.expanded !== null) {
      void this.#model.toggle(row.node.path);
    } else {
      this.#options.onActivate?.(row.node);
    }
  }

  readonly #onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (this.#press(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };

  #press(event: KeyboardEvent): boolean {
    const at = this.#model.selectedRow;
    const page = Math.max(Math.floor(this.element.clientHeight / ROW_HEIGHT) - 1, 1);
    const last = this.#model.rowCount - 1;
    switch (event.key) {
      case 'ArrowDown':
        return this.#go(at === null ? 0 : at + 1);
      case 'ArrowUp':
        return this.#go(at === null ? last : at - 1);
      case 'PageDown':
        return this.#go(Math.min((at ?? 0) + page, last));
      case 'PageUp':
        return this.#go(Math.max((at ?? 0) - page, 0));
      case 'Home':
        return this.#go(0);
      case 'End':
        return this.#go(last);
      case 'ArrowRight':
        return this.#pressRight(at);
      case 'ArrowLeft':
        return this.#pressLeft(at);
      case 'Enter':
        return this.#pressEnter(at);
      default:
        return this.#type(event);
    }
  }

  #go(at: number): boolean {
    if (at >= 0 && at < this.#model.rowCount) {
      this.#model.selectRow(at);
      this.#scrollTo(at);
      this.#draw();
    }
    return true;
  }

  #pressRight(at: number | null): boolean {
    const row = at === null ? null : this.#model.row(at);
    if (at !== null && row?.is === 'node') {
      if (row.expanded === false) {
        void this.#model.open(row.node.path);
      } else if (row.expanded === true && (this.#model.row(at + 1)?.level ?? 0) > row.level) {
        this.#go(at + 1);
      }
    }
    return true;
  }

  #pressLeft(at: number | null): boolean {
    const row = at === null ? null : this.#model.row(at);
    if (row?.is === 'node') {
      const end = row.node.path.lastIndexOf('/');
      const parent = end < 0 ? null : this.#model.rowOf(row.node.path.slice(0, end));
      if (row.expanded === true) {
        this.#model.close(row.node.path);
      } else if (parent !== null) {
        this.#go(parent);
      }
    }
    return true;
  }

  #pressEnter(at: number | null): boolean {
    const row = at === null ? null : this.#model.row(at);
    if (row?.is === 'node') {
      this.#activate(row);
    }
    return true;
  }

  /** Goes to the next name that begins with the letters typed lately. */
  #type(event: KeyboardEvent): boolean {
    // Keys that are not letters have names: 'Tab', 'F2'.
    if (!/^.$/u.test(event.key)) {
      return false;
    }
    const fresh = event.timeStamp - this.#typedAt > TYPE_AHEAD_MS;
    this.#typed = fresh ? event.key : this.#typed + event.key;
    this.#typedAt = event.timeStamp;
    const at = this.#model.selectedRow ?? 0;
    // A first letter goes on to the next name; further letters may fit the one at hand.
    const found = this.#model.find(this.#typed, fresh ? at + 1 : at);
    return found === null ? true : this.#go(found);
  }

  #scrollTo(at: number): void {
    const top = at * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) {
      this.element.scrollTop = top;
    } else if (top + ROW_HEIGHT > scrollTop + clientHeight) {
      this.element.scrollTop = top + ROW_HEIGHT - clientHeight;
    }
  }
}
