/**
 * Removes many directories of a file system on two processors: to remove a file takes the system ten times longer than to
 * ask it to.
 */
import { setImmediate } from 'node:timers/promises';
import { WorkerPool } from '../../parallel/pool.ts';
import type { Storage } from '../../storage/storage.ts';
import type { ExpireJobs, ExpireThreadData } from './job.ts';

/** So many directories of WAL take three times as long to remove as a worker to start. */
export const worthAWorker = 48;

/** Directories in one message: the last ones are removed while the other one is at work, too. */
const perJob = 2;

/** @param paths are removed in this order, but for those that are under way at once; each may be gone already */
export async function removeWithWorker(
  paths: readonly string[],
  storage: Storage,
  settings: { readonly threadFile: string; readonly data: ExpireThreadData },
): Promise<void> {
  const pool = new WorkerPool<ExpireJobs, undefined>({ ...settings, size: 1 });
  let next = 0;
  const take = (count: number): readonly string[] => {
    const taken = paths.slice(next, next + count);
    next += taken.length;
    return taken;
  };
  const removeHere = async (): Promise<void> => {
    for (let [path] = take(1); path !== undefined; [path] = take(1)) {
      await storage.removeTree(path);
      // the worker asks for more
      await setImmediate();
    }
  };
  const removeThere = async (): Promise<void> => {
    const outcomes = pool.run(() => {
      const input = take(perJob);
      return input.length === 0 ? undefined : { name: 'remove-trees', input, tag: undefined };
    });
    for await (const _ of outcomes);
  };
  try {
    await Promise.all([removeThere(), removeHere()]);
  } finally {
    // nothing more is begun, whichever failed
    next = paths.length;
    await pool.close();
  }
}
