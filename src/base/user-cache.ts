/**
 * Files below the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`) that make later runs quicker. Nothing depends on
 * them. They are for this user alone: other users must not be able to say what we run or answer.
 */
import {
  closeSync,
  fsyncSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Files that are kept in a folder: code of all builds (some 400 kB each; two of us under two of Node do not need more), hints. */
const mostFiles = 64;

/** @returns our folder, or undefined when there is to be none */
export function userCacheFolder(environment: NodeJS.ProcessEnv): string | undefined {
  if (environment.NODE_DISABLE_COMPILE_CACHE) return undefined;
  const { XDG_CACHE_HOME: given, HOME: home = homeOfUser() } = environment;
  // a relative path is to be ignored, says the specification of these folders; PostgreSQL starts us in its data directory
  if (given?.startsWith('/')) return join(given, 'pgbackstop');
  return home?.startsWith('/') ? join(home, '.cache', 'pgbackstop') : undefined;
}

/** @returns undefined for a user that the system does not know, as containers have them */
function homeOfUser(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}

/**
 * Writes a file: it is there whole or not at all. Where it cannot be written nothing happens: there is no room, no right or
 * no home, and what was asked for is done all the same.
 * @param cache our folder
 * @param name of the file in it; the folder before a slash is made
 * @param content is asked for when the file can be written
 * @param options.sync whole also after a crash of the machine
 * @param options.modified time to give it, in milliseconds
 */
export function keepInCache(
  cache: string,
  name: string,
  content: () => readonly Uint8Array[],
  options: { readonly sync?: boolean; readonly modified?: number } = {},
): void {
  const path = join(cache, name);
  const folder = dirname(path);
  const temporary = `${path}.${process.pid}`;
  try {
    for (const needed of [dirname(cache), cache, folder]) makeFolder(needed);
    if ([cache, folder].some(ours => (lstatSync(ours).mode & 0o022) !== 0)) return;
    const file = openSync(temporary, 'wx', 0o600);
    try {
      for (const bytes of content()) writeSync(file, bytes);
      if (options.modified !== undefined) futimesSync(file, options.modified / 1000, options.modified / 1000);
      if (options.sync) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    removeOldest(folder);
  } catch {
    remove(temporary);
  }
}

/**
 * Makes a folder in one that is ours. In the home of another user, which sudo may leave us, nothing is made, and no link
 * of that user leads us to where we would remove files.
 * @throws when the folder is not ours
 */
function makeFolder(path: string): void {
  const isOurs = (folder: string) => lstatSync(folder, { throwIfNoEntry: false })?.uid === process.geteuid?.();
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined && isOurs(dirname(path))) mkdirSync(path, 0o700);
  if (!isOurs(path)) throw new Error(`${path} is not ours`);
}

function removeOldest(folder: string): void {
  const paths = readdirSync(folder).map(name => join(folder, name));
  if (paths.length <= mostFiles) return;
  const ages = paths.map(path => ({ path, made: statSync(path).mtimeMs })).sort((a, b) => b.made - a.made);
  for (const { path } of ages.slice(mostFiles)) remove(path);
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // is not there, or stays: it is only a cache
  }
}
