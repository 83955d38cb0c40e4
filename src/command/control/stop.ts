/** `stop`: lets no further command of a stanza begin, and with `--force` ends those that run (behaviour, section 3). */

import { closeSync, existsSync, openSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isBackstopError, systemError } from '../../base/error.ts';
import { inspectLock } from '../../base/lock.ts';
import { makePath } from '../../base/make-path.ts';
import type { Session } from '../session.ts';
import { stopFile } from '../stop-file.ts';

export async function run(session: Session<'stop'>): Promise<undefined> {
  const { stanza, force, 'lock-path': lockPath } = session.settings.values;
  if (!createFile(stopFile(lockPath, stanza))) {
    const whose = stanza === undefined ? 'all stanzas' : `stanza ${stanza}`;
    session.log.warn(`stop file already exists for ${whose}`);
  } else if (force) {
    terminateHolders(session, lockPath, stanza);
  }
}

/** @returns false when the file is there already */
function createFile(path: string): boolean {
  try {
    makePath(dirname(path), 0o770);
  } catch (error) {
    throw systemError(error, { other: 'path-create' }, `unable to create path '${dirname(path)}'`);
  }
  try {
    closeSync(openSync(path, 'wx', 0o640));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw systemError(error, { other: 'file-open' }, `unable to create stop file '${path}'`);
  }
}

/** Sends SIGTERM to each process that holds a lock of the stanza, or of any. */
function terminateHolders({ log }: Session<'stop'>, lockPath: string, stanza: string | undefined): void {
  // one process holds several locks, and the first signal ends it: all are read before any is sent
  const holders = new Set<number>();
  for (const name of readdirSync(lockPath).sort()) {
    // stanza 'a' must not end the work of stanza 'a-b'
    const owner = /^(.+)-(?:archive|backup|restore)(?:-[0-9]+)?\.lock$/.exec(name)?.[1];
    if (owner === undefined || (stanza !== undefined && owner !== stanza)) continue;
    const path = join(lockPath, name);
    const pid = readHolder(path);
    if (pid === undefined || !hasOpen(pid, path)) log.warn(`unable to read lock file ${path}`);
    else holders.add(pid);
  }
  for (const pid of holders) {
    try {
      process.kill(pid, 'SIGTERM');
      log.info(`sent term signal to process ${pid}`);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      log.warn(`unable to send term signal to process ${pid}: ${code ?? String(error)}`);
    }
  }
}

/**
 * Whether a process has the file open. The number in it may be that of a holder that is gone, while the next one has not
 * written its own yet, or of a process in another container: somebody else may have that number here.
 */
function hasOpen(pid: number, path: string): boolean {
  // only Linux tells
  if (!existsSync('/proc/self/fd')) return true;
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return false;
  try {
    const base = `/proc/${pid}/fd`;
    return readdirSync(base).some(name => {
      const open = statSync(join(base, name), { throwIfNoEntry: false });
      return open?.ino === file.ino && open.dev === file.dev;
    });
  } catch (error) {
    // of another user's process we learn nothing, and may not end it either: the signal will say so
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EACCES' || code === 'EPERM';
  }
}

/** @returns undefined when nobody holds the lock, or who does cannot be read */
function readHolder(path: string): number | undefined {
  try {
    const lock = inspectLock(path);
    if (lock.state !== 'held') return undefined;
    const pid = lock.content?.pid;
    // zero, one and negative numbers mean more than a process
    return pid !== undefined && Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch (error) {
    if (isBackstopError(error)) return undefined;
    throw error;
  }
}
