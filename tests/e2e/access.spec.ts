import { expect, test } from '@playwright/test';
import type { AxeResults } from 'axe-core';
import { join } from 'node:path';
import { openLab, setTheme, Sidebar, execute } from './lab';

// axe is a script of its own, which JupyterLab's policy would not let in.
test.use({ bypassCSP: true });

declare const axe: { run(context: unknown): Promise<AxeResults> };

const AXE = join(__dirname, '..', '..', 'node_modules', 'axe-core', 'axe.min.js');

for (const theme of ['JupyterLab Light', 'JupyterLab Dark', 'JupyterLab Dark High Contrast']) {
  test(`axe finds nothing serious in ${theme}`, async ({ page }) => {
    await openLab(page);
    await setTheme(page, theme);
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await execute(page, 'zlab:show-telemetry');
    await sidebar.chooseStore('odd.zarr');
    await sidebar.choose('holes');
    await expect(sidebar.chunks.getByText('absent')).toBeVisible();
    await page.addScriptTag({ path: AXE });
    const found = await page.evaluate(async () => {
      const parts = ['stores', 'tree', 'details', 'chunks', 'telemetry'];
      const results = await axe.run({ include: parts.map(part => `#zlab-${part}`) });
      return results.violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => [id, ...nodes.map(node => node.html.slice(0, 160))]);
    });
    expect(found).toEqual([]);
    await setTheme(page, 'JupyterLab Light');
  });
}
