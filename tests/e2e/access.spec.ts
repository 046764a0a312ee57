import { expect, test, type Page } from '@playwright/test';
import type { AxeResults } from 'axe-core';
import { join } from 'node:path';
import { execute, needsBrowser, openLab, setTheme, Sidebar } from './lab';

needsBrowser();

// axe is a script of its own, which JupyterLab's policy would not let in.
test.use({ bypassCSP: true });

declare const axe: { run(context: unknown): Promise<AxeResults> };

const AXE = join(__dirname, '..', '..', 'node_modules', 'axe-core', 'axe.min.js');
const PARTS = ['stores', 'tree', 'details', 'chunks', 'telemetry'].map(part => `#zlab-${part}`);

async function violations(page: Page): Promise<string[][]> {
  await page.addScriptTag({ path: AXE });
  return await page.evaluate(async include => {
    const { violations } = await axe.run({ include });
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => [id, ...nodes.map(node => node.html.slice(0, 160))]);
  }, PARTS);
}

/** Texts that stand out too little from what is behind them; axe sees none in JupyterLab's panels. */
async function faintTexts(page: Page): Promise<{ texts: number; faint: string[] }> {
  return await page.evaluate(parts => {
    type Colour = [number, number, number, number];
    const parse = (css: string): Colour => {
      const [red = 0, green = 0, blue = 0, alpha = 1] = (css.match(/[\d.]+/g) ?? []).map(Number);
      return [red, green, blue, alpha];
    };
    const over = (front: Colour, back: Colour): Colour => {
      const mix = (at: 0 | 1 | 2): number => front[at] * front[3] + back[at] * (1 - front[3]);
      return [mix(0), mix(1), mix(2), 1];
    };
    const behind = (element: Element | null): Colour => {
      if (element === null) {
        return [255, 255, 255, 1];
      }
      const own = parse(getComputedStyle(element).backgroundColor);
      return own[3] === 1 ? own : over(own, behind(element.parentElement));
    };
    const luminance = (colour: Colour): number => {
      const [red = 0, green = 0, blue = 0] = colour.slice(0, 3).map(channel => {
        const share = channel / 255;
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    let texts = 0;
    const faint: string[] = [];
    for (const element of document.querySelectorAll(parts.map(part => `${part} *`).join())) {
      const text = [...element.childNodes].find(
        child => child.nodeType === Node.TEXT_NODE && child.textContent?.trim()
      );
      if (!text || !element.checkVisibility() || element.closest('[aria-disabled], option')) {
        continue;
      }
      texts += 1;
      const back = behind(element);
      const front = over(parse(getComputedStyle(element).color), back);
      const [dark = 0, light = 0] = [luminance(front), luminance(back)].sort((a, b) => a - b);
      const contrast = (light + 0.05) / (dark + 0.05);
      if (contrast < 4.5) {
        faint.push(`${contrast.toFixed(2)}: ${element.className} ${text.textContent ?? ''}`);
      }
    }
    return { texts, faint };
  }, PARTS);
}

for (const theme of ['JupyterLab Light', 'JupyterLab Dark', 'JupyterLab Dark High Contrast']) {
  test(`everybody can read and reach it in ${theme}`, async ({ page }) => {
    await openLab(page);
    await setTheme(page, theme);
    const sidebar = new Sidebar(page);
    await sidebar.open();
    await execute(page, 'zlab:show-telemetry');
    await sidebar.chooseStore('odd.zarr');
    await sidebar.choose('holes');
    await expect(sidebar.chunks.getByText('absent')).toBeVisible();
    expect(await violations(page)).toEqual([]);
    const selected = await faintTexts(page);
    expect(selected.texts).toBeGreaterThan(40);
    expect(selected.faint).toEqual([]);
    await sidebar.stores.getByRole('listbox').focus();
    expect((await faintTexts(page)).faint).toEqual([]);
    await setTheme(page, 'JupyterLab Light');
  });
}
