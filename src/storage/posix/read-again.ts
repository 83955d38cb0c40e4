/** Reads a piece of a file once more, synchronously: for a step that doubts what it was given. */
import { openSync, readSync } from 'node:fs';
import { closeFile } from '../../base/close-file.ts';
import { systemError } from '../../base/error.ts';

/** @returns false when the file is gone or ends before the piece does */
export function readAgain(path: string, offset: number, into: Uint8Array): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw systemError(error, { other: 'file-open' }, `unable to open file '${path}' for read`);
  }
  try {
    // a short read is not the end of a file: only zero bytes are
    for (let have = 0; have < into.length; ) {
      const count = readSync(descriptor, into, have, into.length - have, offset + have);
      if (count === 0) return false;
      have += count;
    }
    return true;
  } catch (error) {
    throw systemError(error, { other: 'file-read' }, `unable to read '${path}'`);
  } finally {
    closeFile(descriptor, path);
  }
}
