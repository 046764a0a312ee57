import { expect, test } from '@playwright/test';
import {
  complaints,
  execute,
  needsBrowser,
  openLab,
  ready,
  ROOT,
  setTheme,
  shot,
  Sidebar
} from './lab';

needsBrowser();

test.describe('the browser of stores', () => {
  let sidebar: Sidebar;
  let complained: string[];

  test.beforeEach(async ({ page }) => {
    complained = complaints(page);
    await openLab(page);
    sidebar = new Sidebar(page);
    await sidebar.open();
    await expect(sidebar.stores.getByRole('option')).toHaveCount(5);
  });

  test.afterEach(() => {
    expect(complained).toEqual([]);
  });

  test('walks a sharded v3 store', async ({ page }) => {
    await sidebar.chooseStore('demo/climate.zarr');
    await expect(sidebar.details.locator('h2')).toHaveText('climate.zarr');
    await sidebar.openGroup('cube');
    await sidebar.choose('cube/temperature');
    await expect(sidebar.fact('Dimensions')).toHaveText('time, lat, lon');
    await expect(sidebar.fact('Data type')).toHaveText('float32');
    await expect(sidebar.fact('Chunks')).toHaveText('16 × 45 × 90');
    await expect(sidebar.fact('Shards')).toHaveText('64 × 90 × 180');
    await expect(sidebar.fact('Codecs')).toContainText('sharding_indexed');
    await expect(sidebar.fact('Stored')).toContainText('MB');
    await expect(sidebar.fact('Ratio')).toContainText(': 1');
    await expect(sidebar.details.locator('.zlab-Attributes')).toContainText('units');

    const { chunks } = sidebar;
    await expect(chunks.locator('.zlab-Readout')).toContainText('chunks stored');
    await expect(chunks.getByText('shard', { exact: true })).toBeVisible();
    const canvas = chunks.locator('canvas').first();
    await canvas.click({ position: { x: 3, y: 6 } });
    await expect(chunks.locator('.zlab-Readout')).toContainText('chunk (0, 0, 0): ');
    await page.mouse.move(5, 5);
    await canvas.press('ArrowRight');
    await expect(chunks.locator('.zlab-Readout')).toContainText('chunk (1, 0, 0): ');
    await canvas.hover({ position: { x: 3, y: 6 } });
    await expect(chunks.locator('.zlab-Readout')).toContainText('chunk (0, 0, 0): ');
    await shot(page, 'browse-v3');
  });

  test('draws another plane of the chunk grid', async () => {
    await sidebar.chooseStore('demo/climate.zarr');
    await sidebar.openGroup('cube');
    await sidebar.choose('cube/temperature');
    const { chunks } = sidebar;
    const [rows, columns] = [chunks.getByLabel('rows'), chunks.getByLabel('columns')];
    await expect(columns.locator('option:checked')).toHaveText('time');
    await rows.selectOption('lat');
    await columns.selectOption('lon');
    await expect(chunks.locator('.zlab-Readout')).toContainText('4 of 4 chunks stored');
    await chunks.locator('canvas').first().press('Home');
    await chunks.getByRole('slider').press('ArrowRight');
    await expect(chunks.locator('.zlab-Readout')).toContainText('chunk (1, 0, 0): ');
  });

  test('walks a v2 store', async ({ page }) => {
    await sidebar.chooseStore('demo/photo.zarr');
    await sidebar.choose('china');
    await expect(sidebar.details.getByText('array, Zarr v2')).toBeVisible();
    await expect(sidebar.fact('Data type')).toHaveText('uint8');
    await expect(sidebar.fact('Codecs')).not.toBeEmpty();
    await expect(sidebar.chunks.locator('.zlab-Readout')).toContainText('chunks stored');
    await sidebar.details.getByText('Metadata document').click();
    await expect(sidebar.details.locator('pre')).toContainText('"zarr_format": 2');
    await shot(page, 'browse-v2');
  });

  test('tells absent chunks from small ones', async ({ page }) => {
    await sidebar.chooseStore('odd.zarr');
    await sidebar.choose('holes');
    await expect(sidebar.chunks.getByText('absent')).toBeVisible();
    await expect(sidebar.chunks.locator('.zlab-Readout')).toContainText('of 240 chunks stored');
    const stored = await sidebar.fact('Chunks stored').innerText();
    expect(stored).toMatch(/^\d+ of 240 \(/);
    await shot(page, 'browse-absent');
    await sidebar.choose('line');
    await expect(sidebar.chunks.locator('.zlab-Readout')).toContainText('700 of 900 chunks stored');
    await shot(page, 'browse-line');
  });

  test('lists what it cannot read, and says why', async ({ page }) => {
    await sidebar.chooseStore('odd.zarr');
    await sidebar.choose('broken');
    const alert = sidebar.details.getByRole('alert');
    await expect(alert).toContainText('MetadataError');
    await expect(alert.getByRole('button', { name: 'Try again' })).toBeVisible();
    await shot(page, 'browse-broken');
  });

  test('does nothing that a store says', async ({ page }) => {
    const title = await page.title();
    await sidebar.chooseStore('odd.zarr');
    await expect(sidebar.details.locator('.zlab-Attributes')).toContainText('<img src=x onerror=');
    await expect(sidebar.details.locator('img')).toHaveCount(0);
    expect(await page.title()).toBe(title);
  });

  test('goes by keys alone', async ({ page }) => {
    const stores = sidebar.stores.getByRole('listbox');
    await stores.focus();
    await page.keyboard.press('Home');
    await expect(sidebar.tree.getByRole('tree')).toBeVisible();
    await sidebar.tree.getByRole('tree').focus();
    await page.keyboard.press('ArrowDown');
    await expect(sidebar.row('co2')).toHaveAttribute('aria-selected', 'true');
    await page.keyboard.press('ArrowRight');
    await expect(sidebar.row('co2')).toHaveAttribute('aria-expanded', 'true');
    await page.keyboard.press('ArrowRight');
    await expect(sidebar.row('co2/co2')).toHaveAttribute('aria-selected', 'true');
    await page.keyboard.type('el');
    await expect(sidebar.row('elnino')).toHaveAttribute('aria-selected', 'true');
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowLeft');
    await expect(sidebar.row('co2')).toHaveAttribute('aria-expanded', 'false');
  });

  test('draws only the rows in sight of 2500', async ({ page }) => {
    await sidebar.chooseStore('wide.zarr');
    await expect(sidebar.row('g00000')).toHaveAttribute('aria-setsize', '2500');
    await sidebar.choose('g00001');
    await page.keyboard.press('End');
    await expect(sidebar.row('g02499')).toHaveAttribute('aria-selected', 'true');
    expect(await sidebar.tree.getByRole('treeitem').count()).toBeLessThan(60);
  });

  test('comes back to where it was after a reload', async ({ page }) => {
    await sidebar.chooseStore('demo/climate.zarr');
    await sidebar.openGroup('cube');
    await sidebar.choose('cube/lat');
    await expect(sidebar.fact('Shape')).toHaveText('90');
    // JupyterLab keeps the state of the page on the server, a moment later.
    await expect
      .poll(async () => (await page.request.get('lab/api/workspaces/default')).text())
      .toContain('"path": "cube/lat"');
    await page.reload();
    await ready(page);
    await expect(sidebar.row('cube/lat')).toHaveAttribute('aria-selected', 'true');
    await expect(sidebar.fact('Shape')).toHaveText('90');
  });

  test('adds a store by its path, and forgets it', async ({ page }) => {
    await sidebar.element.getByRole('button', { name: 'Add a Zarr Store' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('textbox').fill('demo/climate.zarr/cube/');
    await dialog.getByRole('button', { name: 'Add' }).click();
    const added = sidebar.stores.locator('[data-store="demo/climate.zarr/cube"]');
    await expect(added).toHaveAttribute('aria-selected', 'true');
    await expect(sidebar.row('lat')).toBeVisible();
    await added.click({ button: 'right' });
    await page.getByRole('menuitem', { name: 'Remove From the List' }).click();
    await expect(added).toHaveCount(0);
  });

  test('refuses a path outside the root, in words', async ({ page }) => {
    await execute(page, 'zlab:add-store', { path: '../elsewhere.zarr' });
    const alert = sidebar.tree.getByRole('alert');
    await expect(alert).toContainText('relative to the folder that the server was started in');
    await expect(alert).toContainText('OutsideRootError');
    await shot(page, 'browse-outside');
    await execute(page, 'zlab:add-store', { path: '/etc' });
    await expect(alert).toContainText('/etc');
  });

  test('says that a folder is not a store', async ({ page }) => {
    await execute(page, 'zlab:add-store', { path: 'plain' });
    const alert = sidebar.tree.getByRole('alert');
    await expect(alert).toContainText('NodeNotFoundError');
    await expect(alert).not.toContainText(ROOT);
  });

  test('opens a store from the file browser', async ({ page }) => {
    await execute(page, 'filebrowser:open-path', { path: 'demo' });
    await execute(page, 'filebrowser:activate');
    const items = page.locator('.jp-DirListing-item[data-file-type="zarr"]');
    await expect(items).toHaveCount(3);
    await items.filter({ hasText: 'digits' }).click({ button: 'right' });
    await page.getByRole('menuitem', { name: 'Open in Zarr Stores' }).click();
    await expect(sidebar.row('train')).toBeVisible();
  });

  test('serves narrow and wide sidebars, dark and light', async ({ page }) => {
    await sidebar.chooseStore('demo/climate.zarr');
    await sidebar.openGroup('cube');
    await sidebar.choose('cube/temperature');
    await expect(sidebar.fact('Ratio')).toBeVisible();
    const handle = page.locator('#jp-main-split-panel > .lm-SplitPanel-handle').first();
    const drag = async (x: number): Promise<void> => {
      const box = await handle.boundingBox();
      await page.mouse.move((box?.x ?? 0) + (box?.width ?? 0) / 2, 400);
      await page.mouse.down();
      await page.mouse.move(x, 400, { steps: 5 });
      await page.mouse.up();
    };
    const width = async (): Promise<number> => (await sidebar.element.boundingBox())?.width ?? 0;
    for (const theme of ['JupyterLab Light', 'JupyterLab Dark', 'JupyterLab Dark High Contrast']) {
      await setTheme(page, theme);
      const name = theme.replace('JupyterLab ', '').replaceAll(' ', '-').toLowerCase();
      // JupyterLab stops at 250; a drag while it still fits another theme in is lost.
      await expect(async () => {
        await drag(33 + 200);
        expect(await width()).toBeLessThan(260);
      }).toPass();
      await shot(page, `narrow-${name}`);
      const sideways = await sidebar.element.evaluate(node =>
        [...node.querySelectorAll('.zlab-Section-body')].filter(
          body => body.scrollWidth > body.clientWidth
        )
      );
      expect(sideways).toEqual([]);
      await drag(33 + 520);
      expect(await width()).toBeGreaterThan(500);
      await shot(page, `wide-${name}`);
    }
    await setTheme(page, 'JupyterLab Light');
  });
});
