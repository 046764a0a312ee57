import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import { element } from '../render/element';
import { faultNotice, notice } from '../render/notice';
import { TelemetryView } from '../render/telemetry_view';
import type { ActiveKernel, KernelFeeds } from './active_kernel';
import { plotIcon } from './icons';
import type { KernelFeed } from './kernel_feed';

/** The plots of the kernel in front, or why there are none. */
export class TelemetryPanel extends Widget {
  readonly #feeds: KernelFeeds;
  readonly #trans: TranslationBundle;
  #window_s: number;
  #view: TelemetryView | null = null;
  #feed: KernelFeed | null = null;
  #unlisten: (() => void)[] = [];

  constructor(feeds: KernelFeeds, trans: TranslationBundle, window_s: number) {
    super();
    this.#feeds = feeds;
    this.#trans = trans;
    this.#window_s = window_s;
    this.id = 'zlab-telemetry';
    this.addClass('zlab-View');
    this.addClass('zlab-TelemetryPanel');
    this.title.icon = plotIcon;
    this.title.caption = trans.__('Live Zarr I/O');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Live Zarr I/O'));
    feeds.changed.listen(() => {
      this.#follow();
    });
    this.#follow();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.#feed?.renew();
  }

  setWindow(window_s: number): void {
    this.#window_s = window_s;
    this.#view?.setWindow(window_s);
  }

  /** Turns to the kernel that is in front now. */
  #follow(): void {
    const feed = this.#feeds.active?.feed ?? null;
    if (feed !== this.#feed) {
      for (const stop of this.#unlisten) {
        stop();
      }
      this.#view?.dispose();
      this.#view = null;
      this.#feed = feed;
      const draw = (): void => {
        this.#draw();
      };
      this.#unlisten =
        feed === null ? [] : [feed.changed.listen(draw), feed.model.changed.listen(draw)];
    }
    this.#draw();
  }

  #draw(): void {
    const active = this.#feeds.active;
    const feed = active?.feed ?? null;
    if (feed?.fault) {
      this.#fill(faultNotice(feed.fault, this.#trans));
    } else if (active === null || !feed?.model.last) {
      this.#fill(this.#silence(active));
    } else {
      this.#view ??= new TelemetryView(feed.model, this.#trans, this.#window_s);
      if (!this.node.contains(this.#view.element)) {
        this.#fill(this.#view.element);
      }
    }
  }

  #fill(content: HTMLElement): void {
    const name = this.#feeds.active?.name;
    const title = element(
      'h2',
      { class: 'zlab-TelemetryPanel-title' },
      this.#trans.__('Live Zarr I/O'),
      name === undefined ? null : element('span', { class: 'zlab-faint' }, name)
    );
    this.node.replaceChildren(title, content);
  }

  /** Why nothing is drawn, and what to do about it. */
  #silence(active: ActiveKernel | null): HTMLElement {
    const trans = this.#trans;
    if (active === null) {
      return notice(
        trans.__('No kernel'),
        trans.__('Open a notebook or a console: what zlab reads and writes there is drawn here.')
      );
    }
    if (active.feed === null) {
      return notice(
        trans.__('No kernel'),
        trans.__('%1 has none. Choose one to run its code.', active.name)
      );
    }
    if (active.feed.isKnown) {
      return notice(trans.__('Nothing to see yet'), trans.__('zlab has not been used there.'));
    }
    return notice(
      trans.__('Nothing to see yet'),
      trans.__('Run "import zlab" in %1 to see its I/O.', active.name)
    );
  }
}
