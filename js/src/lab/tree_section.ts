import type { TranslationBundle } from '@jupyterlab/translation';
import type { BrowserModel } from '../model/browser';
import type { TreeModel } from '../model/tree';
import type { Node as ZarrNode } from '../wire/server';
import { faultNotice, notice } from '../render/notice';
import { TreeView } from '../render/tree_view';
import { Section } from './section';

export interface TreeSectionOptions {
  readonly trans: TranslationBundle;
  readonly dragText: (node: ZarrNode) => string;
  readonly onActivate: (node: ZarrNode) => void;
}

/** The nodes of the store that is open. */
export function treeSection(model: BrowserModel, options: TreeSectionOptions): Section {
  const { trans } = options;
  const section = new Section('tree', trans.__('Tree'));
  let view: TreeView | null = null;

  const draw = (tree: TreeModel | null): void => {
    if (tree === null || view === null) {
      section.fill([notice(trans.__('No store is open'), trans.__('Choose one above.'))]);
    } else if (tree.fault !== null) {
      section.fill([faultNotice(tree.fault, trans, () => void tree.retry(0))]);
    } else if (tree.empty) {
      section.fill([notice(trans.__('Nothing in it'), trans.__('This group has no members yet.'))]);
    } else {
      section.fill([view.element], true);
    }
  };

  const replace = (): void => {
    const { tree } = model;
    view?.dispose();
    view = null;
    section.title.label = model.stores.selected ?? trans.__('Tree');
    section.title.caption = section.title.label;
    if (tree !== null) {
      view = new TreeView(tree, trans, {
        label: trans.__('Groups and arrays of %1', model.stores.selected ?? ''),
        dragText: options.dragText,
        onActivate: options.onActivate
      });
      tree.changed.listen(() => {
        if (model.tree === tree) {
          draw(tree);
        }
      });
    }
    draw(tree);
  };

  model.treeReplaced.listen(replace);
  replace();
  return section;
}
