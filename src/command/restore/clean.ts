/** Prepares the directories of a restore: what is in the way is refused or removed, what is missing is made. */

import {
  accessSync,
  chmodSync,
  constants,
  lchownSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { BackstopError, systemError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { makePath } from '../../base/make-path.ts';
import { type Manifest, pgDataTarget } from '../../repo/manifest/manifest.ts';
import { temporarySuffix } from '../../storage/posix/posix-storage.ts';
import type { RestoreLayout } from './layout.ts';
import type { RestoreOwners } from './owner.ts';

export interface CleanSettings {
  readonly manifest: Manifest;
  readonly layout: RestoreLayout;
  readonly owners: RestoreOwners;
  /** With delta or force: what does not belong is removed, instead of refused. */
  readonly mayRemove: boolean;
  /** Names below PGDATA that stay although the manifest does not have them. */
  readonly preserve: ReadonlySet<string>;
  readonly log: Log;
}

/** File in PGDATA that says that a restore has not ended; it lets the next one go on. */
export const unfinishedMark = 'backup.manifest';

/** What a restore leaves that ended before it changed anything else. */
const unfinishedNames: ReadonlySet<string> = new Set([unfinishedMark, unfinishedMark + temporarySuffix]);

/**
 * Looks before anything is changed.
 * @throws path-not-empty, path-open, file-exists, file-open
 */
export function checkDirectories({ manifest, layout, owners, mayRemove, preserve }: CleanSettings): void {
  for (const { name, path } of layout.directories(manifest)) {
    // PGDATA may be a link, whoever owns that
    const info = lstat(path) && lstat(name === pgDataTarget ? layout.realPath : path);
    if (info === undefined) continue;
    if (!info.isDirectory()) {
      throw new BackstopError('path-open', `unable to restore to '${path}' because it is not a directory`);
    }
    if (!owners.isRoot && info.uid !== process.geteuid?.()) {
      throw new BackstopError('path-open', `unable to restore to path '${path}' not owned by current user`);
    }
    try {
      accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (error) {
      throw systemError(error, { other: 'path-open' }, `unable to restore to path '${path}' without rwx permissions`);
    }
    if (mayRemove) continue;
    const inTheWay = looked(path, 'path', () => readdirSync(path)).filter(
      entry => !(name === pgDataTarget && (unfinishedNames.has(entry) || preserve.has(entry))),
    );
    if (inTheWay.length > 0) {
      throw new BackstopError('path-not-empty', `unable to restore to path '${path}' because it contains files`, {
        hint: 'try using --delta if this is what you intended.',
      });
    }
  }
  if (mayRemove) return;
  for (const { target } of layout.links) {
    if (target.file === undefined) continue;
    const path = layout.pathOf(target.name);
    if (lstat(path) !== undefined) {
      throw new BackstopError('file-exists', `unable to restore file '${path}' because it already exists`, {
        hint: 'try using --delta if this is what you intended.',
      });
    }
  }
}

/** Removes what the manifest does not have, and puts modes and owners right. */
export function cleanDirectories(settings: CleanSettings): void {
  const { manifest, layout, mayRemove, log } = settings;
  const cleaner = new Cleaner(settings);
  for (const { name, path } of layout.directories(manifest)) {
    if (lstat(path) === undefined) continue;
    if (mayRemove) log.info(`remove invalid files/links/paths from '${path}'`);
    cleaner.directory(name, path);
  }
}

class Cleaner {
  readonly #settings: CleanSettings;
  readonly #paths: ReadonlyMap<string, Manifest['paths'][number]>;
  readonly #links: ReadonlyMap<string, string>;

  constructor(settings: CleanSettings) {
    this.#settings = settings;
    this.#paths = new Map(settings.manifest.paths.map(path => [path.name, path]));
    this.#links = new Map(settings.layout.links.map(link => [link.name, link.destination]));
  }

  directory(name: string, path: string): void {
    const { log, manifest, preserve, layout } = this.#settings;
    const own = this.#paths.get(name);
    if (own !== undefined) this.#setAttributes(name === pgDataTarget ? layout.realPath : path, own, own.mode);
    for (const entry of looked(path, 'path', () => readdirSync(path, { withFileTypes: true }))) {
      const childName = `${name}/${entry.name}`;
      const child = `${path}/${entry.name}`;
      if (path === layout.pgPath && (entry.name === unfinishedMark || preserve.has(entry.name))) continue;
      const link = this.#links.get(childName);
      if (entry.isSymbolicLink()) {
        if (link === looked(child, 'file', () => readlinkSync(child))) continue;
        log.detail(
          link === undefined ? `remove invalid link '${child}'` : `remove link '${child}' because destination changed`,
        );
        remove(child, 'file');
      } else if (entry.isDirectory()) {
        if (this.#paths.has(childName) && link === undefined) {
          this.directory(childName, child);
        } else {
          log.detail(`remove invalid path '${child}'`);
          remove(child, 'path');
        }
      } else if (entry.isFile()) {
        const index = link === undefined ? manifest.files.find(childName) : undefined;
        if (index === undefined) {
          log.detail(`remove invalid file '${child}'`);
          remove(child, 'file');
        } else if (looked(child, 'file', () => lstatSync(child)).nlink > 1) {
          // what we write into it would appear under its other name too, as in the old cluster after pg_upgrade --link
          log.detail(`remove file '${child}' because it has another name`);
          remove(child, 'file');
        } else {
          const file = manifest.files.get(index);
          this.#setAttributes(child, file, file.mode);
        }
      } else {
        log.detail(`remove special file '${child}'`);
        remove(child, 'file');
      }
    }
  }

  #setAttributes(
    path: string,
    entry: { readonly user: string | false; readonly group: string | false },
    mode: number,
  ): void {
    const { owners, log } = this.#settings;
    const info = looked(path, 'file', () => lstatSync(path));
    const owner = owners.of(entry);
    try {
      if (info.uid !== owner.userId || info.gid !== owner.groupId) {
        log.detail(`update ownership for '${path}'`);
        lchownSync(path, owner.userId, owner.groupId);
      }
    } catch (error) {
      throw systemError(error, { other: 'file-owner' }, `unable to set ownership for '${path}'`);
    }
    if ((info.mode & 0o7777) !== mode && !info.isSymbolicLink()) {
      log.detail(`update mode for '${path}' to ${mode.toString(8).padStart(4, '0')}`);
      try {
        chmodSync(path, mode);
      } catch (error) {
        throw systemError(error, { other: 'file-mode' }, `unable to set mode for '${path}'`);
      }
    }
  }
}

/**
 * Makes PGDATA where it is missing, with nothing in it.
 * @returns the directories that hold new names: they are to be synced
 */
export function createDataDirectory({ manifest, layout, owners }: CleanSettings): ReadonlySet<string> {
  const changed = new Set<string>();
  const entry = manifest.paths.find(({ name }) => name === pgDataTarget);
  if (entry !== undefined) make(layout.pathOf(entry.name), entry, owners, changed);
  return changed;
}

/** Makes a directory with its mode and owner, unless it is there. @param changed where a name was added */
function make(path: string, entry: Manifest['paths'][number], owners: RestoreOwners, changed: Set<string>): void {
  const owner = owners.of(entry);
  try {
    const all = makeAll(path, entry.mode);
    if (all.length > 0) chmodSync(path, entry.mode);
    for (const made of all) {
      changed.add(dirname(made));
      // parents that we had to make too, or the owner could not get at what is in them
      if (owners.isRoot) lchownSync(made, owner.userId, owner.groupId);
    }
  } catch (error) {
    throw systemError(error, { other: 'path-create' }, `unable to create path '${path}'`);
  }
}

/**
 * Makes the directories and links that are missing.
 * @returns the directories that hold new names: they are to be synced
 */
export function createDirectories({ manifest, layout, owners }: CleanSettings): ReadonlySet<string> {
  const links = new Map(layout.links.map(link => [link.name, link]));
  const changed = new Set<string>();
  for (const entry of [...manifest.paths].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!layout.isReal(entry.name)) continue;
    const link = links.get(entry.name);
    if (link === undefined) {
      make(layout.pathOf(entry.name), entry, owners, changed);
      continue;
    }
    make(resolved(link.path, link.destination), entry, owners, changed);
    makeLink(link.path, link.destination, owners.of(entry), owners.isRoot);
  }
  for (const link of layout.links) {
    const owner = owners.of(manifest.links.find(({ name }) => name === link.name) ?? { user: false, group: false });
    if (link.target.file !== undefined) {
      const place = resolve(dirname(layout.pathOf(link.target.name)));
      for (const made of makeAll(place, 0o700)) changed.add(dirname(made));
      changed.add(place);
    }
    makeLink(link.path, link.destination, owner, owners.isRoot);
  }
  return changed;
}

/** Makes a directory with its parents. @returns those that were not there, the innermost first */
function makeAll(path: string, mode: number): string[] {
  const first = makePath(path, mode);
  const all: string[] = [];
  if (first === undefined) return all;
  for (let made = resolve(path); contains(resolve(first), made); made = dirname(made)) all.push(made);
  return all;
}

const resolved = (linkPath: string, destination: string): string =>
  destination.startsWith('/') ? destination : `${dirname(linkPath)}/${destination}`;

function makeLink(
  path: string,
  destination: string,
  owner: { userId: number; groupId: number },
  isRoot: boolean,
): void {
  try {
    if (lstat(path)?.isSymbolicLink() === true && readlinkSync(path) === destination) return;
    symlinkSync(destination, path);
    if (isRoot) lchownSync(path, owner.userId, owner.groupId);
  } catch (error) {
    throw systemError(error, { other: 'file-open' }, `unable to create symlink '${path}' to '${destination}'`);
  }
}

const contains = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(`${outer}/`);

/** Removes a file, link or directory with all that is in it. @throws file-remove, path-remove */
function remove(path: string, kind: 'file' | 'path'): void {
  try {
    rmSync(path, { recursive: kind === 'path' });
  } catch (error) {
    // of a directory, what is in it
    const { path: inside = path } = error as NodeJS.ErrnoException;
    throw systemError(error, { other: `${kind}-remove` }, `unable to remove ${kind} '${inside}'`);
  }
}

/** What a look at a path gives. @throws file-open, path-open */
function looked<T>(path: string, kind: 'file' | 'path', look: () => T): T {
  try {
    return look();
  } catch (error) {
    const action = kind === 'path' ? 'list file info for path' : 'get info for path/file';
    throw systemError(error, { other: `${kind}-open` }, `unable to ${action} '${path}'`);
  }
}

/** @returns undefined when there is nothing @throws file-open when that cannot be told */
function lstat(path: string): Stats | undefined {
  return looked(path, 'file', () => lstatSync(path, { throwIfNoEntry: false }));
}
