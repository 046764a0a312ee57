import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Clipboard, ICommandPalette, InputDialog } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { addIcon, refreshIcon, ToolbarButton } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONValue } from '@lumino/coreutils';
import { BrowserModel } from '../model/browser';
import { openingCode } from '../model/snippet';
import { COLOUR_MAPS } from '../render/colours';
import type { Node as ZarrNode } from '../wire/server';
import { chunksSection } from './chunks_section';
import { folderOf, insertCell, openNotebook } from './code';
import { CommandIds, NO_ARGUMENTS } from './commands';
import { detailsSection, type Action } from './details_section';
import { zarrIcon } from './icons';
import { LabServer } from './server';
import { ZarrSidebar } from './sidebar';
import { storesSection } from './stores_section';
import { treeSection } from './tree_section';

const PLUGIN_ID = 'zlab:browser';
const RANK = 600;
/** Shares of the height: stores, tree, details, chunks. */
const HEIGHTS = [0.17, 0.24, 0.26, 0.33];

/** What the commands act on. */
class Browser {
  readonly model: BrowserModel;
  readonly #app: JupyterFrontEnd;
  readonly #notebooks: INotebookTracker | null;

  constructor(app: JupyterFrontEnd, notebooks: INotebookTracker | null, trans: TranslationBundle) {
    this.#app = app;
    this.#notebooks = notebooks;
    this.model = new BrowserModel(new LabServer(app.serviceManager.serverSettings, trans));
  }

  get canInsert(): boolean {
    return this.model.node !== null && openNotebook(this.#notebooks) !== null;
  }

  /** Code that opens a node, seen from the active notebook or else from the server's root. */
  codeOf(node: Pick<ZarrNode, 'path' | 'kind'>): string {
    const panel = openNotebook(this.#notebooks);
    const folder = panel === null ? '' : folderOf(panel, this.#app.serviceManager.contents);
    return openingCode(this.model.node?.store ?? '', node, folder);
  }

  /** Code that opens the node that is looked at. */
  get code(): string | null {
    const { node, tree, details } = this.model;
    if (node === null) {
      return null;
    }
    const kind = tree?.node(node.path)?.kind ?? details.value?.kind ?? 'group';
    return this.codeOf({ path: node.path, kind });
  }

  insertCode(): void {
    const panel = openNotebook(this.#notebooks);
    if (panel !== null && this.code !== null) {
      insertCell(panel, this.code);
    }
  }

  copyCode(): void {
    if (this.code !== null) {
      Clipboard.copyToSystem(this.code);
    }
  }

  copyPath(): void {
    const { node } = this.model;
    if (node !== null) {
      Clipboard.copyToSystem([node.store, node.path].filter(part => part !== '').join('/'));
    }
  }
}

function addCommands(
  app: JupyterFrontEnd,
  browser: Browser,
  sidebar: ZarrSidebar,
  files: IDefaultFileBrowser | null,
  trans: TranslationBundle
): void {
  const { commands } = app;
  const { model } = browser;
  const hasNode = (): boolean => model.node !== null;
  const describedBy = { args: NO_ARGUMENTS };
  const pathArgument = {
    args: {
      type: 'object',
      properties: {
        path: { type: 'string', description: 'A path below the root of the server, or a URL' }
      }
    }
  };

  commands.addCommand(CommandIds.show, {
    label: trans.__('Show Zarr Stores'),
    icon: zarrIcon,
    describedBy,
    execute: () => {
      sidebar.reveal();
    }
  });
  commands.addCommand(CommandIds.refresh, {
    label: trans.__('Refresh Zarr Stores'),
    icon: refreshIcon,
    describedBy,
    execute: () => model.refresh()
  });
  commands.addCommand(CommandIds.addStore, {
    label: trans.__('Add a Zarr Store…'),
    icon: addIcon,
    describedBy: pathArgument,
    execute: async args => {
      const typed =
        typeof args['path'] === 'string'
          ? args['path']
          : (
              await InputDialog.getText({
                title: trans.__('Add a Zarr Store'),
                label: trans.__('A path below the root of the server, or a URL'),
                placeholder: trans.__('data/climate.zarr'),
                okLabel: trans.__('Add')
              })
            ).value;
      if (typed !== null && typed.trim() !== '') {
        sidebar.reveal();
        model.stores.add(typed);
      }
    }
  });
  commands.addCommand(CommandIds.removeStore, {
    label: trans.__('Remove From the List'),
    describedBy,
    isEnabled: () =>
      model.stores.entries.some(
        entry => entry.id === model.stores.selected && entry.kind === 'added'
      ),
    execute: () => {
      if (model.stores.selected !== null) {
        model.stores.remove(model.stores.selected);
      }
    }
  });
  commands.addCommand(CommandIds.openPath, {
    label: trans.__('Open in Zarr Stores'),
    icon: zarrIcon,
    describedBy: pathArgument,
    execute: args => {
      const [selected] = files?.selectedItems() ?? [];
      const path = typeof args['path'] === 'string' ? args['path'] : selected?.path;
      if (path !== undefined) {
        sidebar.reveal();
        model.show(app.serviceManager.contents.localPath(path));
      }
    }
  });
  commands.addCommand(CommandIds.insertCode, {
    label: trans.__('Insert Code to Open the Zarr Node'),
    describedBy,
    isEnabled: () => browser.canInsert,
    execute: () => {
      browser.insertCode();
    }
  });
  commands.addCommand(CommandIds.copyCode, {
    label: trans.__('Copy Code to Open the Zarr Node'),
    describedBy,
    isEnabled: hasNode,
    execute: () => {
      browser.copyCode();
    }
  });
  commands.addCommand(CommandIds.copyPath, {
    label: trans.__('Copy Path of the Zarr Node'),
    describedBy,
    isEnabled: hasNode,
    execute: () => {
      browser.copyPath();
    }
  });
}

/** The sidebar of stores: what there is, what is in it, and where its chunks lie. */
export const browserPlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Browses Zarr stores in the left sidebar.',
  autoStart: true,
  optional: [
    ICommandPalette,
    IDefaultFileBrowser,
    ILayoutRestorer,
    INotebookTracker,
    ISettingRegistry,
    IStateDB,
    ITranslator
  ],
  activate: (
    app: JupyterFrontEnd,
    palette: ICommandPalette | null,
    files: IDefaultFileBrowser | null,
    restorer: ILayoutRestorer | null,
    notebooks: INotebookTracker | null,
    settings: ISettingRegistry | null,
    state: IStateDB | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('zlab');
    const browser = new Browser(app, notebooks, trans);
    const { model } = browser;
    const sidebar = new ZarrSidebar(app.shell, translator ?? nullTranslator, trans);
    addCommands(app, browser, sidebar, files, trans);
    for (const command of Object.values(CommandIds)) {
      if (command !== CommandIds.openPath && command !== CommandIds.showTelemetry) {
        palette?.addItem({ command, category: trans.__('Zarr') });
      }
    }

    const run = (command: string) => (): void => {
      void app.commands.execute(command);
    };
    const stores = storesSection(model.stores, trans, run(CommandIds.addStore));
    const actions = (): readonly Action[] => [
      {
        label: trans.__('Insert code'),
        hindrance: browser.canInsert ? null : trans.__('Open a notebook to insert code into it.'),
        run: run(CommandIds.insertCode)
      },
      { label: trans.__('Copy code'), hindrance: null, run: run(CommandIds.copyCode) }
    ];
    const details = detailsSection(model, trans, actions);
    const tree = treeSection(model, {
      trans,
      dragText: node => browser.codeOf(node),
      onActivate: () => {
        sidebar.reveal(details.section);
      }
    });
    const chunks = chunksSection(model, trans);
    for (const [command, icon] of [
      [CommandIds.addStore, addIcon],
      [CommandIds.refresh, refreshIcon]
    ] as const) {
      const tooltip = app.commands.label(command);
      stores.toolbar.addItem(command, new ToolbarButton({ icon, tooltip, onClick: run(command) }));
    }
    for (const section of [stores, tree, details.section, chunks.section]) {
      sidebar.addWidget(section);
    }
    sidebar.shareHeight(HEIGHTS);
    app.shell.add(sidebar, 'left', { rank: RANK, type: 'Zarr Stores' });
    restorer?.add(sidebar, sidebar.id);
    notebooks?.currentChanged.connect(() => {
      details.update();
    });

    void remember(app, model, state);
    // The search costs the server something: it is made for those who look.
    const unlisten = stores.shown.listen(shown => {
      if (shown) {
        unlisten();
        void model.stores.refresh();
      }
    });
    void settings?.load(PLUGIN_ID).then(loaded => {
      const apply = (): void => {
        const chosen = loaded.get('colourMap').composite;
        chunks.setColours(COLOUR_MAPS.find(name => name === chosen) ?? 'viridis');
      };
      loaded.changed.connect(apply);
      apply();
    });
  }
};

/** Brings back what was open, and keeps what is. */
async function remember(
  app: JupyterFrontEnd,
  model: BrowserModel,
  state: IStateDB | null
): Promise<void> {
  await app.restored;
  model.restore(await state?.fetch(PLUGIN_ID));
  model.moved.listen(() => {
    void state?.save(PLUGIN_ID, model.remember() as ReadonlyPartialJSONValue);
  });
}
