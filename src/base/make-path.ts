/**
 * Makes a directory with its parents. Node's own recursive mkdir never returns where the system answers ENOENT for a
 * directory whose parent exists, as /proc does (seen with Node 20).
 */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * @returns the first directory that had to be made, undefined when all were there
 * @throws the failed system call
 */
export function makePath(path: string, mode: number): string | undefined {
  try {
    mkdirSync(path, { mode });
    return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      if (statSync(path).isDirectory()) return undefined;
      throw error;
    }
    const parent = dirname(path);
    if (code !== 'ENOENT' || parent === path) throw error;
    const first = makePath(parent, mode);
    try {
      mkdirSync(path, { mode });
    } catch (again) {
      // somebody else may have made it meanwhile
      if ((again as NodeJS.ErrnoException).code !== 'EEXIST') throw again;
    }
    return first ?? path;
  }
}
