/** What PostgreSQL puts for `%p` in archive_command and restore_command: a path, mostly relative to its data directory. */
import { realpathSync } from 'node:fs';
import { BackstopError, systemError } from '../../base/error.ts';

/**
 * Makes the path absolute.
 * @param dataDirectory pg1-path
 * @param command for messages
 * @throws option-required, option-invalid-value when a relative path cannot be related to the data directory
 */
export function walPathOf(parameter: string, dataDirectory: string | undefined, command: string): string {
  if (parameter.startsWith('/')) return parameter;
  if (dataDirectory === undefined) {
    throw new BackstopError('option-required', "option 'pg1-path' must be specified when relative wal paths are used", {
      hint: [
        `is %f passed to ${command} instead of %p?`,
        'PostgreSQL may pass relative paths even with %p depending on the environment.',
      ],
    });
  }
  const here = process.cwd();
  if (here !== dataDirectory && here !== realPath(dataDirectory)) {
    throw new BackstopError(
      'option-invalid-value',
      `PostgreSQL working directory '${here}' is not the same as option pg1-path '${dataDirectory}'`,
      { hint: 'is the PostgreSQL data_directory configured the same as the pg1-path option?' },
    );
  }
  return `${dataDirectory}/${parameter}`;
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw systemError(error, { other: 'path-missing' }, `unable to find path '${path}'`);
  }
}

/** Bytes read at once, whatever buffer-size allows: the steps work on the same bytes, which should stay in the CPU's cache. */
export const largestRead = 256 * 1024;
