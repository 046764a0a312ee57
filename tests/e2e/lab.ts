/** What the tests do with JupyterLab. */

import { expect, test, type Locator, type Page } from '@playwright/test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const SHOTS = process.env['ZLAB_E2E_SHOTS'] ?? 'shots';
export const ROOT = process.env['ZLAB_E2E_ROOT'] ?? '';
export const TOKEN = process.env['ZLAB_E2E_TOKEN'] ?? '';

/** To be called at the head of a file of tests: without a browser they are skipped. */
export function needsBrowser(): void {
  const found = process.env['ZLAB_E2E_BROWSER'] !== '';
  test.skip(!found, 'no Chromium: apt-get install chromium');
}

/** The parts of JupyterLab's application that the tests touch. */
interface JupyterApp {
  readonly restored: Promise<void>;
  readonly commands: { execute(id: string, args?: unknown): Promise<unknown> };
  readonly shell: { readonly currentWidget: { sessionContext?: SessionContext } | null };
}

interface SessionContext {
  readonly ready: Promise<void>;
  readonly session: { kernel: { status: string } | null } | null;
}

declare global {
  var jupyterapp: JupyterApp | undefined;
}

export async function openLab(page: Page, path = ''): Promise<void> {
  await page.goto(`lab${path === '' ? '' : `/tree/${path}`}?token=${TOKEN}&reset`);
  await ready(page);
}

/** Waits until the page has restored its layout. */
export async function ready(page: Page): Promise<void> {
  await page.waitForFunction(() => globalThis.jupyterapp !== undefined);
  await page.evaluate(() => globalThis.jupyterapp?.restored);
  await page.locator('#jupyterlab-splash').waitFor({ state: 'detached' });
}

export async function execute(page: Page, command: string, args: unknown = {}): Promise<void> {
  await page.evaluate(
    async ([id, given]) => {
      await globalThis.jupyterapp?.commands.execute(id as string, given);
    },
    [command, args]
  );
}

/** Starts a command and does not wait for its end, as one that runs a cell. */
export async function start(page: Page, command: string): Promise<void> {
  await page.evaluate(id => {
    void globalThis.jupyterapp?.commands.execute(id);
  }, command);
}

/** Waits until the kernel of the notebook in front has nothing to do. */
export async function kernelIdle(page: Page): Promise<void> {
  // Not `waitForFunction`: it would take the promise for the answer.
  const status = (): Promise<string | undefined> =>
    page.evaluate(async () => {
      const context = globalThis.jupyterapp?.shell.currentWidget?.sessionContext;
      await context?.ready;
      return context?.session?.kernel?.status;
    });
  await expect.poll(status, { timeout: 60_000 }).toBe('idle');
}

export function writeNotebook(path: string, cells: readonly string[]): void {
  const notebook = {
    cells: cells.map((source, index) => ({
      cell_type: 'code',
      id: `cell-${index}`,
      metadata: {},
      execution_count: null,
      outputs: [],
      source
    })),
    metadata: {
      kernelspec: { display_name: 'Python 3 (ipykernel)', language: 'python', name: 'python3' }
    },
    nbformat: 4,
    nbformat_minor: 5
  };
  const file = join(ROOT, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(notebook));
}

/** Where a picture of a test goes. */
export function shotPath(name: string): string {
  return join(SHOTS, `${name}.png`);
}

export async function shot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: shotPath(name) });
}

export async function setTheme(page: Page, theme: string): Promise<void> {
  await execute(page, 'apputils:change-theme', { theme });
  await expect(page.locator('body')).toHaveAttribute('data-jp-theme-name', theme);
  await page.waitForFunction(() => document.querySelector('.jp-mod-loading-theme') === null);
}

/** The sidebar, as a user sees it. */
export class Sidebar {
  readonly element: Locator;
  readonly stores: Locator;
  readonly tree: Locator;
  readonly details: Locator;
  readonly chunks: Locator;
  readonly telemetry: Locator;

  constructor(readonly page: Page) {
    this.element = page.locator('#zlab-sidebar');
    this.stores = page.locator('#zlab-stores');
    this.tree = page.locator('#zlab-tree');
    this.details = page.locator('#zlab-details');
    this.chunks = page.locator('#zlab-chunks');
    this.telemetry = page.locator('#zlab-telemetry');
  }

  async open(): Promise<void> {
    await execute(this.page, 'zlab:show');
    await expect(this.element).toBeVisible();
  }

  async chooseStore(id: string): Promise<void> {
    await this.stores.locator(`[data-store="${id}"]`).click();
  }

  /** Clicks on a node of the tree, by its path. */
  async choose(path: string): Promise<void> {
    await this.row(path).click();
  }

  row(path: string): Locator {
    return this.tree.locator(`[data-path="${path}"]`);
  }

  async openGroup(path: string): Promise<void> {
    await this.row(path).locator('.zlab-TreeRow-twisty').click();
    await expect(this.row(path)).toHaveAttribute('aria-expanded', 'true');
  }

  /** The value of a fact among the details. */
  fact(name: string): Locator {
    return this.details.locator(`dt:text-is("${name}") + dd`).first();
  }
}

/** Ends all kernels, so that the next test begins with none. */
export async function shutDownKernels(page: Page): Promise<void> {
  const headers = { Authorization: `token ${TOKEN}` };
  const reply = await page.request.get('api/sessions', { headers });
  for (const { id } of (await reply.json()) as { id: string }[]) {
    await page.request.delete(`api/sessions/${id}`, { headers });
  }
}

/** Messages of the page's console that tell of something broken. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on('pageerror', error => {
    found.push(error.message);
  });
  page.on('console', message => {
    // What the server refuses, the browser reports by itself.
    const isRefusal = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isRefusal) {
      found.push(message.text());
    }
  });
  return found;
}
