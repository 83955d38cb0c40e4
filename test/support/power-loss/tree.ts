/** A folder with all that is in it, as one value: what a crash left, or what should be there. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { UnprivilegedUser } from '../unprivileged.ts';

export type TreeEntry =
  | { readonly kind: 'directory'; readonly mode: number }
  | {
      readonly kind: 'file';
      readonly bytes: Buffer;
      readonly mode: number;
      /** Seconds since the epoch; absent: the time at which the tree is written. */
      readonly mtime?: number;
    }
  | { readonly kind: 'link'; readonly to: string };

/** By absolute path; the folder itself is not in it. A directory comes before what is in it. */
export type Tree = ReadonlyMap<string, TreeEntry>;

/** @param ignored what is left out, with all that is in it */
export function readTree(root: string, ignored: (path: string) => boolean): Tree {
  const tree = new Map<string, TreeEntry>();
  const visit = (folder: string): void => {
    for (const name of readdirSync(folder).sort()) {
      const path = join(folder, name);
      if (ignored(path)) continue;
      const info = lstatSync(path);
      const mode = info.mode & 0o7777;
      if (info.isDirectory()) {
        tree.set(path, { kind: 'directory', mode });
        visit(path);
      } else if (info.isSymbolicLink()) tree.set(path, { kind: 'link', to: readlinkSync(path) });
      else tree.set(path, { kind: 'file', bytes: readFileSync(path), mode, mtime: info.mtimeMs / 1000 });
    }
  };
  visit(root);
  return tree;
}

/** Makes the folder hold the tree, and nothing else but what is ignored. Everything belongs to the user. */
export function writeTree(
  root: string,
  tree: Tree,
  { user, ignored }: { readonly user: UnprivilegedUser; readonly ignored: (path: string) => boolean },
): void {
  clear(root, ignored);
  const modes: [path: string, mode: number][] = [];
  for (const [path, entry] of tree) {
    if (entry.kind === 'directory') {
      mkdirSync(path, { recursive: true });
      modes.push([path, entry.mode]);
    } else if (entry.kind === 'link') symlinkSync(entry.to, path);
    else {
      writeFileSync(path, entry.bytes);
      chmodSync(path, entry.mode);
      if (entry.mtime !== undefined) utimesSync(path, entry.mtime, entry.mtime);
    }
  }
  for (const [path, mode] of modes.reverse()) chmodSync(path, mode);
  if (user.foreign) execFileSync('chown', ['-hR', `${user.uid}:${user.gid}`, root]);
}

/** Removes what is not ignored, and the directories that then are empty. */
function clear(folder: string, ignored: (path: string) => boolean): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (ignored(path)) continue;
    rmSync(path, { recursive: true, force: true });
  }
}

const sums = new WeakMap<Buffer, string>();

export function checksum(bytes: Buffer): string {
  const known = sums.get(bytes);
  if (known !== undefined) return known;
  const sum = createHash('sha1').update(bytes).digest('hex');
  sums.set(bytes, sum);
  return sum;
}

/** What an entry is, in a word: two entries are the same when their words are. Times do not count. */
export function wordOf(entry: TreeEntry | undefined): string {
  if (entry === undefined) return 'nothing';
  if (entry.kind === 'directory') return 'directory';
  if (entry.kind === 'link') return `link to ${entry.to}`;
  return `file of ${entry.bytes.length} bytes ${checksum(entry.bytes)}`;
}

/** A checksum of the whole tree, with the times of files where they say something. */
export function fingerprint(tree: Tree): string {
  const hash = createHash('sha1');
  for (const [path, entry] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const mtime = entry.kind === 'file' ? entry.mtime : undefined;
    hash.update(`${path}\0${wordOf(entry)}\0${mtime ?? ''}\n`);
  }
  return hash.digest('hex');
}
