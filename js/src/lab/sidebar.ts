import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import { SidePanel } from '@jupyterlab/ui-components';
import type { AccordionPanel } from '@lumino/widgets';
import { zarrIcon } from './icons';
import type { Section } from './section';

/** The panel in the left area, in foldable sections. */
export class ZarrSidebar extends SidePanel {
  readonly #shell: JupyterFrontEnd.IShell;

  constructor(shell: JupyterFrontEnd.IShell, translator: ITranslator, trans: TranslationBundle) {
    super({ translator });
    this.#shell = shell;
    this.id = 'zlab-sidebar';
    this.addClass('zlab-Sidebar');
    this.title.icon = zarrIcon;
    this.title.caption = trans.__('Zarr Stores');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Zarr Stores'));
  }

  /** Brings the sidebar, and a section of it, into sight. */
  reveal(section?: Section): void {
    this.#shell.activateById(this.id);
    const at = section === undefined ? -1 : this.widgets.indexOf(section);
    if (at >= 0) {
      (this.content as AccordionPanel).expand(at);
    }
  }

  /** Shares the height out, in the order of the sections. */
  shareHeight(sizes: readonly number[]): void {
    (this.content as AccordionPanel).setRelativeSizes([...sizes]);
  }
}
