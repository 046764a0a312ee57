import { expect, test } from '@playwright/test';
import {
  complaints,
  execute,
  kernelIdle,
  needsBrowser,
  openLab,
  shot,
  shotPath,
  shutDownKernels,
  writeNotebook
} from './lab';

needsBrowser();

test.describe('the notebook widgets', () => {
  test.afterEach(async ({ page }) => {
    await shutDownKernels(page);
  });

  test('draw in a cell, and tell the kernel of a click', async ({ page }) => {
    const complained = complaints(page);
    writeNotebook('work/widgets.ipynb', [
      'import zlab\narray = zlab.open("../odd.zarr")["holes"]\nheatmap = zlab.widgets.ChunkHeatmap(array)\nheatmap',
      'telemetry = zlab.widgets.Telemetry()\narray[...]\ntelemetry',
      'print(heatmap.selected)',
      'zlab.widgets.ChunkHeatmap(zlab.open("../demo/climate.zarr")["cube/ice"])'
    ]);
    await openLab(page, 'work/widgets.ipynb');
    await kernelIdle(page);
    const cells = page.locator('.jp-Notebook .jp-CodeCell');
    const run = async (at: number): Promise<void> => {
      await cells.nth(at).locator('.jp-InputPrompt').click();
      await execute(page, 'notebook:run-cell');
    };
    await run(0);
    const heatmap = cells.nth(0).locator('.zlab-Heatmap');
    await expect(heatmap.locator('.zlab-Readout')).toContainText('of 240 chunks stored');
    await run(1);
    await expect(cells.nth(1).locator('.zlab-Telemetry-totals')).toContainText('chunks read');
    await heatmap
      .locator('canvas')
      .first()
      .click({ position: { x: 40, y: 12 } });
    await expect(heatmap.locator('.zlab-Readout')).toContainText('chunk (0, 1)');
    await kernelIdle(page);
    await run(2);
    await expect(cells.nth(2).locator('.jp-OutputArea-output')).toHaveText('[0, 1]');
    await cells.nth(0).scrollIntoViewIfNeeded();
    await shot(page, 'widgets');
    await run(3);
    const ice = cells.nth(3).locator('.zlab-mod-widget');
    await ice.locator('canvas').first().press('End');
    await expect(ice.locator('.zlab-Readout')).toContainText('chunk (0, 5, 0)');
    await ice.screenshot({ path: shotPath('heatmap') });
    expect(complained).toEqual([]);
  });
});
