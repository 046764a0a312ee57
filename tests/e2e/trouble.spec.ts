import { expect, test } from '@playwright/test';
import { needsBrowser, openLab, shot, Sidebar } from './lab';

needsBrowser();

/** What the user sees when the server does not answer as it should. */
test.describe('trouble', () => {
  test('no stores: the user is told how to get some', async ({ page }) => {
    await page.route('**/zlab/api/stores*', route =>
      route.fulfill({ json: { v: 1, root: '~/work', stores: [], truncated: false } })
    );
    await openLab(page);
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await expect(sidebar.stores).toContainText('No Zarr stores here');
    await expect(sidebar.stores).toContainText('zlab demo');
    await expect(sidebar.stores.getByRole('button', { name: 'Add a Store' })).toBeVisible();
    await shot(page, 'trouble-empty');
  });

  test('no server extension: the user is told what to do, and can try again', async ({ page }) => {
    await page.route('**/zlab/api/stores*', route =>
      route.fulfill({ status: 404, contentType: 'text/html', body: '<html>not here</html>' })
    );
    await openLab(page);
    const sidebar = new Sidebar(page);
    await sidebar.open();
    const alert = sidebar.stores.getByRole('alert');
    await expect(alert).toContainText("zlab's server extension does not answer");
    await expect(alert).toContainText('jupyter server extension list');
    await shot(page, 'trouble-no-extension');
    await page.unroute('**/zlab/api/stores*');
    await alert.getByRole('button', { name: 'Try again' }).click();
    await expect(sidebar.stores.getByRole('option')).toHaveCount(5);
  });

  test('not let in: the user is told to log in', async ({ page }) => {
    await page.route('**/zlab/api/stores*', route =>
      route.fulfill({ status: 403, json: { message: 'Forbidden', reason: null } })
    );
    await openLab(page);
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await expect(sidebar.stores.getByRole('alert')).toContainText('does not let you in');
  });

  test('another version: the user is told to bring both to one', async ({ page }) => {
    await page.route('**/zlab/api/stores*', route => route.fulfill({ json: { v: 99 } }));
    await openLab(page);
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await expect(sidebar.stores.getByRole('alert')).toContainText('version 99');
  });

  test('no connection: the user is told so', async ({ page }) => {
    await page.route('**/zlab/api/tree*', route => route.abort());
    await openLab(page);
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await sidebar.chooseStore('odd.zarr');
    const alert = sidebar.tree.getByRole('alert');
    await expect(alert).toContainText('cannot be reached');
    await page.unroute('**/zlab/api/tree*');
    await alert.getByRole('button', { name: 'Try again' }).click();
    await expect(sidebar.row('holes')).toBeVisible();
  });

  test('the server refuses who has no token', async ({ request }) => {
    for (const endpoint of ['stores', 'tree?store=odd.zarr', 'chunks?store=odd.zarr&path=holes']) {
      const reply = await request.get(`zlab/api/${endpoint}`, { maxRedirects: 0 });
      expect(reply.status(), endpoint).toBe(403);
      expect(await reply.text()).not.toContain('holes');
    }
  });
});
