import { describe, expect, it } from 'vitest';
import { Remote } from '../../../js/src/model/remote';
import { WireError } from '../../../js/src/wire/parse';

describe('a remote value', () => {
  it('goes from idle over loading to ready', async () => {
    const remote = new Remote<number>();
    const states: string[] = [];
    remote.changed.listen(() => {
      states.push(remote.state.is);
    });
    expect(remote.state).toEqual({ is: 'idle' });
    await remote.ask(() => Promise.resolve(7));
    expect(states).toEqual(['loading', 'ready']);
    expect(remote.value).toBe(7);
    remote.clear();
    expect(remote.value).toBeNull();
  });

  it('takes the answer to the latest question only, and gives up the others', async () => {
    const remote = new Remote<string>();
    const signals: AbortSignal[] = [];
    let answer: (value: string) => void = () => undefined;
    const first = remote.ask(signal => {
      signals.push(signal);
      return new Promise(resolve => {
        answer = resolve;
      });
    });
    await remote.ask(() => Promise.resolve('second'));
    answer('first');
    await first;
    expect(remote.value).toBe('second');
    expect(signals[0]?.aborted).toBe(true);
  });

  it('says why it failed, and asks the same once more', async () => {
    const remote = new Remote<number>();
    let calls = 0;
    const load = (): Promise<number> => {
      calls += 1;
      return calls === 1 ? Promise.reject(new WireError('a', 'expected b')) : Promise.resolve(2);
    };
    await remote.ask(load);
    expect(remote.state).toEqual({
      is: 'failed',
      fault: {
        message: 'The reply is not what this page expects: a: expected b',
        reason: 'WireError',
        hint: null
      }
    });
    await remote.retry();
    expect(remote.value).toBe(2);
  });

  it('keeps the old value in sight where it is asked to', async () => {
    const remote = new Remote<number>();
    await remote.ask(() => Promise.resolve(1));
    const again = remote.ask(() => Promise.resolve(2), true);
    expect(remote.state).toEqual({ is: 'loading', stale: 1 });
    await again;
    const anew = remote.ask(() => Promise.resolve(3));
    expect(remote.state).toEqual({ is: 'loading', stale: null });
    await anew;
  });

  it('stays silent when the work was given up', async () => {
    const remote = new Remote<number>();
    await remote.ask(() => Promise.reject(new DOMException('stopped', 'AbortError')));
    expect(remote.state.is).toBe('loading');
  });
});
