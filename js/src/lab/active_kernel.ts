import type { ISessionContext } from '@jupyterlab/apputils';
import type { IConsoleTracker } from '@jupyterlab/console';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import type { Widget } from '@lumino/widgets';
import { Signal } from '../model/signal';
import { KernelFeed } from './kernel_feed';

interface SessionWidget extends Widget {
  readonly sessionContext: ISessionContext;
}

/** The notebook or console in front, and what its kernel tells. */
export interface ActiveKernel {
  /** The name of the notebook or console. */
  readonly name: string;
  /** Null while it has no kernel. */
  readonly feed: KernelFeed | null;
}

/** Listens to the kernels of all notebooks and consoles, and knows which of them is in front. */
export class KernelFeeds {
  readonly changed = new Signal();
  readonly #feeds = new Map<string, KernelFeed>();
  readonly #watched = new Set<SessionWidget>();
  #current: SessionWidget | null = null;
  #hz: number;

  constructor(notebooks: INotebookTracker | null, consoles: IConsoleTracker | null, hz: number) {
    this.#hz = hz;
    for (const tracker of [notebooks, consoles]) {
      tracker?.forEach(widget => {
        this.#watch(widget);
      });
      tracker?.widgetAdded.connect((_, widget) => {
        this.#watch(widget);
      }, this);
      tracker?.currentChanged.connect((_, widget) => {
        this.#activate(widget);
      }, this);
      this.#activate(tracker?.currentWidget ?? null);
    }
  }

  get active(): ActiveKernel | null {
    const widget = this.#current;
    if (widget === null || widget.isDisposed) {
      return null;
    }
    const kernel = widget.sessionContext.session?.kernel;
    return {
      name: widget.sessionContext.name,
      feed: kernel ? (this.#feeds.get(kernel.id) ?? null) : null
    };
  }

  setRate(hz: number): void {
    this.#hz = hz;
    for (const feed of this.#feeds.values()) {
      feed.setRate(hz);
    }
  }

  #activate(widget: SessionWidget | null): void {
    // A tracker that lost its last widget leaves the place to the other one's.
    if (widget !== null || this.#current?.isDisposed === true) {
      this.#current = widget;
      this.changed.emit();
    }
  }

  #watch(widget: SessionWidget): void {
    this.#watched.add(widget);
    widget.sessionContext.kernelChanged.connect(this.#attachAll, this);
    widget.disposed.connect(() => {
      this.#watched.delete(widget);
      this.changed.emit();
    }, this);
    this.#attachAll();
  }

  #attachAll(): void {
    for (const { sessionContext } of this.#watched) {
      const kernel = sessionContext.session?.kernel;
      if (kernel && !kernel.isDisposed) {
        this.#attach(kernel);
      }
    }
    this.changed.emit();
  }

  #attach(kernel: Kernel.IKernelConnection): void {
    // Several connections may lead to one kernel; the first handles comms and can answer it.
    if (this.#feeds.has(kernel.id)) {
      return;
    }
    const feed = new KernelFeed(kernel, this.#hz);
    this.#feeds.set(kernel.id, feed);
    kernel.disposed.connect(() => {
      feed.dispose();
      this.#feeds.delete(kernel.id);
      this.#attachAll();
    }, this);
  }
}
