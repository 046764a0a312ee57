import { expect, test } from '@playwright/test';
import {
  execute,
  kernelIdle,
  needsBrowser,
  openLab,
  shutDownKernels,
  Sidebar,
  writeNotebook
} from './lab';

needsBrowser();

test.describe('inserting code', () => {
  test.afterEach(async ({ page }) => {
    await shutDownKernels(page);
  });

  test('needs a notebook, and says so', async ({ page }) => {
    await openLab(page);
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await sidebar.chooseStore('demo/digits.zarr');
    await sidebar.choose('images');
    const button = sidebar.details.getByRole('button', { name: 'Insert code' });
    await expect(button).toHaveAttribute('aria-disabled', 'true');
    await expect(sidebar.details).toContainText('Open a notebook to insert code into it.');
  });

  test('opens the array in the notebook, as seen from its folder', async ({ page }) => {
    writeNotebook('work/code.ipynb', ['']);
    await openLab(page, 'work/code.ipynb');
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await sidebar.chooseStore('demo/digits.zarr');
    await sidebar.choose('images');
    await kernelIdle(page);
    await sidebar.details.getByRole('button', { name: 'Insert code' }).click();
    const cell = page.locator('.jp-Notebook .jp-CodeCell').nth(1);
    await expect(cell.locator('.cm-content')).toHaveText(
      'import zlabarray = zlab.open("../demo/digits.zarr")["images"]'
    );
    await page.evaluate(() => {
      interface Sharing {
        model: { sharedModel: { getSource(): string; setSource(source: string): void } };
      }
      const panel = globalThis.jupyterapp?.shell.currentWidget as unknown as {
        content: { activeCell: Sharing };
      };
      const { sharedModel } = panel.content.activeCell.model;
      sharedModel.setSource(`${sharedModel.getSource()}\nprint(array.shape)`);
    });
    await execute(page, 'notebook:run-cell');
    await expect(cell.locator('.jp-OutputArea-output')).toHaveText('(1797, 8, 8)');
  });

  test('copies it, too', async ({ page, context }) => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await openLab(page);
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await sidebar.chooseStore('demo/digits.zarr');
    await sidebar.choose('images');
    await sidebar.details.getByRole('button', { name: 'Copy code' }).click();
    const copied = (): Promise<string> => page.evaluate(() => navigator.clipboard.readText());
    await expect
      .poll(copied)
      .toBe('import zlab\n\narray = zlab.open("demo/digits.zarr")["images"]');
    await sidebar.row('images').click({ button: 'right' });
    await page.getByRole('menuitem', { name: 'Copy Path of the Zarr Node' }).click();
    await expect.poll(copied).toBe('demo/digits.zarr/images');
  });
});
