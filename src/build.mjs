/**
 * Bundles the program into `dist/`: the command line (`main.cjs`), the worker thread (`thread.cjs`), what they share and
 * what they load when it is needed (`part-*.cjs`), and the demo.
 *
 * PostgreSQL starts us once for every WAL segment, so the start counts. CommonJS, because Node starts it some
 * milliseconds sooner than an ES module; in parts, because what is not loaded need not be read. esbuild splits ES modules
 * only: it does that first, then turns each part into CommonJS.
 *
 * npm dependencies stay outside, except those which exist as ES modules only: Node 20.17 cannot require() them.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const description = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** A program that was started before a build may still load its parts: they stay this long, in milliseconds. */
const oldPartLife = 3_600_000;

/** Can the package be loaded with require()? */
function requirable(name) {
  const file = join(root, 'node_modules', name, 'package.json');
  if (!existsSync(file)) return true; // an optional dependency that did not install
  const { type, exports } = JSON.parse(readFileSync(file, 'utf8'));
  return type !== 'module' || JSON.stringify(exports ?? '').includes('"require"');
}

const platform = { platform: 'node', target: 'node20', legalComments: 'none', logLevel: 'warning' };

/** From ES modules to CommonJS. */
const commonJs = {
  ...platform,
  format: 'cjs',
  // import('pg') becomes a lazy require(): the ES module loader need not be started for it.
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': 'importMetaUrl' },
};
/** What `import.meta.url` says, in CommonJS; put before a file that asks for it. */
const importMetaUrl = "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;\n";

function bundling() {
  return {
    ...platform,
    absWorkingDir: root,
    bundle: true,
    define: { __VERSION__: JSON.stringify(description.version) },
    external: Object.keys({ ...description.dependencies, ...description.optionalDependencies }).filter(requirable),
  };
}

/** Nobody meets a file that is half written. */
function writeWhole(path, text) {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}

/**
 * Bundles a program beside the main one into a single file.
 * @param {string} source path below the repository
 * @param {string} target path of the file to write, ending in `.cjs`
 */
export async function bundle(source, target) {
  const { build } = await import('esbuild');
  await build({
    ...bundling(),
    ...commonJs,
    define: { ...bundling().define, ...commonJs.define },
    banner: { js: importMetaUrl },
    entryPoints: [source],
    outfile: target,
  });
}

/** The command line and the worker thread, in parts. @returns {Promise<Set<string>>} the names of the files */
async function buildProgram() {
  const { build, transform } = await import('esbuild');
  const { outputFiles } = await build({
    ...bundling(),
    format: 'esm',
    splitting: true,
    write: false,
    outdir: 'dist',
    outExtension: { '.js': '.cjs' },
    chunkNames: 'part-[name]-[hash]',
    entryPoints: { main: 'src/cli/main.ts', thread: 'src/cli/thread.ts' },
  });
  const texts = await Promise.all(
    outputFiles.map(({ text }) => transform(text, { ...commonJs, sourcefile: 'part.mjs' })),
  );
  mkdirSync(join(root, 'dist'), { recursive: true });
  // Parts first: whoever starts meanwhile finds what the new main file names.
  const files = outputFiles
    .map(({ path }, index) => ({ path, code: texts[index].code }))
    .sort((a, b) => Number(basename(b.path).startsWith('part-')) - Number(basename(a.path).startsWith('part-')));
  for (const { path, code } of files) {
    writeWhole(path, code.includes('importMetaUrl') ? importMetaUrl + code : code);
  }
  return new Set(files.map(({ path }) => basename(path)));
}

/** Builds the whole of `dist/`. */
export async function buildAll() {
  const [current] = await Promise.all([buildProgram(), bundle('src/demo/main.ts', 'dist/demo.cjs')]);
  const old = readdirSync(join(root, 'dist'))
    .filter(name => name.startsWith('part-') && !current.has(name))
    .map(name => join(root, 'dist', name));
  for (const path of old) if (Date.now() - statSync(path).mtimeMs > oldPartLife) rmSync(path);
}

async function main() {
  // npm runs `prepare` for `npm install --omit=dev` in a clone too, where esbuild is absent: no reason to fail that.
  const preparing = process.env.npm_lifecycle_event === 'prepare';
  if (preparing && !existsSync(join(root, 'node_modules', 'esbuild'))) {
    console.error('pgbackstop: esbuild is not installed, dist/ is not built (npm install && npm run build)');
    return;
  }
  // What is published has no old parts.
  if (process.argv.includes('--clean')) rmSync(join(root, 'dist'), { recursive: true, force: true });
  await buildAll();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
