/**
 * Directories that an earlier process made. It may have been killed before it synced their names: then a file that we make
 * durable in one would be lost with it.
 */
import { readdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isKind, systemError } from '../../base/error.ts';
import { syncPathNow } from './sync-path.ts';

/** What is not there yet: see posix-storage. */
const temporary = /\.pgbackrest\.tmp$/;

/**
 * Makes the name of a directory durable, and those of its parents, as far up as they can be ours and no file is in them: where
 * a file has its name its writer has done this before.
 * @throws path-open, path-sync
 */
export function syncUnusedPath(directory: string): void {
  for (let at = directory; mayBeOurs(at) && !hasFile(at); at = dirname(at)) {
    if (!syncIfReadable(dirname(at))) return;
  }
}

/**
 * The same of a directory that may have files in it, which were written without this.
 * @throws path-open, path-sync
 */
export function syncKeptPath(directory: string): void {
  if (mayBeOurs(directory) && syncIfReadable(dirname(directory))) syncUnusedPath(dirname(directory));
}

function mayBeOurs(directory: string): boolean {
  const user = process.geteuid?.();
  try {
    // root gives to others what it has made
    return directory !== dirname(directory) && (user === 0 || statSync(directory).uid === user);
  } catch (error) {
    throw systemError(error, { other: 'path-open' }, `unable to get info for path '${directory}'`);
  }
}

function hasFile(directory: string): boolean {
  try {
    return readdirSync(directory, { withFileTypes: true }).some(entry => entry.isFile() && !temporary.test(entry.name));
  } catch (error) {
    // what we may not even read was not made by one of us
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return true;
    throw systemError(error, { other: 'path-open' }, `unable to list file info for path '${directory}'`);
  }
}

/** @returns false for a directory that we may not read */
function syncIfReadable(directory: string): boolean {
  try {
    syncPathNow(directory);
    return true;
  } catch (error) {
    if (isKind(error, 'path-open') && (error.cause as NodeJS.ErrnoException).code === 'EACCES') return false;
    throw error;
  }
}
