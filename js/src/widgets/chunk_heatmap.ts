/** The front end of `zlab.widgets.ChunkHeatmap`. */

import type { RenderProps } from '@anywidget/types';
import { HeatmapModel } from '../model/heatmap';
import { element } from '../render/element';
import { HeatmapView } from '../render/heatmap_view';
import { PlanePicker } from '../render/plane_picker';
import { sourceWords } from '../render/words';
import { parseChunkHeatmapTraits } from '../wire/traits';
import { makeHost, showFault } from './host';

const DRAWN = ['_header', '_data', 'title', 'selected'] as const;

function render({ model, el }: RenderProps<Record<string, unknown>>): () => void {
  const host = makeHost(el);
  const heatmap = new HeatmapModel();
  const view = new HeatmapView(heatmap, sourceWords);
  const picker = new PlanePicker(sourceWords, ({ axes, index }) => {
    model.set('axes', axes);
    model.set('index', index);
    model.save_changes();
  });
  const title = element('h2', { class: 'zlab-Widget-title' });
  host.append(title, picker.element, view.element);

  const draw = (): void => {
    try {
      const traits = parseChunkHeatmapTraits(name => model.get(name));
      title.textContent = traits.title;
      picker.show(traits.plane, null);
      heatmap.setPlane(traits.plane, traits.selected);
      showFault(host, null);
    } catch (error) {
      showFault(host, error);
    }
  };
  for (const name of DRAWN) {
    model.on(`change:${name}`, draw);
  }
  const unlisten = heatmap.chosen.listen(coordinates => {
    model.set('selected', coordinates);
    model.save_changes();
  });
  draw();
  return () => {
    for (const name of DRAWN) {
      model.off(`change:${name}`, draw);
    }
    unlisten();
    view.dispose();
    picker.dispose();
  };
}

export default { render };
