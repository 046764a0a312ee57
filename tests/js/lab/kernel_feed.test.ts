import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { KernelFeed } from '../../../js/src/lab/kernel_feed';
import { golden } from '../wire/golden';
import { FakeKernel } from './fake_kernel';

const HELLO = golden('hello').accept[0];
const [, FIRST] = golden('frame').accept as Record<string, unknown>[];
const frame = (seq: number): unknown => ({ ...FIRST, seq, t: seq });

/** Lets all promises that are kept be noticed. */
const settle = (): Promise<void> =>
  new Promise(resolve => {
    setImmediate(resolve);
  });

describe('the feed of a kernel', () => {
  let kernel: FakeKernel;
  let feed: KernelFeed;
  let seconds: number;

  beforeEach(() => {
    seconds = 1000;
    vi.spyOn(performance, 'now').mockImplementation(() => seconds * 1000);
    kernel = new FakeKernel();
    feed = new KernelFeed(kernel.connection, 5);
  });
  afterEach(() => {
    feed.dispose();
    expect(kernel.iopubMessage.listening + kernel.statusChanged.listening).toBe(0);
  });

  it('answers a hello, even of a busy kernel, and then is silent until it is idle', async () => {
    kernel.become('busy');
    expect(feed.isKnown).toBe(false);
    kernel.sayHello(HELLO);
    await settle();
    const opened = ['zlab.telemetry', 'new', 'open', { zlab: 'open', v: 1, hz: 5 }];
    expect(kernel.sent).toEqual([opened]);
    expect(feed.isKnown).toBe(true);
    for (let seq = 1; seq <= 100; seq++) {
      seconds += 1;
      kernel.publish('new', frame(seq));
      feed.renew();
    }
    feed.setRate(2);
    await settle();
    expect(kernel.sent).toEqual([opened]);
    expect(feed.model.last?.seq).toBe(100);
  });

  it('tells an idle kernel of another rate at once, and of itself now and then', async () => {
    kernel.sayHello(HELLO);
    await settle();
    kernel.become('idle');
    await settle();
    kernel.sent.length = 0;
    feed.renew();
    expect(kernel.sent).toEqual([]);
    feed.setRate(2);
    expect(kernel.sent).toEqual([['zlab.telemetry', 'new', 'send', { zlab: 'set', v: 1, hz: 2 }]]);
    seconds += 60;
    // The kernel is busy and idle again with each message that it gets: that must not go on.
    for (let round = 0; round < 5; round++) {
      kernel.become('busy');
      kernel.become('idle');
    }
    expect(kernel.sent.slice(1)).toEqual([
      ['zlab.telemetry', 'new', 'send', { zlab: 'renew', v: 1 }]
    ]);
  });

  it('waits for the subshell that a comm talks to', async () => {
    let start: () => void = () => undefined;
    kernel.supportsSubshells = true;
    kernel.subshellStarted = new Promise(resolve => {
      start = resolve;
    });
    kernel.sayHello(HELLO);
    await settle();
    expect(kernel.sent).toEqual([]);
    start();
    await settle();
    expect(kernel.sent).toHaveLength(1);
  });

  it('takes up a stream that another page opened, without a word to the busy kernel', async () => {
    kernel.become('busy');
    kernel.publish('of-another-page', frame(7));
    kernel.publish('of-another-page', frame(8));
    kernel.publish('of-another-page', { method: 'update' });
    kernel.publish('of-another-page', frame(9), 'stream');
    expect(feed.model.last?.seq).toBe(8);
    expect(kernel.sent).toEqual([]);
    kernel.comms = { 'of-another-page': { target_name: 'zlab.telemetry' } };
    kernel.become('idle');
    await settle();
    expect(kernel.sent).toEqual([
      'comm_info',
      ['zlab.telemetry', 'of-another-page', 'send', { zlab: 'renew', v: 1 }]
    ]);
  });

  it('opens a stream where a kernel said hello before this page was there', async () => {
    kernel.comms = { greeting: { target_name: 'zlab.hello' } };
    kernel.become('idle');
    await settle();
    expect(feed.isKnown).toBe(true);
    expect(kernel.sent[1]).toEqual([
      'zlab.telemetry',
      'new',
      'open',
      { zlab: 'open', v: 1, hz: 5 }
    ]);
  });

  it('asks a kernel without zlab once, and no more', async () => {
    for (let round = 0; round < 3; round++) {
      kernel.become('idle');
      await settle();
      kernel.become('busy');
    }
    expect(kernel.sent).toEqual(['comm_info']);
    expect(feed.isKnown).toBe(false);
  });

  it('says nothing on a connection that has no comms', async () => {
    kernel.handleComms = false;
    kernel.become('idle');
    kernel.sayHello(HELLO);
    await settle();
    expect(kernel.sent).toEqual([]);
    kernel.publish('any', frame(1));
    expect(feed.model.last?.seq).toBe(1);
  });

  it('begins anew with a restarted kernel', async () => {
    kernel.sayHello(HELLO);
    await settle();
    kernel.become('restarting');
    expect(feed.isKnown).toBe(false);
    kernel.sayHello(HELLO);
    await settle();
    expect(kernel.sent).toHaveLength(2);
  });

  it('says what it cannot understand, until it can', () => {
    let changes = 0;
    feed.changed.listen(() => {
      changes += 1;
    });
    kernel.publish('new', { zlab: 'frame', v: 2 });
    expect(feed.fault?.message).toContain("version 2 of zlab's protocol");
    kernel.publish('new', frame(1));
    expect(feed.fault).toBeNull();
    expect(changes).toBe(2);
  });

  it('says why a kernel refused it', async () => {
    kernel.sayHello(HELLO);
    await settle();
    kernel.closeComm({ zlab: 'refused', v: 1, message: 'version 3 of a message' });
    expect(feed.fault).toEqual({
      message: 'version 3 of a message',
      reason: 'Refused',
      hint: null
    });
  });
});
