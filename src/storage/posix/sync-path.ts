/** Makes the names in a directory durable. */
import { closeSync, constants, fsync, fsyncSync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { systemError } from '../../base/error.ts';

const fsyncLater = promisify(fsync);

/** @throws path-missing, path-open, path-sync, path-close */
export function syncPathNow(path: string): void {
  const descriptor = openPath(path);
  try {
    fsyncSync(descriptor);
  } catch (error) {
    throw systemError(error, { other: 'path-sync' }, `unable to sync path '${path}'`);
  } finally {
    closePath(descriptor, path);
  }
}

/** As syncPathNow(), beside other work. */
export async function syncPath(path: string): Promise<void> {
  const descriptor = openPath(path);
  try {
    await fsyncLater(descriptor);
  } catch (error) {
    throw systemError(error, { other: 'path-sync' }, `unable to sync path '${path}'`);
  } finally {
    closePath(descriptor, path);
  }
}

function openPath(path: string): number {
  try {
    // a path that has become a pipe must not make us wait for its writer
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw systemError(error, { missing: 'path-missing', other: 'path-open' }, `unable to open path '${path}' for sync`);
  }
}

function closePath(descriptor: number, path: string): void {
  try {
    closeSync(descriptor);
  } catch (error) {
    throw systemError(error, { other: 'path-close' }, `unable to close path '${path}'`);
  }
}
