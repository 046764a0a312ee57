import { expect, test } from '@playwright/test';
import { openLab, shot, Sidebar } from './lab';

test('look', async ({ page }) => {
  page.on('console', message => console.log(message.type(), message.text().slice(0, 300)));
  page.on('pageerror', error => console.log('ERR', error.message));
  await openLab(page);
  const sidebar = new Sidebar(page);
  await sidebar.open();
  await page.waitForTimeout(1500);
  await shot(page, 'a-open');
  await sidebar.chooseStore('demo/climate.zarr');
  await sidebar.openGroup('cube');
  await sidebar.choose('cube/temperature');
  await expect(sidebar.fact('Shape')).toContainText('90 × 180');
  await page.waitForTimeout(1500);
  await shot(page, 'b-array');
});
