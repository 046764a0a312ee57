/** Code that opens a node, as a user would have written it. */

import type { Node } from '../wire/server';

/** How to write the path of a file as seen from a folder; both below the same root. */
export function relativePath(folder: string, file: string): string {
  const from = folder.split('/').filter(name => name !== '');
  const to = file.split('/').filter(name => name !== '');
  let shared = 0;
  while (shared < from.length && shared < to.length - 1 && from[shared] === to[shared]) {
    shared++;
  }
  return [...from.slice(shared).map(() => '..'), ...to.slice(shared)].join('/') || '.';
}

function isUrl(store: string): boolean {
  return store.includes('://');
}

/**
 * Code that opens a node in a notebook.
 *
 * @param folder - The notebook's folder, which is where its kernel runs.
 */
export function openingCode(
  store: string,
  node: Pick<Node, 'path' | 'kind'>,
  folder: string
): string {
  // A JSON string is a Python string.
  const place = JSON.stringify(isUrl(store) ? store : relativePath(folder, store));
  const child = node.path === '' ? '' : `[${JSON.stringify(node.path)}]`;
  return `import zlab\n\n${node.kind} = zlab.open(${place})${child}`;
}
