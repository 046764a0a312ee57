import type { RemoteState } from '../model/remote';
import type { ArrayDetails, Codec, Details, Stats } from '../wire/server';
import { element } from './element';
import { formatBytes, formatCount, formatPercent, formatRatio, formatShape } from './format';
import type { Words } from './words';

type Fact = readonly [name: string, value: string | Node];

function facts(list: readonly Fact[]): HTMLElement {
  return element(
    'dl',
    { class: 'zlab-Facts' },
    ...list.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)])
  );
}

function codecList(codecs: readonly Codec[]): HTMLElement {
  const items = codecs.map(codec =>
    element(
      'li',
      { title: JSON.stringify(codec.configuration) },
      element('code', {}, codec.name),
      codec.summary === codec.name ? null : ` ${codec.summary}`
    )
  );
  return element('ol', { class: 'zlab-Codecs' }, ...items);
}

function arrayFacts(array: ArrayDetails, words: Words): Fact[] {
  const names = array.dimension_names?.map(name => name ?? '—').join(', ');
  return [
    [words.__('Shape'), formatShape(array.shape)],
    ...(names === undefined ? [] : [[words.__('Dimensions'), names] as const]),
    [words.__('Data type'), array.dtype],
    [words.__('Chunks'), formatShape(array.chunks)],
    ...(array.shards === null ? [] : [[words.__('Shards'), formatShape(array.shards)] as const]),
    [words.__('Codecs'), codecList(array.codecs)],
    [words.__('Fill value'), array.fill_value],
    [words.__('Order'), array.order],
    [words.__('Size'), formatBytes(array.nbytes)]
  ];
}

function storedFacts(stats: RemoteState<Stats>, words: Words): Fact[] {
  if (stats.is === 'failed') {
    return [[words.__('Stored'), stats.fault.message]];
  }
  if (stats.is !== 'ready') {
    return [[words.__('Stored'), words.__('counting…')]];
  }
  const { nbytes, nbytes_stored, nchunks, nchunks_stored } = stats.value;
  const ratio = formatRatio(nbytes, nbytes_stored);
  const chunks = words.__(
    '%1 of %2 (%3)',
    formatCount(nchunks_stored),
    formatCount(nchunks),
    formatPercent(nchunks_stored, nchunks)
  );
  return [
    [words.__('Stored'), formatBytes(nbytes_stored)],
    ...(ratio === null ? [] : [[words.__('Ratio'), ratio] as const]),
    [words.__('Chunks stored'), chunks]
  ];
}

/** A value of JSON: what has parts folds, what has none is text. */
export function jsonTree(value: unknown): HTMLElement {
  if (typeof value !== 'object' || value === null) {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return element('span', { class: `zlab-Json-${typeof value}` }, text);
  }
  const entries = Object.entries(value);
  if (entries.length === 0) {
    return element('span', {}, Array.isArray(value) ? '[]' : '{}');
  }
  const isShort =
    Array.isArray(value) && value.every(item => item === null || typeof item !== 'object');
  if (isShort) {
    return element('span', {}, `[${value.map(item => JSON.stringify(item)).join(', ')}]`);
  }
  const summary = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  return element(
    'details',
    { class: 'zlab-Json' },
    element('summary', {}, summary),
    facts(entries.map(([name, part]) => [name, jsonTree(part)]))
  );
}

function attributesPart(attributes: Details['attributes'], words: Words): HTMLElement {
  const entries = Object.entries(attributes);
  const title = element('h3', { class: 'zlab-Details-part' }, words.__('Attributes'));
  const body =
    entries.length === 0
      ? element('p', { class: 'zlab-faint' }, words.__('None'))
      : facts(entries.map(([name, value]) => [name, jsonTree(value)]));
  return element('section', { class: 'zlab-Attributes' }, title, body);
}

function metadataPart(metadata: Details['metadata'], words: Words): HTMLElement {
  const fold = element(
    'details',
    { class: 'zlab-Metadata' },
    element('summary', { class: 'zlab-Details-part' }, words.__('Metadata document'))
  );
  // A document may be large: it becomes text when somebody looks.
  fold.addEventListener('toggle', () => {
    if (fold.open && fold.children.length === 1) {
      const text = JSON.stringify(metadata, null, 2);
      fold.append(element('pre', { tabindex: 0 }, text));
    }
  });
  return fold;
}

/** All that is known of an array or group. */
export function detailsView(
  details: Details,
  stats: RemoteState<Stats>,
  words: Words
): HTMLElement {
  const { array, name, path, store } = details;
  const kind = array === null ? words.__('group') : words.__('array');
  const head = element(
    'header',
    { class: 'zlab-Details-head' },
    element('h2', { title: path === '' ? store : `${store}/${path}` }, name),
    element('span', { class: 'zlab-faint' }, words.__('%1, Zarr v%2', kind, details.zarr_format))
  );
  return element(
    'article',
    { class: 'zlab-Details' },
    head,
    array === null ? null : facts([...arrayFacts(array, words), ...storedFacts(stats, words)]),
    attributesPart(details.attributes, words),
    metadataPart(details.metadata, words)
  );
}
