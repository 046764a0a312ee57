import { expect, test } from '@playwright/test';
import { execute, kernelIdle, openLab, ready, setTheme, shot, Sidebar, start, writeNotebook } from './lab';

test('telemetry look', async ({ page }) => {
  page.on('console', message => console.log(message.type(), message.text().slice(0, 300)));
  page.on('pageerror', error => console.log('ERR', error.message));
  writeNotebook('work/stream.ipynb', [
    'import time\nimport zlab\n\narray = zlab.open("../demo/climate.zarr")["cube/temperature"]\nbegin = time.monotonic()\nwhile time.monotonic() - begin < 12:\n    for chunk in array.stream_chunks():\n        pass\nprint("read")',
    'zlab.widgets.ChunkHeatmap(array)',
    'zlab.widgets.Telemetry()'
  ]);
  await openLab(page, 'work/stream.ipynb');
  const sidebar = new Sidebar(page);
  await sidebar.open();
  await sidebar.chooseStore('demo/climate.zarr');
  await sidebar.openGroup('cube');
  await sidebar.choose('cube/temperature');
  await execute(page, 'zlab:show-telemetry');
  await kernelIdle(page);
  await shot(page, 't0-silent');
  await page.locator('.jp-Notebook .jp-Cell').first().click();
  await start(page, 'notebook:run-cell-and-select-next');
  await page.waitForTimeout(8000);
  await shot(page, 't1-live');
  await page.reload();
  await ready(page);
  await page.waitForTimeout(2500);
  await shot(page, 't2-reloaded');
  await kernelIdle(page);
  await page.waitForTimeout(500);
  await page.locator('.jp-Notebook .jp-Cell').nth(1).click();
  await execute(page, 'notebook:run-cell-and-select-next');
  await execute(page, 'notebook:run-cell-and-select-next');
  await page.waitForTimeout(1500);
  await shot(page, 't3-widgets');
  await setTheme(page, 'JupyterLab Dark');
  await page.waitForTimeout(1000);
  await shot(page, 't4-dark');
});
