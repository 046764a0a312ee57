import type { TranslationBundle } from '@jupyterlab/translation';
import type { BrowserModel } from '../model/browser';
import { detailsView } from '../render/details_view';
import { element } from '../render/element';
import { faultNotice, loadingNotice, notice } from '../render/notice';
import { Section } from './section';

/** A button that, while it cannot be used, says why. */
export interface Action {
  readonly label: string;
  /** Null while the action can be taken. */
  readonly hindrance: string | null;
  run(): void;
}

function actionBar(actions: readonly Action[]): HTMLElement {
  const bar = element('div', { class: 'zlab-Actions' });
  const reasons = new Set<string>();
  for (const action of actions) {
    const button = element(
      'button',
      {
        type: 'button',
        class: 'zlab-Button',
        // Not `disabled`: that would hide the reason from the keyboard.
        'aria-disabled': action.hindrance === null ? null : 'true',
        title: action.hindrance
      },
      action.label
    );
    button.addEventListener('click', () => {
      if (action.hindrance === null) {
        action.run();
      }
    });
    bar.append(button);
    if (action.hindrance !== null) {
      reasons.add(action.hindrance);
    }
  }
  for (const reason of reasons) {
    bar.append(element('p', { class: 'zlab-Actions-reason' }, reason));
  }
  return bar;
}

export interface DetailsSection {
  readonly section: Section;
  /** Draws anew, as when another notebook became the active one. */
  update(): void;
}

/** What is known of the node that is looked at. */
export function detailsSection(
  model: BrowserModel,
  trans: TranslationBundle,
  actions: () => readonly Action[]
): DetailsSection {
  const section = new Section('details', trans.__('Details'));

  const content = (): HTMLElement[] => {
    const { state } = model.details;
    if (state.is === 'idle') {
      return [notice(trans.__('Nothing to show'), trans.__('Open a store to see its details.'))];
    }
    if (state.is === 'failed' && model.tree?.fault) {
      return [notice(trans.__('Nothing to show'), trans.__('The store cannot be opened.'))];
    }
    if (state.is === 'failed') {
      return [faultNotice(state.fault, trans, () => void model.details.retry())];
    }
    const details = state.is === 'ready' ? state.value : state.stale;
    if (details === null) {
      return [loadingNotice(trans.__('Reading metadata…'))];
    }
    const isStale = state.is === 'loading';
    const body = element(
      'div',
      { class: 'zlab-Section-pad', 'aria-busy': isStale ? 'true' : null },
      actionBar(actions()),
      detailsView(details, isStale ? { is: 'idle' } : model.stats.state, trans)
    );
    return [body];
  };

  const update = (): void => {
    section.fill(content());
  };
  model.details.changed.listen(update);
  model.stats.changed.listen(update);
  update();
  return { section, update };
}
