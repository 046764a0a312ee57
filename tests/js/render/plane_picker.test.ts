import { describe, expect, it, vi } from 'vitest';
import { PlanePicker, withAxis } from '../../../js/src/render/plane_picker';
import { sourceWords } from '../../../js/src/render/words';
import { plane } from '../plane';

const CUT = plane([[1, 1]], { axes: [0, 2], chunk_grid_shape: [1, 7, 2], index: [0, 4, 0] });

describe('withAxis', () => {
  it('lets two axes change places', () => {
    expect(withAxis([0, 2], 0, 1)).toEqual([1, 2]);
    expect(withAxis([0, 2], 0, 2)).toEqual([2, 0]);
    expect(withAxis([0, 2], 1, 2)).toEqual([0, 2]);
  });
});

describe('the picker of a plane', () => {
  it('is empty for a grid of two axes', () => {
    const picker = new PlanePicker(sourceWords, vi.fn());
    picker.show(plane([[1]]), null);
    expect(picker.element.children).toHaveLength(0);
  });

  it('chooses axes', () => {
    const choose = vi.fn();
    const picker = new PlanePicker(sourceWords, choose);
    picker.show(CUT, ['time', null, 'lon']);
    const [rows] = picker.element.querySelectorAll('select');
    expect(rows?.textContent).toBe('timeaxis 1lon');
    if (rows !== undefined) {
      rows.value = '1';
      rows.dispatchEvent(new Event('change'));
    }
    expect(choose).toHaveBeenCalledWith({ axes: [1, 2], index: [0, 4, 0] });
  });

  it('goes by the last choice, whose plane may not have come yet', () => {
    const choose = vi.fn();
    const picker = new PlanePicker(sourceWords, choose);
    picker.show(CUT, null);
    const [rows, columns] = picker.element.querySelectorAll('select');
    if (rows === undefined || columns === undefined) {
      throw new Error('no choice of axes');
    }
    rows.value = '1';
    rows.dispatchEvent(new Event('change'));
    columns.value = '0';
    columns.dispatchEvent(new Event('change'));
    expect(choose).toHaveBeenLastCalledWith({ axes: [1, 0], index: [0, 4, 0] });
  });

  it('chooses a place on each axis that is not drawn', () => {
    const choose = vi.fn();
    const picker = new PlanePicker(sourceWords, choose);
    picker.show(CUT, null);
    const sliders = picker.element.querySelectorAll('input');
    expect(sliders).toHaveLength(1);
    const [slider] = sliders;
    expect([slider?.min, slider?.max, slider?.value]).toEqual(['0', '6', '4']);
    if (slider !== undefined) {
      slider.value = '5';
      slider.dispatchEvent(new Event('input'));
      slider.dispatchEvent(new Event('change'));
    }
    expect(picker.element.querySelector('output')?.textContent).toBe('5');
    expect(choose).toHaveBeenCalledWith({ axes: [0, 2], index: [0, 5, 0] });
    // The slider stays, and the focus with it, when the plane it asked for has come.
    picker.show({ ...CUT, index: [0, 5, 0] }, null);
    expect(picker.element.querySelector('input')).toBe(slider);
    picker.show({ ...CUT, index: [0, 2, 0] }, null);
    expect(slider?.value).toBe('2');
    expect(picker.element.querySelector('output')?.textContent).toBe('2');
  });
});
