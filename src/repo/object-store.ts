/** What an object store wants, which is far away and bills by request: fewer and larger requests, several of them at once. */
import pLimit from 'p-limit';
import type { Storage } from '../storage/storage.ts';

/** Keys with contents and nothing else: no directories, no renames. */
export const isObjectStore = (storage: Storage): boolean => storage.paths === undefined;

/**
 * Begins work whose result is asked for later: its failure is told then, and looks unhandled to nobody until then. Of several
 * that are begun together, the one that is awaited first speaks first.
 */
export function begun<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
}

/** Small requests under way at once in the main thread. */
const requestsAtOnce = 16;

/**
 * Runs the work for all items, several at once, and gives the results in the order of the items. After the first failure
 * nothing more begins; it is thrown once all that was under way has ended, so that nothing goes on behind the caller's back.
 */
export async function forAll<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  atOnce = requestsAtOnce,
): Promise<R[]> {
  const failures: unknown[] = [];
  const results: R[] = [];
  await pLimit(atOnce).map(items, async (item, index) => {
    if (failures.length > 0) return;
    try {
      results[index] = await work(item, index);
    } catch (error) {
      failures.push(error);
    }
  });
  if (failures.length > 0) throw failures[0];
  return results;
}
