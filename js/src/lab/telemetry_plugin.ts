import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IConsoleTracker } from '@jupyterlab/console';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { KernelFeeds } from './active_kernel';
import { CommandIds, NO_ARGUMENTS } from './commands';
import { plotIcon } from './icons';
import { TelemetryPanel } from './telemetry_panel';

const PLUGIN_ID = 'zlab:telemetry';
const RANK = 600;
const DEFAULT_HZ = 5;
const DEFAULT_WINDOW_S = 60;

/** Plots of what zlab reads and writes in the kernel in front, while it does. */
export const telemetryPlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Plots the I/O of zlab in the kernel of the active notebook or console.',
  autoStart: true,
  optional: [
    ICommandPalette,
    IConsoleTracker,
    ILayoutRestorer,
    INotebookTracker,
    ISettingRegistry,
    ITranslator
  ],
  activate: (
    app: JupyterFrontEnd,
    palette: ICommandPalette | null,
    consoles: IConsoleTracker | null,
    restorer: ILayoutRestorer | null,
    notebooks: INotebookTracker | null,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('zlab');
    const feeds = new KernelFeeds(notebooks, consoles, DEFAULT_HZ);
    const panel = new TelemetryPanel(feeds, trans, DEFAULT_WINDOW_S);
    // On the right, so that it can be watched beside the browser and the notebook.
    app.shell.add(panel, 'right', { rank: RANK, type: 'Zarr I/O' });
    restorer?.add(panel, panel.id);

    app.commands.addCommand(CommandIds.showTelemetry, {
      label: trans.__('Show Live Zarr I/O'),
      icon: plotIcon,
      describedBy: { args: NO_ARGUMENTS },
      execute: () => {
        app.shell.activateById(panel.id);
      }
    });
    palette?.addItem({ command: CommandIds.showTelemetry, category: trans.__('Zarr') });
    void settings?.load(PLUGIN_ID).then(loaded => {
      const apply = (): void => {
        feeds.setRate(Number(loaded.get('framesPerSecond').composite));
        panel.setWindow(Number(loaded.get('windowSeconds').composite));
      };
      loaded.changed.connect(apply);
      apply();
    });
  }
};
