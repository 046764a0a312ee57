import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatCount,
  formatPercent,
  formatQuantity,
  formatRatio,
  formatSeconds,
  formatShape
} from '../../../js/src/render/format';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [0.4, '0 B'],
    [999, '999 B'],
    [999.7, '1 kB'],
    [1000, '1 kB'],
    [1536, '1.54 kB'],
    [12_345, '12.3 kB'],
    [999_600, '1 MB'],
    [11_534_336, '11.5 MB'],
    [536_870_912, '537 MB'],
    [1.152921504606847e18, '1.15 EB'],
    [5e21, '5000 EB']
  ])('%d bytes are %j', (nbytes, text) => {
    expect(formatBytes(nbytes)).toBe(text);
  });
});

describe('formatQuantity', () => {
  it.each([
    [0, '0'],
    [0.25, '0.25'],
    [0.5, '0.5'],
    [100, '100'],
    [1000, '1k'],
    [4130, '4.13k'],
    [2.5e6, '2.5M']
  ])('%d is %j', (value, text) => {
    expect(formatQuantity(value)).toBe(text);
  });
});

describe('formatSeconds', () => {
  it.each([
    [0.000_034, '34 µs'],
    [0.001_34, '1.34 ms'],
    [0.25, '250 ms'],
    [12.3, '12.3 s']
  ])('%d seconds are %j', (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text);
  });
});

describe('other numbers', () => {
  it('are written as people read them', () => {
    expect(formatCount(1_234_567)).toBe('1,234,567');
    expect(formatShape([365, 721])).toBe('365 × 721');
    expect(formatShape([])).toBe('()');
    expect(formatRatio(240, 160)).toBe('1.5 : 1');
    expect(formatRatio(240, 0)).toBeNull();
    expect(formatPercent(5, 9)).toBe('55.6 %');
    expect(formatPercent(0, 0)).toBe('—');
  });
});
