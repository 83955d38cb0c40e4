/** Whether something is there: Node's existsSync() says no as well where it cannot tell. */
import { statSync } from 'node:fs';
import { systemError } from './error.ts';

/** Follows links. @throws file-open when it cannot be told */
export function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return false;
    throw systemError(error, { other: 'file-open' }, `unable to get info for path/file '${path}'`);
  }
}
