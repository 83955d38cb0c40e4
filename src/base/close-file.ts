/** Closes files: where that fails it is an error that names the file, as for every other call. */
import { closeSync } from 'node:fs';
import { systemError } from './error.ts';

/** @throws file-close */
export function closeFile(descriptor: number, path: string): void {
  try {
    closeSync(descriptor);
  } catch (error) {
    throw systemError(error, { other: 'file-close' }, `unable to close file '${path}'`);
  }
}
