/** Reads a piece of a file once more, synchronously: for a step that doubts what it was given. */
import { closeSync, openSync, readSync } from 'node:fs';

/** @returns false when the file is gone or ends before the piece does */
export function readAgain(path: string, offset: number, into: Uint8Array): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  try {
    return readSync(descriptor, into, 0, into.length, offset) === into.length;
  } finally {
    closeSync(descriptor);
  }
}
