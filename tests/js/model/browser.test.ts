import { beforeEach, describe, expect, it, vi } from 'vitest';
import { BrowserModel, type PlaneChoice, type ZarrServer } from '../../../js/src/model/browser';
import { FaultError } from '../../../js/src/model/fault';
import {
  parseDetails,
  parseStats,
  parseStoreList,
  parseTreePage
} from '../../../js/src/wire/server';
import { plane } from '../plane';
import { golden } from '../wire/golden';

const [arrayDetails, , groupDetails] = golden('node').accept.map(parseDetails);
const page = parseTreePage(golden('tree').accept[0]);
const stats = parseStats(golden('stats').accept[0]);

/** Answers from the golden files, and notes what it was asked. */
class GoldenServer implements ZarrServer {
  readonly asked: string[] = [];
  readonly planes: PlaneChoice[] = [];

  stores(): ReturnType<ZarrServer['stores']> {
    this.asked.push('stores');
    return Promise.resolve(parseStoreList(golden('stores').accept[0]));
  }

  tree(store: string, path: string): ReturnType<ZarrServer['tree']> {
    this.asked.push(`tree ${store} ${path}`);
    return Promise.resolve(path === '' ? page : { ...page, path, nodes: [], total: 0 });
  }

  node(store: string, path: string): ReturnType<ZarrServer['node']> {
    this.asked.push(`node ${store} ${path}`);
    const details = path === 'temperature' ? arrayDetails : groupDetails;
    if (details === undefined || path === 'broken') {
      const fault = { message: 'not JSON', reason: 'MetadataError', hint: 'mend it' };
      return Promise.reject(new FaultError(fault));
    }
    return Promise.resolve({ ...details, store, path });
  }

  stats(store: string, path: string): ReturnType<ZarrServer['stats']> {
    this.asked.push(`stats ${store} ${path}`);
    return Promise.resolve(stats);
  }

  chunks(store: string, path: string, choice: PlaneChoice): ReturnType<ZarrServer['chunks']> {
    this.asked.push(`chunks ${store} ${path}`);
    this.planes.push(choice);
    return Promise.resolve(
      plane([
        [1, 2],
        [3, -1]
      ])
    );
  }
}

describe('the browser', () => {
  let server: GoldenServer;
  let model: BrowserModel;

  beforeEach(() => {
    vi.useFakeTimers();
    server = new GoldenServer();
    model = new BrowserModel(server);
    return () => {
      vi.useRealTimers();
    };
  });

  const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(200);

  it('asks for nothing until somebody looks', async () => {
    await settle();
    expect(server.asked).toEqual([]);
    expect(model.node).toBeNull();
  });

  it('opens a store at its root, and follows the selection in its tree', async () => {
    model.stores.select('climate.zarr');
    expect(model.node).toEqual({ store: 'climate.zarr', path: '' });
    await settle();
    expect(model.details.value?.kind).toBe('group');
    await model.tree?.ensure(0, 5);
    model.tree?.select('temperature');
    await settle();
    expect(model.details.value?.array?.dtype).toBe('float32');
    expect(model.stats.value).toEqual(stats);
    expect(server.asked).toEqual([
      'node climate.zarr ',
      'tree climate.zarr ',
      'node climate.zarr temperature',
      'stats climate.zarr temperature'
    ]);
  });

  it('asks for the details of what the selection rests on only', async () => {
    model.show('climate.zarr');
    await model.tree?.ensure(0, 5);
    for (const path of ['stations', 'broken', 'temperature']) {
      model.tree?.select(path);
      await vi.advanceTimersByTimeAsync(20);
    }
    await settle();
    expect(server.asked.filter(question => question.startsWith('node'))).toEqual([
      'node climate.zarr temperature'
    ]);
  });

  it('lists chunks only while they are shown', async () => {
    model.show('climate.zarr', 'temperature');
    await settle();
    expect(server.planes).toEqual([]);
    model.showsChunks = true;
    await settle();
    expect(server.planes).toEqual([{ axes: [0, 1], index: [0, 0] }]);
    expect(model.heatmap.plane?.nchunks_stored).toBe(3);
    const other = { axes: [1, 0], index: [0, 0] };
    model.choosePlane(other);
    expect(model.heatmap.plane).not.toBeNull();
    await settle();
    expect(server.planes[1]).toEqual(other);
    model.tree?.select('stations');
    await settle();
    expect(model.heatmap.plane).toBeNull();
    expect(server.planes).toHaveLength(2);
  });

  it('says what is wrong with a node, and stays', async () => {
    model.show('climate.zarr', 'broken');
    await settle();
    expect(model.details.state).toMatchObject({ is: 'failed', fault: { hint: 'mend it' } });
    expect(model.stats.state.is).toBe('idle');
  });

  it('comes back to where it was', async () => {
    model.show('climate.zarr', 'temperature');
    await settle();
    const kept: unknown = JSON.parse(JSON.stringify(model.remember()));
    const again = new BrowserModel(server);
    again.restore(kept);
    await settle();
    expect(again.node).toEqual({ store: 'climate.zarr', path: 'temperature' });
    expect(again.tree?.selected).toBe('temperature');
    expect(again.details.value?.name).toBe('temperature');
  });

  it.each([undefined, 'nonsense', { stores: 3, path: [] }])(
    'begins anew where %j was remembered',
    async kept => {
      model.restore(kept);
      await settle();
      expect(model.node).toBeNull();
    }
  );

  it('stays at its node when it reads everything anew', async () => {
    model.show('climate.zarr', 'temperature');
    await settle();
    await model.refresh();
    await settle();
    expect(model.node).toEqual({ store: 'climate.zarr', path: 'temperature' });
    expect(server.asked.filter(question => question === 'tree climate.zarr ')).toHaveLength(2);
  });

  it('closes what was taken from the list', async () => {
    model.show('elsewhere.zarr');
    await settle();
    model.stores.remove('elsewhere.zarr');
    expect(model.tree).toBeNull();
    expect(model.node).toBeNull();
    expect(model.details.state.is).toBe('idle');
  });
});
