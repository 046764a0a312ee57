import { describe, expect, it, vi } from 'vitest';
import widget from '../../../js/src/widgets/telemetry';
import { golden } from '../wire/golden';
import { FakeModel } from './fake_model';

type Traits = Record<string, unknown>;

describe('the widget of telemetry', () => {
  it('takes frames as they come, and lets everything go at its end', () => {
    const cleared = vi.spyOn(window, 'clearInterval');
    const [first] = golden('telemetry').accept as Traits[];
    const model = new FakeModel({ ...first });
    const el = document.createElement('div');
    const end = widget.render(model.props(el));
    expect([...el.querySelectorAll('h3')].map(title => title.textContent)).toEqual([
      'Bytes per second',
      'Chunks per second',
      'Concurrency'
    ]);
    model.receive({ _frame: { ...(first?.['_frame'] as Traits), seq: 43, t: 13 } });
    model.receive({ window_s: 10 });
    expect(el.querySelector('[role=alert]')).toBeNull();
    model.receive({ _frame: { zlab: 'frame', v: 3 } });
    expect(el.querySelector('[role=alert]')?.textContent).toContain('version 3');
    end();
    expect(model.listening).toBe(0);
    expect(cleared).toHaveBeenCalled();
  });
});
