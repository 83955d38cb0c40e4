/** The WAL that PostgreSQL keeps until it is archived: files of pg_wal with a `.ready` in `archive_status`. */
import { readdirSync, statSync } from 'node:fs';
import { BackstopError, systemError } from '../../base/error.ts';
import { compareBytes } from '../../base/json.ts';
import { isHistoryFile, isWalSegmentFile } from '../../postgres/wal.ts';

const readySuffix = '.ready';

/**
 * Names of the files that wait, in the order in which PostgreSQL hands them to archive_command: history files first, then
 * by name.
 * @param walPath pg_wal
 * @throws path-missing when the directory is not that of a cluster, path-open
 */
export function readyFiles(walPath: string): string[] {
  const status = `${walPath}/archive_status`;
  const names: string[] = [];
  try {
    for (const name of readdirSync(status)) {
      if (name.endsWith(readySuffix)) names.push(name.slice(0, -readySuffix.length));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new BackstopError('path-missing', `unable to list file info for missing path '${status}'`, {
        hint: 'is the WAL file in the pg_wal directory of a cluster?',
        cause: error,
      });
    }
    throw systemError(error, { other: 'path-open' }, `unable to list files for path '${status}'`);
  }
  return names.sort((a, b) => Number(isHistoryFile(b)) - Number(isHistoryFile(a)) || compareBytes(a, b));
}

/** Bytes of files that wait; 0 for what is not there. */
export interface ReadySizes {
  readonly segment: number;
  of(name: string): number;
}

/** All segments of a cluster are of one size, so that one is asked for it: there may be thousands. */
export function sizesOf(walPath: string, names: readonly string[]): ReadySizes {
  const sizes = new Map<string, number>();
  let segment = 0;
  for (const name of names) {
    // a file that waits may be gone by now
    if (isWalSegmentFile(name)) segment = sizeOf(`${walPath}/${name}`);
    if (segment > 0) break;
  }
  return {
    segment,
    of: name => {
      if (isWalSegmentFile(name)) return segment;
      const size = sizes.get(name) ?? sizeOf(`${walPath}/${name}`);
      sizes.set(name, size);
      return size;
    },
  };
}

/** When the file was written: milliseconds since the epoch; undefined when it is not there. */
export function writtenAt(path: string): number | undefined {
  return look(path)?.mtimeMs;
}

const sizeOf = (path: string): number => look(path)?.size ?? 0;

function look(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw systemError(error, { other: 'file-info' }, `unable to get info for file '${path}'`);
  }
}
