import { defineConfig, type PlaywrightTestConfig } from '@playwright/test';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const REPOSITORY = join(__dirname, '..', '..');
const PORT = Number(process.env['ZLAB_E2E_PORT'] ?? 8931);
const TOKEN = 'a-token-for-tests';

const chromium = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  path => path !== undefined && path !== '' && existsSync(path)
);
const required = (process.env['ZLAB_REQUIRE'] ?? '').split(',').includes('browser');
if (chromium === undefined && required) {
  throw new Error('ZLAB_REQUIRE names browser, but there is no Chromium: apt-get install chromium');
}

// Workers read this file again: what is made once is handed on by the environment.
const root = (process.env['ZLAB_E2E_ROOT'] ??= mkdtempSync(join(tmpdir(), 'zlab-e2e-')));
process.env['ZLAB_E2E_TOKEN'] = TOKEN;
process.env['ZLAB_E2E_BROWSER'] = chromium ?? '';
process.env['ZLAB_E2E_SHOTS'] ??= join(REPOSITORY, 'test-results', 'shots');

export default defineConfig({
  testDir: '.',
  outputDir: join(REPOSITORY, 'test-results', 'e2e'),
  timeout: 120_000,
  expect: { timeout: 15_000 },
  workers: 1,
  forbidOnly: process.env['CI'] !== undefined,
  reporter: [['list']],
  use: {
    baseURL: `http://127.0.0.1:${PORT}/`,
    viewport: { width: 1440, height: 900 },
    screenshot: 'only-on-failure',
    launchOptions: {
      ...(chromium === undefined ? {} : { executablePath: chromium }),
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync'
      ]
    }
  },
  // Without a browser all tests are skipped, and nothing has to be served.
  ...(chromium === undefined ? {} : { webServer: server() })
});

function server(): NonNullable<PlaywrightTestConfig['webServer']> {
  return {
    command: 'python tests/e2e/serve.py',
    cwd: REPOSITORY,
    url: `http://127.0.0.1:${PORT}/api?token=${TOKEN}`,
    env: {
      ...process.env,
      PATH: `${join(REPOSITORY, '.venv', 'bin')}:${process.env['PATH'] ?? ''}`,
      ZLAB_E2E_ROOT: root,
      ZLAB_E2E_PORT: String(PORT)
    },
    timeout: 90_000,
    reuseExistingServer: false,
    gracefulShutdown: { signal: 'SIGTERM', timeout: 10_000 }
  };
}
