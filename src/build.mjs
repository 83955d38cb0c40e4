/**
 * Bundles the program into `dist/`: the command line (`main.cjs`), the worker thread (`thread.cjs`) and the demo.
 *
 * CommonJS, because Node starts it some milliseconds sooner than an ES module, and PostgreSQL starts us once for every
 * WAL segment. Imports written as `import()` stay lazy inside the bundle. npm dependencies stay outside it, except
 * those which exist as ES modules only: Node 20.17 cannot require() them.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const description = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Can the package be loaded with require()? */
function requirable(name) {
  const file = join(root, 'node_modules', name, 'package.json');
  if (!existsSync(file)) return true; // an optional dependency that did not install
  const { type, exports } = JSON.parse(readFileSync(file, 'utf8'));
  return type !== 'module' || JSON.stringify(exports ?? '').includes('"require"');
}

/** Options every bundle shares. */
const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  legalComments: 'none',
  logLevel: 'warning',
  define: { __VERSION__: JSON.stringify(description.version), 'import.meta.url': 'importMetaUrl' },
  banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
  external: Object.keys({ ...description.dependencies, ...description.optionalDependencies }).filter(requirable),
  // import('pg') becomes a lazy require(): the ES module loader need not be started for it.
  supported: { 'dynamic-import': false },
};

/** @type {Record<string, string>} bundle name -> source */
const entries = { main: 'src/cli/main.ts', thread: 'src/cli/thread.ts', demo: 'src/demo/main.ts' };

/**
 * Bundles one program of this repository.
 * @param {string} source path below the repository
 * @param {string} target path of the file to write, ending in `.cjs`
 */
export async function bundle(source, target) {
  const { build } = await import('esbuild');
  await build({ ...shared, entryPoints: [source], outfile: target });
}

/** Builds the whole of `dist/`. */
export async function buildAll() {
  await Promise.all(Object.entries(entries).map(([name, source]) => bundle(source, `dist/${name}.cjs`)));
}

async function main() {
  // npm runs `prepare` for `npm install --omit=dev` in a clone too, where esbuild is absent: no reason to fail that.
  const preparing = process.env.npm_lifecycle_event === 'prepare';
  if (preparing && !existsSync(join(root, 'node_modules', 'esbuild'))) {
    console.error('pgbackstop: esbuild is not installed, dist/ is not built (npm install && npm run build)');
    return;
  }
  await buildAll();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
