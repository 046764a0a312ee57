import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { zarrIcon } from './icons';

/** The name of the file type, as the file browser puts it in `data-file-type`. */
export const ZARR_FILE_TYPE = 'zarr';

/** Gives `.zarr` folders their icon, and the context menu something to hold on to. */
export const fileTypePlugin: JupyterFrontEndPlugin<void> = {
  id: 'zlab:file-type',
  description: 'Shows folders whose name ends in .zarr as Zarr stores in the file browser.',
  autoStart: true,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('zlab');
    app.docRegistry.addFileType({
      name: ZARR_FILE_TYPE,
      displayName: trans.__('Zarr store'),
      extensions: ['.zarr'],
      mimeTypes: ['application/vnd+zarr'],
      contentType: 'directory',
      fileFormat: 'json',
      icon: zarrIcon
    });
  }
};
