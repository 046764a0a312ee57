import type { TranslationBundle } from '@jupyterlab/translation';
import { element } from '../render/element';
import { faultNotice, notice } from '../render/notice';
import { TelemetryView } from '../render/telemetry_view';
import type { ActiveKernel, KernelFeeds } from './active_kernel';
import type { KernelFeed } from './kernel_feed';
import { Section } from './section';

/** The plots of the kernel in front, or why there are none. */
export class TelemetrySection extends Section {
  readonly #feeds: KernelFeeds;
  readonly #trans: TranslationBundle;
  #window_s: number;
  #view: TelemetryView | null = null;
  #feed: KernelFeed | null = null;
  #unlisten: (() => void)[] = [];

  constructor(feeds: KernelFeeds, trans: TranslationBundle, window_s: number) {
    super('telemetry', trans.__('Live I/O'));
    this.#feeds = feeds;
    this.#trans = trans;
    this.#window_s = window_s;
    feeds.changed.listen(() => {
      this.#follow();
    });
    this.shown.listen(shown => {
      if (shown) {
        this.#feed?.renew();
      }
    });
    this.#follow();
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
      this.fill([faultNotice(feed.fault, this.#trans)]);
    } else if (active === null || !feed?.model.last) {
      this.fill([this.#silence(active)]);
    } else {
      this.#view ??= new TelemetryView(feed.model, this.#trans, this.#window_s);
      if (!this.node.contains(this.#view.element)) {
        const of = element('p', { class: 'zlab-faint zlab-Telemetry-of' }, active.name);
        this.fill([element('div', { class: 'zlab-Section-pad' }, of, this.#view.element)]);
      }
    }
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
    return notice(
      trans.__('Nothing to see yet'),
      trans.__('Run "import zlab" in %1 to see its I/O.', active.name)
    );
  }
}
