/**
 * `npm run test:lts`: the demo and the tests under the newest LTS of Node, which npm carries as a package.
 *
 * The compatibility suite is left out unless asked for: what it compares does not depend on Node. So are the globs in
 * PGBACKSTOP_WITHOUT. Arguments go to vitest. NODE_LTS names another Node to use, an executable.
 */
import { spawnSync } from 'node:child_process';
import { root, setUp } from '../src/setup.mjs';
import { newestLtsNode } from './support/newest-lts.mjs';

await setUp();

/** @param {string} command @param {string[]} args @returns {boolean} whether it succeeded */
function run(command, args) {
  console.log(`$ ${[command, ...args].join(' ')}`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  return status === 0;
}

const { node, remove } = newestLtsNode();
try {
  const tests = process.argv.slice(2);
  if (tests.length === 0) {
    // without the compatibility suite not every option is given
    const without = ['test/compat/**', 'test/option-coverage*', process.env.PGBACKSTOP_WITHOUT ?? ''];
    process.env.PGBACKSTOP_WITHOUT = without.join(' ');
  }
  const passed = [run(node, ['src/demo/run.mjs']), run(node, ['test/run.mjs', ...tests])];
  process.exitCode = passed.every(Boolean) ? 0 : 1;
} finally {
  remove();
}
