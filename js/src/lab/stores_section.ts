import type { TranslationBundle } from '@jupyterlab/translation';
import type { StoreListModel } from '../model/stores';
import { element } from '../render/element';
import { faultNotice, loadingNotice, notice } from '../render/notice';
import { StoreListView } from '../render/store_list_view';
import { Section } from './section';

/** The stores to choose from, or what keeps them away. */
export function storesSection(
  model: StoreListModel,
  trans: TranslationBundle,
  add: () => void
): Section {
  const section = new Section('stores', trans.__('Stores'));
  const list = new StoreListView(model, trans);

  const content = (): (Node | null)[] => {
    const { state } = model.found;
    const entries = model.entries.length > 0 ? list.element : null;
    if (state.is === 'failed') {
      return [faultNotice(state.fault, trans, () => void model.refresh()), entries];
    }
    if (state.is === 'ready' && entries === null) {
      return [
        notice(
          trans.__('No Zarr stores here'),
          trans.__(
            'Stores below %1 appear here. "zlab demo demo" in a terminal writes some to look at.',
            state.value.root
          ),
          { label: trans.__('Add a Store…'), run: add }
        )
      ];
    }
    if (state.is === 'ready' && state.value.truncated) {
      const more = trans.__('The search ended early. A store that is not here can be added.');
      return [entries, element('p', { class: 'zlab-Section-pad zlab-faint' }, more)];
    }
    return [entries ?? loadingNotice(trans.__('Looking for stores…'))];
  };

  const draw = (): void => {
    section.fill(content());
  };
  model.changed.listen(draw);
  draw();
  return section;
}
