import {
  cellAt,
  coordinatesOf,
  layOut,
  type Cell,
  type Geometry,
  type HeatmapModel
} from '../model/heatmap';
import type { ChunkPlane } from '../wire/chunks';
import { colourMap, packColour, type ColourMapName } from './colours';
import { element, freshId, setAttributes, type View } from './element';
import { formatBytes, formatCount } from './format';
import { onDevice, paint, ringAround, shardLines } from './paint';
import { formatColour, readTheme, watchTheme, type Theme } from './theme';
import type { Words } from './words';

/** Height that the cells may take where there is no end of room, in pixels. */
const TALLEST = 320;
/** Room around the cells, for the rings. */
const MARGIN = 2;
/** Outlines of shards smaller than this would hide what is in them. */
const SMALLEST_SHARD = 4;
const SMALLEST_RING = 7;

export interface HeatmapOptions {
  readonly colours?: ColourMapName;
  /** Whether the element around it has a height of its own, to be filled. */
  readonly fills?: boolean;
}

/** A heatmap of the stored bytes of chunks, with a legend, a read-out, and keys. */
export class HeatmapView implements View {
  readonly element: HTMLElement;
  readonly #model: HeatmapModel;
  readonly #words: Words;
  readonly #canvas: HTMLCanvasElement;
  readonly #legend = element('div', { class: 'zlab-Legend' });
  readonly #readout: HTMLElement;
  readonly #ends: (() => void)[] = [];
  readonly #fills: boolean;
  #geometry: Geometry | null = null;
  #theme: Theme | null = null;
  #colours: ColourMapName;
  /** The cells without rings, painted once for a plane, a size and a theme. */
  #base: ImageData | null = null;
  #painted: ChunkPlane | null = null;

  constructor(model: HeatmapModel, words: Words, options: HeatmapOptions = {}) {
    this.#model = model;
    this.#words = words;
    this.#colours = options.colours ?? 'viridis';
    this.#fills = options.fills ?? false;
    const readout = freshId('readout');
    this.#readout = element('p', { class: 'zlab-Readout', id: readout, 'aria-live': 'polite' });
    this.#canvas = element('canvas', {
      class: 'zlab-Heatmap-canvas',
      role: 'application',
      'aria-roledescription': words.__('chunk heatmap'),
      'aria-describedby': readout,
      tabindex: 0
    });
    const stage = element('div', { class: 'zlab-Heatmap-stage' }, this.#canvas);
    this.element = element('div', { class: 'zlab-Heatmap' }, stage, this.#readout, this.#legend);
    this.element.classList.toggle('zlab-mod-fills', this.#fills);
    this.#canvas.addEventListener('pointermove', this.#onMove);
    this.#canvas.addEventListener('pointerleave', () => {
      model.hover(null);
    });
    this.#canvas.addEventListener('click', event => {
      model.select(this.#cellUnder(event));
    });
    this.#canvas.addEventListener('keydown', this.#onKeyDown);
    const resized = new ResizeObserver(() => {
      this.#layOut();
    });
    resized.observe(stage);
    this.#ends.push(
      () => {
        resized.disconnect();
      },
      model.changed.listen(() => {
        this.#update();
      }),
      watchTheme(() => {
        this.#theme = null;
        this.#layOut();
      })
    );
    this.#update();
  }

  dispose(): void {
    for (const end of this.#ends) {
      end();
    }
    this.element.remove();
  }

  setColours(colours: ColourMapName): void {
    this.#colours = colours;
    this.#layOut();
  }

  #update(): void {
    const { plane } = this.#model;
    if (plane !== this.#painted) {
      this.#layOut();
    } else {
      this.#drawRings();
    }
    this.#readout.textContent = plane === null ? '' : this.#describe(plane);
  }

  /** Finds place and size, and paints anew. */
  #layOut(): void {
    const { plane } = this.#model;
    this.element.classList.toggle('zlab-mod-empty', plane === null);
    const stage = this.#canvas.parentElement;
    const width = (stage?.clientWidth ?? 0) - 2 * MARGIN;
    const height = this.#fills ? (stage?.clientHeight ?? 0) - 2 * MARGIN : TALLEST;
    this.#painted = plane;
    this.#base = null;
    if (plane === null || width <= 0 || height <= 0) {
      return;
    }
    const geometry = layOut(plane.shape, width, height);
    this.#geometry = geometry;
    this.#theme ??= readTheme(this.element);
    const ratio = window.devicePixelRatio;
    const device = onDevice(geometry, ratio);
    const margin = Math.round(MARGIN * ratio);
    this.#canvas.width = device.width + 2 * margin;
    this.#canvas.height = device.height + 2 * margin;
    this.#canvas.style.width = `${this.#canvas.width / ratio}px`;
    this.#canvas.style.height = `${this.#canvas.height / ratio}px`;
    const { pixels } = paint(plane, device, {
      map: colourMap(this.#colours),
      background: packColour(this.#theme.background),
      hatch: packColour(this.#theme.border)
    });
    const bytes = new Uint8ClampedArray(pixels.buffer as ArrayBuffer);
    this.#base = new ImageData(bytes, device.width, device.height);
    this.#drawLegend(plane, this.#theme);
    setAttributes(this.#canvas, { 'aria-label': this.#summary(plane) });
    this.#drawRings();
  }

  /** Draws the cells from memory, and over them shards, the hovered and the selected chunk. */
  #drawRings(): void {
    const context = this.#canvas.getContext('2d');
    const { plane, hovered, selected } = this.#model;
    const [base, theme, geometry] = [this.#base, this.#theme, this.#geometry];
    if (context === null || plane === null || !base || !theme || !geometry) {
      return;
    }
    const ratio = window.devicePixelRatio;
    const margin = Math.round(MARGIN * ratio);
    const device = onDevice(geometry, ratio);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.putImageData(base, margin, margin);
    context.translate(margin, margin);
    this.#strokeShards(context, plane, device, theme, ratio);
    if (hovered !== null) {
      this.#strokeRing(context, device, hovered, ratio, theme.faint, theme.background);
    }
    if (selected !== null) {
      this.#strokeRing(context, device, selected, ratio, theme.text, theme.background);
    }
  }

  #strokeShards(
    context: CanvasRenderingContext2D,
    plane: ChunkPlane,
    device: Geometry,
    theme: Theme,
    ratio: number
  ): void {
    const per = plane.shards_per;
    const smallest = SMALLEST_SHARD * ratio;
    if (
      per === null ||
      per[0] * device.cellHeight < smallest ||
      per[1] * device.cellWidth < smallest ||
      Math.min(device.cellWidth, device.cellHeight) < 1
    ) {
      return;
    }
    context.beginPath();
    for (const { from, to } of shardLines(plane, device)) {
      context.moveTo(Math.round(from[0]) - 0.5, Math.round(from[1]) - 0.5);
      context.lineTo(Math.round(to[0]) - 0.5, Math.round(to[1]) - 0.5);
    }
    context.lineWidth = ratio;
    context.strokeStyle = formatColour(theme.text);
    context.stroke();
  }

  #strokeRing(
    context: CanvasRenderingContext2D,
    device: Geometry,
    cell: Cell,
    ratio: number,
    inner: Theme['text'],
    outer: Theme['text']
  ): void {
    const { x, y, width, height } = ringAround(device, cell, SMALLEST_RING * ratio);
    // Two lines, so that one of them stands out from whatever colour is below.
    context.lineWidth = 3 * ratio;
    context.strokeStyle = formatColour(outer);
    context.strokeRect(x - 0.5, y - 0.5, width, height);
    context.lineWidth = 1.5 * ratio;
    context.strokeStyle = formatColour(inner);
    context.strokeRect(x - 0.5, y - 0.5, width, height);
  }

  #drawLegend(plane: ChunkPlane, theme: Theme): void {
    const words = this.#words;
    const key = (swatch: string, text: string): HTMLElement =>
      element(
        'span',
        { class: 'zlab-Legend-key' },
        element('span', { class: `zlab-Legend-swatch zlab-mod-${swatch}`, 'aria-hidden': 'true' }),
        text
      );
    const parts: HTMLElement[] = [];
    if (plane.min !== null && plane.max !== null) {
      parts.push(this.#scale(plane.min, plane.max));
    }
    if (plane.nchunks_stored < plane.values.length) {
      parts.push(key('absent', words.__('absent')));
    }
    if (plane.shards_per !== null) {
      parts.push(key('shard', words.__('shard')));
    }
    this.#legend.style.setProperty('--zlab-hatch', formatColour(theme.border));
    this.#legend.replaceChildren(...parts);
  }

  #scale(min: number, max: number): HTMLElement {
    const map = colourMap(this.#colours);
    const bar = element('canvas', {
      class: 'zlab-Legend-bar',
      width: map.length,
      height: 1,
      role: 'presentation'
    });
    const context = bar.getContext('2d');
    if (context !== null) {
      // One size only: the one colour that its cells have.
      const shown = min === max ? map.map(() => map[map.length >> 1] ?? 0) : map;
      const bytes = new Uint8ClampedArray(shown.slice().buffer);
      context.putImageData(new ImageData(bytes, map.length, 1), 0, 0);
    }
    const ends = min === max ? [bar, formatBytes(min)] : [formatBytes(min), bar, formatBytes(max)];
    return element('span', { class: 'zlab-Legend-scale' }, ...ends);
  }

  #summary(plane: ChunkPlane): string {
    return this.#words.__(
      '%1 by %2 chunks, %3 of them stored',
      plane.shape[0],
      plane.shape[1],
      formatCount(plane.nchunks_stored)
    );
  }

  /** What is under the pointer, else what is selected, else all. */
  #describe(plane: ChunkPlane): string {
    const words = this.#words;
    const cell = this.#model.hovered ?? this.#model.selected;
    if (cell === null) {
      return words.__(
        '%1 of %2 chunks stored, %3',
        formatCount(plane.nchunks_stored),
        formatCount(plane.values.length),
        formatBytes(plane.nbytes_stored)
      );
    }
    const value = plane.values[cell[0] * plane.shape[1] + cell[1]] ?? -1;
    const what = value < 0 ? words.__('absent') : formatBytes(value);
    const place = words.__('chunk (%1): %2', coordinatesOf(plane, cell).join(', '), what);
    const per = plane.shards_per;
    return per === null
      ? place
      : words.__(
          '%1, shard (%2)',
          place,
          [Math.floor(cell[0] / per[0]), Math.floor(cell[1] / per[1])]
            .slice(-plane.axes.length)
            .join(', ')
        );
  }

  #cellUnder(event: MouseEvent): Cell | null {
    const box = this.#canvas.getBoundingClientRect();
    return this.#geometry === null
      ? null
      : cellAt(this.#geometry, event.clientX - box.left - MARGIN, event.clientY - box.top - MARGIN);
  }

  readonly #onMove = (event: PointerEvent): void => {
    this.#model.hover(this.#cellUnder(event));
  };

  readonly #onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (this.#model.press(event.key, this.#geometry?.columns ?? 1)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };
}
