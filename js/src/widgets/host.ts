/** What the widgets share: their place in an output, with the style that JupyterLab's page lacks. */

import plotStyle from 'uplot/dist/uPlot.min.css';
import sharedStyle from '../../style/shared.css';
import { faultOf } from '../model/fault';
import { element } from '../render/element';
import { faultNotice } from '../render/notice';
import { sourceWords } from '../render/words';

/** Makes the place that a widget draws in. */
export function makeHost(output: HTMLElement): HTMLElement {
  const host = element('div', { class: 'zlab-View zlab-mod-widget' });
  output.append(element('style', {}, plotStyle, sharedStyle), host);
  return host;
}

/** Shows in the place of a widget why it cannot be drawn; `null` takes that away. */
export function showFault(host: HTMLElement, error: unknown): void {
  host.querySelector('.zlab-Notice')?.remove();
  if (error !== null) {
    host.prepend(faultNotice(faultOf(error), sourceWords));
  }
}
