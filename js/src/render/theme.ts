/** Colours of the page's theme, for what is painted and not styled. */

/** Red, green, blue: 0 to 255. */
export type Rgb = readonly [number, number, number];

/** The variables of `shared.css` that a painter may need. */
const VARIABLES = {
  background: '--zlab-background',
  text: '--zlab-text',
  faint: '--zlab-faint',
  border: '--zlab-border',
  accent: '--zlab-accent',
  second: '--zlab-second',
  third: '--zlab-third'
} as const;

export type ColourName = keyof typeof VARIABLES;
export type Theme = Readonly<Record<ColourName, Rgb>>;

const FALLBACK: Theme = {
  background: [255, 255, 255],
  text: [33, 33, 33],
  faint: [117, 117, 117],
  border: [189, 189, 189],
  accent: [25, 118, 210],
  second: [230, 81, 0],
  third: [56, 142, 60]
};

/** Parses a colour as `getComputedStyle` writes it. */
export function parseColour(text: string): Rgb | null {
  const numbers = text.match(/[\d.]+(?:e-?\d+)?/g)?.map(Number) ?? [];
  const [red, green, blue] = numbers;
  if (red === undefined || green === undefined || blue === undefined) {
    return null;
  }
  if (text.startsWith('rgb')) {
    return [red, green, blue];
  }
  return text.startsWith('color(srgb ') ? [red * 255, green * 255, blue * 255] : null;
}

export function formatColour([red, green, blue]: Rgb, opacity = 1): string {
  return `rgba(${Math.round(red)}, ${Math.round(green)}, ${Math.round(blue)}, ${opacity})`;
}

/** Reads the colours that hold at a place of the page. */
export function readTheme(host: HTMLElement): Theme {
  const probe = document.createElement('span');
  probe.hidden = true;
  host.append(probe);
  const entries = Object.entries(VARIABLES).map(([name, variable]) => {
    // The browser resolves names, variables of variables and every notation into one.
    probe.style.color = `var(${variable})`;
    const colour = parseColour(getComputedStyle(probe).color);
    return [name, colour ?? FALLBACK[name as ColourName]];
  });
  probe.remove();
  return Object.fromEntries(entries) as Theme;
}

/** Calls back when the page may look different. Returns the way to stop. */
export function watchTheme(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  const attributeFilter = ['class', 'style', 'data-jp-theme-name', 'data-jp-theme-light'];
  observer.observe(document.body, { attributeFilter });
  observer.observe(document.documentElement, { attributeFilter });
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', changed);
  return () => {
    observer.disconnect();
    dark.removeEventListener('change', changed);
  };
}
