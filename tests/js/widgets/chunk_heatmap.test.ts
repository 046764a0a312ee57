import { describe, expect, it } from 'vitest';
import widget from '../../../js/src/widgets/chunk_heatmap';
import { fromBase64, golden } from '../wire/golden';
import { FakeModel } from './fake_model';

type Traits = Record<string, unknown>;

function traits(index: number): Traits {
  const accepted = golden('chunk_heatmap').accept[index] as Traits;
  return { ...accepted, _data: new DataView(fromBase64(accepted['_data'] as string)) };
}

describe('the widget of a chunk heatmap', () => {
  it('draws what the kernel sent, and what it sends next', () => {
    const model = new FakeModel(traits(0));
    const el = document.createElement('div');
    const end = widget.render(model.props(el));
    expect(el.querySelector('h2')?.textContent).toBe('temperature');
    expect(el.querySelector('.zlab-Readout')?.textContent).toBe('5 of 9 chunks stored, 160 B');
    model.receive({ selected: [2, 1] });
    expect(el.querySelector('.zlab-Readout')?.textContent).toBe('chunk (2, 1): 32 B, shard (1, 0)');
    model.receive(traits(2));
    expect(el.querySelector('h2')?.textContent).toBe('depth');
    expect(el.querySelector('.zlab-Readout')?.textContent).toBe('1 of 1 chunks stored, 8 B');
    end();
    expect(model.listening).toBe(0);
  });

  it('tells the kernel which chunk was chosen', () => {
    const model = new FakeModel(traits(0));
    const el = document.createElement('div');
    const end = widget.render(model.props(el));
    const canvas = el.querySelector('canvas');
    for (const key of ['ArrowRight', 'ArrowRight', 'ArrowDown', 'Escape']) {
      canvas?.dispatchEvent(new KeyboardEvent('keydown', { key }));
    }
    expect(model.saved).toEqual([
      { selected: [0, 0] },
      { selected: [0, 1] },
      { selected: [1, 1] },
      { selected: [] }
    ]);
    end();
  });

  it('says what it cannot draw, until it can', () => {
    const model = new FakeModel({ ...traits(0), _header: { v: 2 } });
    const el = document.createElement('div');
    const end = widget.render(model.props(el));
    expect(el.querySelector('[role=alert]')?.textContent).toContain('version 2');
    model.receive(traits(0));
    expect(el.querySelector('[role=alert]')).toBeNull();
    end();
  });
});
