import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A golden file of `tests/wire`, which pytest reads too. */
export interface Golden {
  readonly accept: readonly unknown[];
  readonly refuse: readonly Readonly<Record<string, unknown> & { why: string }>[];
}

export function golden(name: string): Golden {
  const file = join(import.meta.dirname, '..', '..', 'wire', `${name}.json`);
  return JSON.parse(readFileSync(file, 'utf8')) as Golden;
}

export function fromBase64(text: string): ArrayBuffer {
  return new Uint8Array(Buffer.from(text, 'base64')).buffer;
}
