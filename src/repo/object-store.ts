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

/** Runs the work for all items, several at once, and gives the results in the order of the items. The first failure ends it. */
export function forAll<T, R>(items: readonly T[], work: (item: T, index: number) => Promise<R>): Promise<R[]> {
  return pLimit(requestsAtOnce).map(items, work);
}
