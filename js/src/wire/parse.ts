/**
 * `unknown` becomes typed here, once: parsers that are small functions, put together.
 *
 * A parser takes a value and the place where it was found, and returns the value typed or throws
 * a {@link WireError} that names the place. Fields that a parser does not know are left alone, so
 * that a later minor of the protocol can add some.
 */

/** The version of `docs/wire.md` that this page speaks. */
export const WIRE_VERSION = 1;

/** A message that is not what `docs/wire.md` says. */
export class WireError extends Error {
  override readonly name = 'WireError';

  constructor(
    /** The field at fault, such as `nodes[3].shape`; empty for the message itself. */
    readonly where: string,
    /** What stands in the way, in words. */
    readonly problem: string
  ) {
    super(where === '' ? problem : `${where}: ${problem}`);
  }
}

export type Parser<T> = (value: unknown, where: string) => T;
export type Parsed<P> = P extends Parser<infer T> ? T : never;

type Shape = Record<string, Parser<unknown>>;
type Fields<S extends Shape> = { readonly [K in keyof S]: Parsed<S[K]> };

function describe(value: unknown): string {
  if (value === undefined) {
    return 'nothing';
  }
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function refuse(where: string, expected: string, value: unknown): never {
  throw new WireError(where, `expected ${expected}, got ${describe(value)}`);
}

export const text: Parser<string> = (value, where) =>
  typeof value === 'string' ? value : refuse(where, 'text', value);

export const truth: Parser<boolean> = (value, where) =>
  typeof value === 'boolean' ? value : refuse(where, 'true or false', value);

/** A finite number that is not negative: every quantity of the protocol. */
export const amount: Parser<number> = (value, where) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0
    ? value
    : refuse(where, 'a number that is not negative', value);

export const positive: Parser<number> = (value, where) =>
  amount(value, where) > 0 ? (value as number) : refuse(where, 'a number above zero', value);

/** A count, a length, a coordinate. Above 2**53 it is the nearest double. */
export const whole: Parser<number> = (value, where) =>
  Number.isInteger(amount(value, where))
    ? (value as number)
    : refuse(where, 'a whole number', value);

/** An object whose fields nobody here knows: attributes, configurations, documents. */
export const anything: Parser<Readonly<Record<string, unknown>>> = (value, where) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : refuse(where, 'an object', value);

export function nullable<T>(parse: Parser<T>): Parser<T | null> {
  return (value, where) => (value === null ? null : parse(value, where));
}

export function list<T>(parse: Parser<T>): Parser<readonly T[]> {
  return (value, where) =>
    Array.isArray(value)
      ? value.map((item, index) => parse(item, `${where}[${index}]`))
      : refuse(where, 'a list', value);
}

export function pair<T>(parse: Parser<T>): Parser<readonly [T, T]> {
  return (value, where) =>
    Array.isArray(value) && value.length === 2
      ? [parse(value[0], `${where}[0]`), parse(value[1], `${where}[1]`)]
      : refuse(where, 'a list of two', value);
}

export function oneOf<const T extends string | number>(...choices: readonly T[]): Parser<T> {
  return (value, where) =>
    choices.includes(value as T)
      ? (value as T)
      : refuse(where, choices.map(choice => JSON.stringify(choice)).join(' or '), value);
}

export function fields<S extends Shape>(shape: S): Parser<Fields<S>> {
  const entries = Object.entries(shape);
  return (value, where) => {
    const source = anything(value, where);
    const prefix = where === '' ? '' : `${where}.`;
    return Object.fromEntries(
      entries.map(([name, parse]) => [name, parse(source[name], `${prefix}${name}`)])
    ) as Fields<S>;
  };
}

/** Adds a condition that concerns several fields at once. */
export function where<T>(
  parse: Parser<T>,
  holds: (value: T) => boolean,
  expected: string
): Parser<T> {
  return (value, place) => {
    const parsed = parse(value, place);
    return holds(parsed) ? parsed : refuse(place, expected, value);
  };
}

/** A whole message: its version is looked at before anything else. */
export function message<S extends Shape>(shape: S): Parser<Fields<S>> {
  const parse = fields(shape);
  return (value, where) => {
    const { v } = anything(value, where);
    if (v !== WIRE_VERSION) {
      throw new WireError(
        where,
        `version ${describe(v)} of zlab's protocol, but this page speaks ${WIRE_VERSION}: ` +
          'install the same zlab in the server and the kernel, then reload the page'
      );
    }
    return parse(value, where);
  };
}
