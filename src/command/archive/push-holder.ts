/** Whether the archive lock, which archive-push and archive-get share, is with one that pushes: nothing comes from that. */
import { readFileSync } from 'node:fs';
import { systemError } from '../../base/error.ts';
import { readLockFile } from '../../base/lock.ts';
import { type LockSettings, lockPaths } from '../lock-paths.ts';

/** False also where nobody can say. */
export function isHeldByPush(settings: LockSettings): boolean {
  return lockPaths(settings, 'archive').some(path => {
    const holder = readLockFile(path);
    return holder !== undefined && pushes(holder.pid);
  });
}

function pushes(pid: number): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.some(word => /^archive-push(:|$)/.test(word));
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(code)) return false;
    throw systemError(error, { other: 'file-read' }, `unable to look for process ${pid}`);
  }
}
