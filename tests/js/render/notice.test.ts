import { describe, expect, it, vi } from 'vitest';
import { faultNotice, loadingNotice, notice } from '../../../js/src/render/notice';
import { sourceWords } from '../../../js/src/render/words';

describe('notices', () => {
  it('say what happened, why, and the next step', () => {
    const retry = vi.fn();
    const fault = { message: 'it is <b>away</b>', reason: 'StoreError', hint: 'come back' };
    const shown = faultNotice(fault, sourceWords, retry);
    expect(shown.getAttribute('role')).toBe('alert');
    expect([...shown.children].map(child => child.textContent)).toEqual([
      'it is <b>away</b>',
      'come back',
      'StoreError',
      'Try again'
    ]);
    shown.querySelector('button')?.click();
    expect(retry).toHaveBeenCalledOnce();
  });

  it('leave out what there is not', () => {
    const fault = { message: 'away', reason: 'StoreError', hint: null };
    expect(faultNotice(fault, sourceWords).querySelector('button')).toBeNull();
    expect(notice('Empty', null).textContent).toBe('Empty');
    expect(loadingNotice('wait').getAttribute('role')).toBe('status');
  });

  it('offer something to do', () => {
    const run = vi.fn();
    notice('Empty', 'nothing here', { label: 'Add', run }).querySelector('button')?.click();
    expect(run).toHaveBeenCalledOnce();
  });
});
