/** How large the reads of bundles are on an object store, where each is a request. Pure. */

/** Stored bytes that pay for a request many times over. */
const leastRead = 4 * 1024 * 1024;
/** Beyond this a job would be so long that its retry, and the wait for the last one, cost more than requests. */
const mostRead = 32 * 1024 * 1024;
/** A read's files go to a worker as one message. */
const mostFiles = 8192;

/**
 * A bundle is read by one worker from front to back, unless there are too few of them for all workers.
 * @param bundles stored bytes that are wanted of each bundle
 * @returns for one of them, the bytes after which a read of it ends
 */
export function bundleReads(bundles: readonly number[], workers: number): (bundle: number) => number {
  const total = bundles.reduce((sum, size) => sum + size, 0);
  // two jobs for each worker, so that none waits long for the last one
  const jobs = workers === 1 ? 1 : workers * 2;
  const wanted = Math.min(mostRead, Math.max(leastRead, total / jobs));
  return size => size / Math.max(1, Math.round(size / wanted));
}

/**
 * Cuts the members of a bundle into those that are read together.
 * @param members in the order in which they lie
 * @param bytes after which a read ends
 */
export function* cutReads(
  members: Iterable<number>,
  sizeRepo: (member: number) => number,
  bytes: number,
): Generator<number[]> {
  let read: number[] = [];
  let have = 0;
  for (const member of members) {
    read.push(member);
    have += sizeRepo(member);
    if (have < bytes && read.length < mostFiles) continue;
    yield read;
    read = [];
    have = 0;
  }
  if (read.length > 0) yield read;
}
