/** Numbers as people read them. Prefixes are decimal: 1 kB is 1000 bytes. */

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E'];

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** Three digits that count, no more: 1.23, 12.3, 123. */
function digits(value: number): string {
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toFixed(decimals);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

function scaled(value: number, unit: string): string {
  let power = 0;
  let left = value;
  // 999.6 would be written as 1000
  while (left >= 999.5 && power < PREFIXES.length - 1) {
    left /= 1000;
    power += 1;
  }
  return `${digits(left)} ${PREFIXES[power] ?? ''}${unit}`.trimEnd();
}

export function formatBytes(nbytes: number): string {
  return nbytes < 999.5 ? `${Math.round(nbytes)} B` : scaled(nbytes, 'B');
}

/** A count in full, in groups of three. */
export function formatCount(count: number): string {
  return grouped.format(count);
}

/** A quantity in few digits, for axes and legends. */
export function formatQuantity(value: number): string {
  return value < 999.5 ? digits(value) : scaled(value, '').replace(' ', '');
}

export function formatSeconds(seconds: number): string {
  if (seconds >= 1) {
    return `${digits(seconds)} s`;
  }
  return seconds >= 1e-3 ? `${digits(seconds * 1e3)} ms` : `${digits(seconds * 1e6)} µs`;
}

export function formatShape(shape: readonly number[]): string {
  return shape.length === 0 ? '()' : shape.map(String).join(' × ');
}

/** How many times smaller the stored bytes are; null where nothing is stored. */
export function formatRatio(nbytes: number, nbytesStored: number): string | null {
  return nbytesStored > 0 ? `${digits(nbytes / nbytesStored)} : 1` : null;
}

export function formatPercent(part: number, whole: number): string {
  return whole === 0 ? '—' : `${digits((100 * part) / whole)} %`;
}
