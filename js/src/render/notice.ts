import type { Fault } from '../wire/server';
import { element } from './element';
import { icon } from './icons';
import type { Words } from './words';

export interface NoticeAction {
  readonly label: string;
  run(): void;
}

function actionButton(action: NoticeAction | undefined): HTMLElement | null {
  if (action === undefined) {
    return null;
  }
  const button = element('button', { type: 'button', class: 'zlab-Button' }, action.label);
  button.addEventListener('click', () => {
    action.run();
  });
  return button;
}

/** Something that is so, and what the user can do about it. */
export function notice(title: string, text: string | null, action?: NoticeAction): HTMLElement {
  return element(
    'div',
    { class: 'zlab-Notice', role: 'status' },
    element('p', { class: 'zlab-Notice-title' }, title),
    text === null ? null : element('p', {}, text),
    actionButton(action)
  );
}

export function loadingNotice(text: string): HTMLElement {
  return element('div', { class: 'zlab-Notice zlab-mod-loading', role: 'status' }, text);
}

/** Something that went wrong: what, the next step, and a way to try again. */
export function faultNotice(fault: Fault, words: Words, retry?: () => void): HTMLElement {
  return element(
    'div',
    { class: 'zlab-Notice zlab-mod-fault', role: 'alert' },
    element('p', { class: 'zlab-Notice-title' }, icon('fault'), fault.message),
    fault.hint === null ? null : element('p', {}, fault.hint),
    element('p', { class: 'zlab-Notice-reason' }, fault.reason),
    actionButton(retry && { label: words.__('Try again'), run: retry })
  );
}
