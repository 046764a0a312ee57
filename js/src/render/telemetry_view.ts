import uPlot from 'uplot';
import { pageClock, quantile, type Columns, type TelemetryModel } from '../model/telemetry';
import type { Frame } from '../wire/comm';
import { element, type View } from './element';
import { formatBytes, formatCount, formatQuantity, formatRatio, formatSeconds } from './format';
import { formatColour, readTheme, watchTheme, type ColourName, type Theme } from './theme';
import type { Words } from './words';

const CHART_HEIGHT = 92;
const REDRAW_MS = 200;
/** Room for the numbers beside the y axis. */
const AXIS_WIDTH = 52;

type ColumnName = Exclude<keyof Columns, 't'>;

interface Series {
  readonly column: ColumnName;
  readonly label: string;
  readonly colour: ColourName;
}

interface Chart {
  readonly title: string;
  readonly format: (value: number) => string;
  readonly series: readonly Series[];
}

function charts(words: Words): readonly Chart[] {
  return [
    {
      title: words.__('Bytes per second'),
      format: formatBytes,
      series: [
        { column: 'fetched', label: words.__('fetched'), colour: 'accent' },
        { column: 'decoded', label: words.__('decoded'), colour: 'second' },
        { column: 'stored', label: words.__('written'), colour: 'third' }
      ]
    },
    {
      title: words.__('Chunks per second'),
      format: formatQuantity,
      series: [
        { column: 'chunksRead', label: words.__('read'), colour: 'accent' },
        { column: 'chunksWritten', label: words.__('written'), colour: 'third' }
      ]
    },
    {
      // Seconds of work in a second: how many went on at once.
      title: words.__('Concurrency'),
      format: formatQuantity,
      series: [
        { column: 'fetching', label: words.__('fetching'), colour: 'accent' },
        { column: 'decoding', label: words.__('decoding'), colour: 'second' },
        { column: 'inFlight', label: words.__('in flight'), colour: 'third' }
      ]
    }
  ];
}

class ChartView {
  readonly element: HTMLElement;
  readonly #chart: Chart;
  readonly #stage = element('div', { class: 'zlab-Chart-stage', 'aria-hidden': 'true' });
  readonly #values = new Map<ColumnName, HTMLElement>();
  #plot: uPlot | null = null;

  constructor(chart: Chart) {
    this.#chart = chart;
    const keys = chart.series.map(({ column, label, colour }) => {
      const value = element('span', { class: 'zlab-Chart-value' });
      this.#values.set(column, value);
      const line = element('span', { class: `zlab-Chart-line zlab-mod-${colour}` });
      return element(
        'span',
        { class: 'zlab-Chart-key', 'data-column': column },
        line,
        label,
        value
      );
    });
    this.element = element(
      'section',
      { class: 'zlab-Chart', 'aria-label': chart.title },
      element('h3', { class: 'zlab-Chart-title' }, chart.title),
      element('div', { class: 'zlab-Chart-keys' }, ...keys),
      this.#stage
    );
  }

  /** Makes the plot anew, as after a change of theme or width. */
  build(theme: Theme, width: number): void {
    this.#plot?.destroy();
    const axis = {
      stroke: formatColour(theme.faint),
      font: `10px ${getComputedStyle(this.element).fontFamily}`,
      grid: { stroke: formatColour(theme.border, 0.5), width: 1 },
      ticks: { show: false }
    };
    this.#plot = new uPlot(
      {
        width,
        height: CHART_HEIGHT,
        padding: [6, 8, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: false },
          y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.05 : 1] }
        },
        axes: [
          { ...axis, size: 18, gap: 2, space: 60, values: (_plot, ticks) => ticks.map(formatAgo) },
          {
            ...axis,
            size: AXIS_WIDTH,
            gap: 4,
            space: 24,
            values: (_plot, ticks) => ticks.map(this.#chart.format)
          }
        ],
        series: [
          {},
          ...this.#chart.series.map(({ colour }, at) => ({
            stroke: formatColour(theme[colour]),
            fill: formatColour(theme[colour], at === 0 ? 0.15 : 0),
            width: 1.25,
            points: { show: false },
            // A value is the mean of the time before it.
            ...steppedBack()
          }))
        ]
      },
      [[]],
      this.#stage
    );
  }

  draw(columns: Columns, window_s: number): void {
    const names = this.#chart.series.map(series => series.column);
    this.#plot?.batch(() => {
      this.#plot?.setData([columns.t, ...names.map(name => columns[name])], false);
      this.#plot?.setScale('x', { min: -window_s, max: 0 });
    });
    for (const [name, value] of this.#values) {
      const last = columns[name].at(-1);
      value.textContent = last === undefined ? '' : this.#chart.format(last);
    }
  }

  destroy(): void {
    this.#plot?.destroy();
  }
}

function steppedBack(): { paths?: uPlot.Series.PathBuilder } {
  const paths = uPlot.paths.stepped?.({ align: -1 });
  return paths === undefined ? {} : { paths };
}

function formatAgo(seconds: number): string {
  return seconds === 0 ? '0 s' : `${seconds.toFixed(0).replace('-', '−')} s`;
}

/** A line of sums: what was read since the kernel began. */
export function totalsText({ totals }: Frame, words: Words): string {
  const ratio = formatRatio(totals.nbytes_decoded, totals.nbytes_fetched);
  const parts = [
    words._n(
      '%2 chunk read',
      '%2 chunks read',
      totals.chunks_read,
      formatCount(totals.chunks_read)
    ),
    words.__(
      '%1 fetched, %2 decoded',
      formatBytes(totals.nbytes_fetched),
      formatBytes(totals.nbytes_decoded)
    ) + (ratio === null ? '' : ` (${ratio})`)
  ];
  if (totals.chunks_written > 0) {
    const written = formatCount(totals.chunks_written);
    parts.push(words._n('%2 written', '%2 written', totals.chunks_written, written));
  }
  if (totals.retries > 0) {
    parts.push(words._n('%2 retry', '%2 retries', totals.retries, formatCount(totals.retries)));
  }
  if (totals.errors > 0) {
    parts.push(words._n('%2 error', '%2 errors', totals.errors, formatCount(totals.errors)));
  }
  return parts.join(' · ');
}

/** Plots of what a kernel reads and writes, over the last minute or so. */
export class TelemetryView implements View {
  readonly element: HTMLElement;
  readonly #model: TelemetryModel;
  readonly #words: Words;
  readonly #charts: readonly ChartView[];
  readonly #totals = element('p', { class: 'zlab-Telemetry-totals' });
  readonly #latency = element('p', { class: 'zlab-Telemetry-latency' });
  readonly #ends: (() => void)[] = [];
  #window_s: number;
  #theme: Theme | null = null;
  #width = 0;
  /** A drawing of nothing but zeros need not be made again. */
  #quiet = false;

  constructor(model: TelemetryModel, words: Words, window_s = 60) {
    this.#model = model;
    this.#words = words;
    this.#window_s = window_s;
    this.#charts = charts(words).map(chart => new ChartView(chart));
    this.element = element(
      'div',
      { class: 'zlab-Telemetry' },
      ...this.#charts.map(chart => chart.element),
      this.#latency,
      this.#totals
    );
    const resized = new ResizeObserver(() => {
      if (this.element.clientWidth !== this.#width) {
        this.#rebuild();
      }
    });
    resized.observe(this.element);
    const timer = window.setInterval(() => {
      this.#tick();
    }, REDRAW_MS);
    this.#ends.push(
      () => {
        resized.disconnect();
        window.clearInterval(timer);
      },
      model.changed.listen(() => {
        this.#quiet = false;
      }),
      watchTheme(() => {
        this.#theme = null;
        this.#rebuild();
      })
    );
  }

  dispose(): void {
    for (const end of this.#ends) {
      end();
    }
    for (const chart of this.#charts) {
      chart.destroy();
    }
    this.element.remove();
  }

  setWindow(window_s: number): void {
    this.#window_s = window_s;
    this.#quiet = false;
  }

  get #shown(): boolean {
    return this.element.offsetParent !== null && document.visibilityState === 'visible';
  }

  #rebuild(): void {
    this.#width = this.element.clientWidth;
    if (this.#width <= 0) {
      return;
    }
    this.#theme ??= readTheme(this.element);
    for (const chart of this.#charts) {
      chart.build(this.#theme, chart.element.clientWidth);
    }
    this.#quiet = false;
    this.#tick();
  }

  #tick(): void {
    const { last } = this.#model;
    if (last === null || this.#quiet || !this.#shown) {
      return;
    }
    const columns = this.#model.columns(this.#window_s, pageClock());
    this.#quiet = columns.fetched.length > 1 && isStill(columns);
    for (const chart of this.#charts) {
      chart.draw(columns, this.#window_s);
    }
    this.#totals.textContent = totalsText(last, this.#words);
    this.#latency.textContent = this.#latencyText();
  }

  #latencyText(): string {
    const counts = this.#model.latency(this.#window_s, pageClock());
    const [median, slow] = [quantile(counts, 0.5), quantile(counts, 0.95)];
    return median === null || slow === null
      ? ''
      : this.#words.__(
          'A chunk takes %1 (median), %2 (95 %)',
          formatSeconds(median),
          formatSeconds(slow)
        );
  }
}

function isStill(columns: Columns): boolean {
  return [columns.decoded, columns.stored, columns.inFlight].every(column =>
    column.every(value => value === 0)
  );
}
