/** The front end of `zlab.widgets.Telemetry`. */

import type { RenderProps } from '@anywidget/types';
import { pageClock, TelemetryModel } from '../model/telemetry';
import { TelemetryView } from '../render/telemetry_view';
import { sourceWords } from '../render/words';
import { parseTelemetryTraits } from '../wire/traits';
import { makeHost, showFault } from './host';

function render({ model, el }: RenderProps<Record<string, unknown>>): () => void {
  const host = makeHost(el);
  const telemetry = new TelemetryModel();
  const view = new TelemetryView(telemetry, sourceWords);
  host.append(view.element);

  const update = (): void => {
    try {
      const { frame, window_s } = parseTelemetryTraits(name => model.get(name));
      view.setWindow(window_s);
      telemetry.push(frame, pageClock());
      showFault(host, null);
    } catch (error) {
      showFault(host, error);
    }
  };
  model.on('change:_frame', update);
  model.on('change:window_s', update);
  update();
  return () => {
    model.off('change:_frame', update);
    model.off('change:window_s', update);
    view.dispose();
  };
}

export default { render };
