/**
 * Bundles the program into `dist/`: what `bin/` loads (`main.cjs`), the command line (`program-HASH.cjs`), the worker thread
 * (`thread.cjs`), Amazon's SDK (`sdk-HASH.cjs`), the demo, and the line that `version` prints.
 *
 * PostgreSQL starts us once for every WAL segment, so the start counts. CommonJS, because Node starts it some
 * milliseconds sooner than an ES module; one file, because reading many takes longer, and because V8's compiled code is
 * kept for the whole (`base/code-cache.ts`). A module that is imported dynamically is in the file, but runs only then.
 *
 * npm dependencies stay outside, except those which exist as ES modules only, as Node 20.17 cannot require() them, and
 * `xxhash-wasm`, which archive-push and archive-get need: to find and compile it would take them two milliseconds.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const description = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Who starts while we build may still load the file of the build before: it stays this long, in milliseconds. */
const oldFileLife = 3_600_000;

/** Does the package stay outside? */
function external(name) {
  return name !== 'xxhash-wasm' && requirable(name);
}

/** Can the package be loaded with require()? */
function requirable(name) {
  const file = join(root, 'node_modules', name, 'package.json');
  if (!existsSync(file)) return true; // an optional dependency that did not install
  const { type, exports } = JSON.parse(readFileSync(file, 'utf8'));
  return type !== 'module' || JSON.stringify(exports ?? '').includes('"require"');
}

/** What `import.meta.url` says, in CommonJS; put before a file that asks for it. */
const importMetaUrl = "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;\n";

/** @param {Record<string, string>} define what names in the source stand for */
function bundling(define = {}) {
  return {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    legalComments: 'none',
    logLevel: 'warning',
    // import('pg') becomes a lazy require(): the ES module loader need not be started for it.
    supported: { 'dynamic-import': false },
    define: { __VERSION__: JSON.stringify(description.version), 'import.meta.url': 'importMetaUrl', ...define },
    external: Object.keys({ ...description.dependencies, ...description.optionalDependencies }).filter(external),
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
  await build({ ...bundling(), banner: { js: importMetaUrl }, entryPoints: [source], outfile: target });
}

/** @returns {Promise<string>} the text of a program in one file */
async function textOf(source, define, more = {}) {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    ...bundling(define),
    // the code cache wants ASCII
    charset: 'ascii',
    ...more,
    entryPoints: [source],
    write: false,
  });
  const [{ text }] = outputFiles;
  return text.includes('importMetaUrl') ? importMetaUrl + text : text;
}

/** Makes of a program's text what base/code-cache.ts loads: with what Node puts around a module, under a name of its own. */
function loadable(kind, text) {
  const content = `(function (exports, require, module, __filename, __dirname) {\n${text}\n})\n`;
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 16);
  return { name: `${kind}-${hash}.cjs`, content };
}

/** The command line, the worker thread and the SDK. @returns {Promise<string[]>} the names of the files */
async function buildProgram() {
  // Only what is used of it: as ES modules its unused parts are left out. Its stack traces help nobody.
  const sdkText = await textOf(
    'src/storage/s3/sdk.ts',
    {},
    { external: [], mainFields: ['module', 'main'], minify: true, keepNames: false },
  );
  const sdk = loadable('sdk', sdkText);
  const names = { __SDK__: JSON.stringify(sdk.name) };
  const [main, thread] = await Promise.all([textOf('src/cli/main.ts', names), textOf('src/cli/thread.ts', names)]);
  const program = loadable('program', main);
  const entry = await textOf('src/cli/entry.ts', { __PROGRAM__: JSON.stringify(program.name) });
  mkdirSync(join(root, 'dist'), { recursive: true });
  // What names another file comes after it: whoever starts meanwhile finds what the new main file names.
  for (const { name, content } of [sdk, program]) writeWhole(join(root, 'dist', name), content);
  writeWhole(join(root, 'dist', 'thread.cjs'), thread);
  writeWhole(join(root, 'dist', 'main.cjs'), entry);
  // for the shell half of `bin/`, which says it without Node
  const asked = [join(root, 'bin', 'pgbackstop.cjs'), 'version'];
  writeWhole(join(root, 'dist', 'version'), execFileSync(process.execPath, asked));
  return [sdk.name, program.name, 'thread.cjs', 'main.cjs', 'version'];
}

/** Builds the whole of `dist/`. */
export async function buildAll() {
  const [current] = await Promise.all([buildProgram(), bundle('src/demo/main.ts', 'dist/demo.cjs')]);
  const old = readdirSync(join(root, 'dist'))
    .filter(name => /^(part|program|sdk)-/.test(name) && !current.includes(name))
    .map(name => join(root, 'dist', name));
  for (const path of old) if (Date.now() - statSync(path).mtimeMs > oldFileLife) rmSync(path);
}

async function main() {
  // npm runs `prepare` for `npm install --omit=dev` in a clone too, where esbuild is absent: no reason to fail that.
  const preparing = process.env.npm_lifecycle_event === 'prepare';
  if (preparing && !existsSync(join(root, 'node_modules', 'esbuild'))) {
    console.error('pgbackstop: esbuild is not installed, dist/ is not built (npm install && npm run build)');
    return;
  }
  // What is published has no old files.
  if (process.argv.includes('--clean')) rmSync(join(root, 'dist'), { recursive: true, force: true });
  await buildAll();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
