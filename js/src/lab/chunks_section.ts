import type { TranslationBundle } from '@jupyterlab/translation';
import type { BrowserModel } from '../model/browser';
import type { ColourMapName } from '../render/colours';
import { element } from '../render/element';
import { HeatmapView } from '../render/heatmap_view';
import { faultNotice, loadingNotice, notice } from '../render/notice';
import { PlanePicker } from '../render/plane_picker';
import { Section } from './section';

export interface ChunksSection {
  readonly section: Section;
  setColours(colours: ColourMapName): void;
}

/** Which chunks of the array are stored, and how large they are. */
export function chunksSection(model: BrowserModel, trans: TranslationBundle): ChunksSection {
  const section = new Section('chunks', trans.__('Chunks'));
  const view = new HeatmapView(model.heatmap, trans, { fills: true });
  const picker = new PlanePicker(trans, choice => {
    model.choosePlane(choice);
  });
  const body = element(
    'div',
    { class: 'zlab-Section-pad zlab-Chunks' },
    picker.element,
    view.element
  );

  const content = (): HTMLElement => {
    const { state } = model.plane;
    if (state.is === 'failed') {
      return faultNotice(state.fault, trans, () => void model.plane.retry());
    }
    if (state.is === 'ready') {
      picker.show(state.value, model.details.value?.array?.dimension_names ?? null);
      return body;
    }
    // Another plane of the same array is on its way.
    if (state.is === 'loading' && state.stale !== null) {
      return body;
    }
    const details = model.details.value;
    return state.is === 'loading' || (details?.array ?? null) !== null
      ? loadingNotice(trans.__('Listing chunks…'))
      : notice(trans.__('No array is selected'), trans.__('Choose one to see its chunks.'));
  };

  const draw = (): void => {
    const shown = content();
    section.fill([shown], shown === body);
  };
  model.plane.changed.listen(draw);
  model.details.changed.listen(draw);
  section.shown.listen(shown => {
    model.showsChunks = shown;
  });
  draw();
  return {
    section,
    setColours: colours => {
      view.setColours(colours);
    }
  };
}
