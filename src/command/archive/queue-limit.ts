/** archive-push-queue-max: rather lose WAL than fill the disk of the cluster. */
import { basename, dirname } from 'node:path';
import { BackstopError } from '../../base/error.ts';
import { formatSize } from '../../base/units.ts';
import { isWalSegmentFile } from '../../postgres/wal.ts';
import type { Storage } from '../../storage/storage.ts';

const readySuffix = '.ready';

/**
 * Whether more WAL waits for archiving than the limit allows. All files count as large as the first segment, as
 * PostgreSQL's segments are.
 * @param walFile absolute path of the segment to push; the cluster's archive_status lies beside it
 * @param limit bytes
 * @returns the warning to give instead of pushing, or undefined to push
 */
export async function droppedByQueueLimit(files: Storage, walFile: string, limit: number): Promise<string | undefined> {
  const folder = dirname(walFile);
  const status = `${folder}/archive_status`;
  if ((await files.info(status)) === undefined) {
    throw new BackstopError('path-missing', `unable to list file info for missing path '${status}'`, {
      hint: 'archive-push-queue-max needs to see the files that wait, which only works for WAL in pg_wal.',
    });
  }
  const ready = (await files.names(status)).filter(name => name.endsWith(readySuffix)).sort();
  // a history file, which may sort first, is not a measure for segments
  const first = ready.find(name => isWalSegmentFile(name.slice(0, -readySuffix.length))) ?? ready[0];
  if (first === undefined) return undefined;
  const info = await files.info(`${folder}/${first.slice(0, -readySuffix.length)}`);
  if ((info?.size ?? 0) * ready.length <= limit) return undefined;
  return `dropped WAL file '${basename(walFile)}' because archive queue exceeded ${formatSize(limit)}`;
}
