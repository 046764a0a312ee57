import js from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import prettier from 'eslint-config-prettier';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import importX from 'eslint-plugin-import-x';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const SOURCES = ['js/src/**/*.ts'];
const TESTS = ['tests/js/**/*.ts', 'tests/e2e/**/*.ts'];

/** An import points from a room to those before it: wire <- model <- render <- widgets | lab. */
const ROOMS = [
  { target: 'js/src/wire', from: ['model', 'render', 'widgets', 'lab'] },
  { target: 'js/src/model', from: ['render', 'widgets', 'lab'] },
  { target: 'js/src/render', from: ['widgets', 'lab'] },
  { target: 'js/src/widgets', from: ['lab'] },
  { target: 'js/src/lab', from: ['widgets'] }
];

const [jupyterSources] = jupyter.configs.recommended;
const asErrors = rules => Object.fromEntries(Object.keys(rules).map(name => [name, 'error']));

export default defineConfig(
  globalIgnores([
    '.venv',
    '.stamps',
    'build',
    'dist',
    'site',
    'demo',
    'js/lib',
    'zlab',
    'test-results',
    'playwright-report'
  ]),
  js.configs.recommended,
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: { console: 'readonly', process: 'readonly' } }
  },
  {
    files: [...SOURCES, ...TESTS],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        project: ['js/tsconfig.json', 'tests/js/tsconfig.json', 'tests/e2e/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname
      }
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      eqeqeq: 'error'
    }
  },
  {
    files: SOURCES,
    plugins: { 'import-x': importX, jupyter },
    settings: {
      'import-x/resolver-next': [createTypeScriptImportResolver({ project: 'js/tsconfig.json' })]
    },
    rules: {
      ...asErrors(jupyterSources.rules),
      // the sidebar, which an extension has to add while it is activated, is most of the code
      'jupyter/prefer-lazy-imports': 'off',
      'import-x/no-cycle': 'error',
      'import-x/no-restricted-paths': [
        'error',
        {
          zones: ROOMS.map(({ target, from }) => ({
            target,
            from: from.map(room => `js/src/${room}`)
          }))
        }
      ]
    }
  },
  {
    files: ['js/src/{wire,model,render,widgets}/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: ['@jupyterlab/*', '@lumino/*', 'react', 'react-dom'],
              message: 'Only js/src/lab knows JupyterLab: the widgets run without it.'
            }
          ]
        }
      ]
    }
  },
  {
    files: ['js/src/{wire,model}/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', 'document', 'window', 'HTMLElement', 'customElements']
    }
  },
  prettier
);
