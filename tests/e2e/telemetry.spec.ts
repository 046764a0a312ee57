import { expect, test, type Locator, type Page } from '@playwright/test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  complaints,
  execute,
  kernelIdle,
  needsBrowser,
  openLab,
  ready,
  ROOT,
  setTheme,
  shot,
  shutDownKernels,
  Sidebar,
  start,
  writeNotebook
} from './lab';

needsBrowser();

/** Reads until a file appears: as long as the test needs, and no longer. */
const READ_UNTIL = (flag: string): string => `
import pathlib
import zlab

array = zlab.open("../demo/climate.zarr")["cube/temperature"]
while not pathlib.Path("${flag}").exists():
    for chunk in array.stream_chunks():
        pass
print("stopped reading")
`;

const stop = (flag: string): void => {
  writeFileSync(join(ROOT, 'work', flag), '');
};

const value = (sidebar: Sidebar, column: string): Locator =>
  sidebar.telemetry.locator(`[data-column="${column}"] .zlab-Chart-value`);

/** Waits until the sums go up, more than once. */
async function expectToMove(sidebar: Sidebar): Promise<void> {
  const totals = sidebar.telemetry.locator('.zlab-Telemetry-totals');
  await expect(totals).toContainText('chunks read', { timeout: 30_000 });
  for (let look = 0; look < 3; look++) {
    const before = await totals.innerText();
    await expect(totals).not.toHaveText(before);
  }
}

/** How many of the pixels of a plot are not background. */
async function inkOf(sidebar: Sidebar): Promise<number> {
  return await sidebar.telemetry
    .locator('canvas')
    .first()
    .evaluate(node => {
      const canvas = node as HTMLCanvasElement;
      const data = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
      return data?.filter((channel, at) => at % 4 === 3 && channel > 0).length ?? 0;
    });
}

async function runFirstCell(page: Page): Promise<void> {
  await page.locator('.jp-Notebook .jp-Cell').first().click();
  await start(page, 'notebook:run-cell');
}

test.describe('live telemetry', () => {
  test.afterEach(async ({ page }) => {
    await shutDownKernels(page);
  });

  test('says what is missing: a kernel, then zlab in it', async ({ page }) => {
    writeNotebook('work/plain.ipynb', ['print(1 + 1)']);
    await openLab(page);
    const sidebar = new Sidebar(page);
    await execute(page, 'zlab:show-telemetry');
    await expect(sidebar.telemetry).toContainText('No kernel');
    await shot(page, 'telemetry-no-kernel');
    await execute(page, 'docmanager:open', { path: 'work/plain.ipynb' });
    await kernelIdle(page);
    await expect(sidebar.telemetry).toContainText('Run "import zlab" in plain.ipynb');
    await runFirstCell(page);
    await expect(page.locator('.jp-OutputArea-output')).toHaveText('2');
    await expect(sidebar.telemetry).toContainText('Run "import zlab" in plain.ipynb');
    await shot(page, 'telemetry-no-zlab');
  });

  test('moves while a cell runs, and goes on after a reload in its middle', async ({ page }) => {
    const complained = complaints(page);
    writeNotebook('work/read.ipynb', [READ_UNTIL('stop-read'), 'array[...].mean()']);
    await openLab(page, 'work/read.ipynb');
    const sidebar = new Sidebar(page);
    await execute(page, 'zlab:show-telemetry');
    await kernelIdle(page);
    await runFirstCell(page);
    await expectToMove(sidebar);
    await expect(page.locator('.jp-InputPrompt').first()).toHaveText('[*]:');
    await expect(value(sidebar, 'decoded')).toContainText('B');
    expect(await inkOf(sidebar)).toBeGreaterThan(0);

    await page.reload();
    await ready(page);
    await expectToMove(sidebar);
    await expect(sidebar.telemetry.locator('.zlab-Telemetry-latency')).toContainText('median');

    stop('stop-read');
    await kernelIdle(page);
    await expect(value(sidebar, 'decoded')).toHaveText('0 B', { timeout: 30_000 });
    // The page that was loaded in between hears of the next cell, too.
    const totals = sidebar.telemetry.locator('.zlab-Telemetry-totals');
    const before = await totals.innerText();
    await page.locator('.jp-Notebook .jp-Cell').nth(1).click();
    await execute(page, 'notebook:run-cell');
    await expect(totals).not.toHaveText(before);
    expect(complained).toEqual([]);
  });

  test('begins anew with a restarted kernel', async ({ page }) => {
    writeNotebook('work/again.ipynb', [
      'import zlab\nzlab.open("../demo/digits.zarr")["images"][...].sum()'
    ]);
    await openLab(page, 'work/again.ipynb');
    const sidebar = new Sidebar(page);
    await execute(page, 'zlab:show-telemetry');
    const totals = sidebar.telemetry.locator('.zlab-Telemetry-totals');
    for (let round = 0; round < 2; round++) {
      await kernelIdle(page);
      await runFirstCell(page);
      await expect(page.locator('.jp-OutputArea-output')).not.toHaveCount(0);
      // The array has 29 chunks: a second round that went on from the first would have 58.
      await expect(totals).toHaveText(/^29 chunks read/, { timeout: 30_000 });
      await page.evaluate(async () => {
        const context = globalThis.jupyterapp?.shell.currentWidget?.sessionContext;
        await (context?.session?.kernel as unknown as { restart(): Promise<void> }).restart();
      });
    }
  });

  test('follows the notebook in front, and consoles', async ({ page }) => {
    writeNotebook('work/one.ipynb', ['import zlab\nzlab.open("../demo/digits.zarr")["images"][0]']);
    writeNotebook('work/two.ipynb', ['print(2)']);
    await openLab(page, 'work/one.ipynb');
    const sidebar = new Sidebar(page);
    await execute(page, 'zlab:show-telemetry');
    await kernelIdle(page);
    await runFirstCell(page);
    await expect(sidebar.telemetry).toContainText('chunk', { timeout: 30_000 });
    await execute(page, 'docmanager:open', { path: 'work/two.ipynb' });
    await kernelIdle(page);
    await expect(sidebar.telemetry).toContainText('Run "import zlab" in two.ipynb');
    await execute(page, 'docmanager:open', { path: 'work/one.ipynb' });
    await expect(sidebar.telemetry.locator('h2')).toContainText('one.ipynb');
    await expect(sidebar.telemetry.locator('.zlab-Telemetry-totals')).toContainText('read');
    await execute(page, 'console:create', { kernelPreference: { name: 'python3' } });
    await expect(sidebar.telemetry).toContainText('Run "import zlab" in Console');
  });

  test('shows the digits being trained on', async ({ page }) => {
    test.setTimeout(240_000);
    await page.setViewportSize({ width: 1400, height: 920 });
    await openLab(page, 'livebooks/03_03_training_from_zarr.ipynb');
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await sidebar.chooseStore('demo/climate.zarr');
    await sidebar.openGroup('cube');
    await sidebar.choose('cube/ice');
    await execute(page, 'zlab:show-telemetry');
    await kernelIdle(page);
    await start(page, 'notebook:run-all-cells');
    await expectToMove(sidebar);
    const outputs = page.locator('.jp-OutputArea-output');
    await expect(outputs.filter({ hasText: 'held-out digits are read right: True' })).toHaveCount(
      1,
      { timeout: 200_000 }
    );
    await expect(page.locator('.jp-RenderedText[data-mime-type*="stderr"]')).toHaveCount(0);
    // The curve of the loss, the second of two figures.
    const curve = outputs.locator('img').nth(1);
    // The notebook moves cells about while it draws them.
    await expect(async () => {
      await curve.evaluate(node => {
        node.scrollIntoView({ block: 'end' });
      });
      const box = await curve.boundingBox();
      expect(box?.y).toBeGreaterThan(500);
      expect((box?.y ?? 0) + (box?.height ?? 0)).toBeLessThan(900);
    }).toPass();
    await shot(page, 'lab');
    await setTheme(page, 'JupyterLab Dark');
    await shot(page, 'lab-dark');
    await setTheme(page, 'JupyterLab Light');
  });
});
