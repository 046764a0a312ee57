// Bundles each widget into one ES module, its style inside, for anywidget to load.
import { build } from 'esbuild';
import { statSync } from 'node:fs';

const LARGEST_BUNDLE = 150_000;

const result = await build({
  entryPoints: {
    chunk_heatmap: 'js/src/widgets/chunk_heatmap.ts',
    telemetry: 'js/src/widgets/telemetry.ts'
  },
  outdir: 'zlab/static',
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  loader: { '.css': 'text' },
  metafile: true,
  logLevel: 'warning'
});

for (const file of Object.keys(result.metafile.outputs)) {
  const { size } = statSync(file);
  console.log(`${file}: ${(size / 1000).toFixed(1)} kB`);
  // A notebook that keeps its widget state keeps the whole module: small matters.
  if (size > LARGEST_BUNDLE) {
    throw new Error(`${file} is larger than ${LARGEST_BUNDLE} bytes`);
  }
}
