import { describe, expect, it } from 'vitest';
import {
  fields,
  list,
  message,
  nullable,
  oneOf,
  pair,
  text,
  truth,
  where,
  whole,
  WireError
} from '../../../js/src/wire/parse';

describe('parsers', () => {
  it('name the field at fault', () => {
    const parse = fields({ nodes: list(fields({ shape: nullable(list(whole)) })) });
    expect(() => parse({ nodes: [{ shape: null }, { shape: [2, 1.5] }] }, '')).toThrow(
      new WireError('nodes[1].shape[1]', 'expected a whole number, got 1.5')
    );
  });

  it('say what they expected and what they got', () => {
    expect(() => text(undefined, 'a')).toThrow('a: expected text, got nothing');
    expect(() => truth(1, 'a')).toThrow('a: expected true or false, got 1');
    expect(() => oneOf(2, 3)(4, 'zarr_format')).toThrow('zarr_format: expected 2 or 3, got 4');
    expect(() => pair(whole)([1], 'a')).toThrow('a: expected a list of two, got [1]');
    expect(() => whole(-1, 'a')).toThrow('a: expected a number that is not negative, got -1');
    expect(() => text(['x'.repeat(100)], 'a')).toThrow(/got \["x{55}\.\.\.$/);
  });

  it('drop fields that they do not know', () => {
    expect(fields({ a: whole })({ a: 1, b: 2 }, '')).toEqual({ a: 1 });
  });

  it('hold several fields together', () => {
    const parse = where(fields({ a: whole, b: whole }), ({ a, b }) => a <= b, 'a up to b');
    expect(parse({ a: 1, b: 2 }, '')).toEqual({ a: 1, b: 2 });
    expect(() => parse({ a: 3, b: 2 }, 'x')).toThrow('x: expected a up to b, got {"a":3,"b":2}');
  });

  it('look at the version before anything else', () => {
    const parse = message({ a: whole });
    expect(() => parse({ v: 2, a: 'no' }, '')).toThrow(
      "version 2 of zlab's protocol, but this page speaks 1: " +
        'install the same zlab in the server and the kernel, then reload the page'
    );
    expect(() => parse({ a: 1 }, '')).toThrow('version nothing');
    expect(parse({ v: 1, a: 1 }, '')).toEqual({ a: 1 });
  });
});
