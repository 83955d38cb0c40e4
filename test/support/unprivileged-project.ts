/**
 * A clone may lie where the unprivileged user cannot enter, such as below /root. Then what our tool needs to run is
 * copied to where the user can.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canReach, type UnprivilegedUser } from './unprivileged.ts';

/** The project's folder: the nearest one above this file (or the bundle it is in) that has our package.json. */
export function projectRoot(): string {
  for (const start of [dirname(fileURLToPath(import.meta.url)), process.cwd()]) {
    for (let folder = start; ; folder = dirname(folder)) {
      const file = join(folder, 'package.json');
      if (existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).name === 'pgbackstop') return folder;
      if (folder === dirname(folder)) break;
    }
  }
  throw new Error('the folder of pgbackstop was not found above this file or the current folder');
}

export interface RunnableProject {
  /** Node and the launcher: append the arguments of our command line. */
  readonly command: readonly [node: string, launcher: string];
  /** Removes what was copied. */
  remove(): void;
}

/** Our tool (as `npm run build` left it) where the user can run it: in place, or as a copy with its dependencies. */
export function runnableProject(user: UnprivilegedUser): RunnableProject {
  const root = projectRoot();
  const launcher = join('bin', 'pgbackstop.cjs');
  if (!existsSync(join(root, 'dist', 'main.cjs'))) throw new Error('the project is not built: npm run build');
  const node = process.execPath;
  if (canReach(user, join(root, launcher)) && canReach(user, node)) {
    return { command: [node, join(root, launcher)], remove: () => undefined };
  }
  const copy = mkdtempSync(join(tmpdir(), 'pgbackstop-project-'));
  chmodSync(copy, 0o755);
  for (const part of ['bin', 'dist', 'package.json', ...dependenciesOf(root)]) {
    mkdirSync(dirname(join(copy, part)), { recursive: true });
    cpSync(realpathSync(join(root, part)), join(copy, part), { recursive: true });
  }
  let nodeCopy = node;
  if (!canReach(user, node)) {
    nodeCopy = join(copy, 'node');
    cpSync(node, nodeCopy);
    chmodSync(nodeCopy, 0o755);
  }
  return {
    command: [nodeCopy, join(copy, launcher)],
    remove: () => rmSync(copy, { recursive: true, force: true }),
  };
}

/** Folders `node_modules/NAME` that the built tool may load, with all they depend on in turn. */
function dependenciesOf(root: string): string[] {
  const found = new Set<string>();
  const visit = (manifest: string): void => {
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as {
      dependencies?: Record<string, string>;
      optionalDependencies?: Record<string, string>;
    };
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const folder = join('node_modules', name);
      if (found.has(folder) || !existsSync(join(root, folder, 'package.json'))) continue;
      found.add(folder);
      visit(join(root, folder, 'package.json'));
    }
  };
  visit(join(root, 'package.json'));
  return [...found];
}
