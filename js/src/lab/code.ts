import { PathExt } from '@jupyterlab/coreutils';
import { NotebookActions, type INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';

/** The folder that a notebook lies in, and its kernel runs in, below the server's root. */
export function folderOf(panel: NotebookPanel, contents: Contents.IManager): string {
  return PathExt.dirname(contents.localPath(panel.context.path));
}

/** The notebook that code would go into; null without one, or if it cannot be changed. */
export function openNotebook(notebooks: INotebookTracker | null): NotebookPanel | null {
  const panel = notebooks?.currentWidget ?? null;
  return panel?.content.model?.readOnly === true ? null : panel;
}

/** Puts a cell with code below the active one. */
export function insertCell(panel: NotebookPanel, code: string): void {
  NotebookActions.insertBelow(panel.content);
  panel.content.activeCell?.model.sharedModel.setSource(code);
}
