/** Who works on a stanza on this host, from the lock files (format, section 9.1). */
import { inspectLock } from '../../base/lock.ts';
import { type LockFinding, lockFree } from './finding.ts';

/**
 * The locks of one kind for each repository key. Only one command can hold the older name without a key, which
 * release 2.45 uses and we take as well: it counts for the first repository when no keyed lock is held.
 */
export function findLocks(
  lockPath: string,
  stanza: string,
  kind: 'backup' | 'restore',
  keys: readonly number[],
): ReadonlyMap<number, LockFinding> {
  const base = `${lockPath}/${stanza}-${kind}`;
  const found = new Map(keys.map(key => [key, readLock(`${base}-${key}.lock`)]));
  const [first] = keys;
  if (first !== undefined && ![...found.values()].some(lock => lock.held)) found.set(first, readLock(`${base}.lock`));
  return found;
}

function readLock(path: string): LockFinding {
  const lock = inspectLock(path);
  if (lock.state !== 'held') return lockFree;
  const { size, sizeComplete, percentComplete } = lock.content ?? {};
  return {
    held: true,
    ...(size === undefined || size === 0 ? {} : { progress: { size, sizeComplete: sizeComplete ?? 0 } }),
    ...(percentComplete === undefined ? {} : { percentComplete }),
  };
}
