/** Turns the files of a manifest into jobs: large files first, members of one bundle together in order. Pure. */
import { compareBytes } from '../../base/json.ts';
import type { Manifest } from '../../repo/manifest/manifest.ts';

const jobBytes = 4 * 1024 * 1024;
const jobFiles = 64;

/** @returns jobs as lists of file indexes, in the order in which they are to start */
export function queueRestore({ files }: Manifest): number[][] {
  // what is not bundled is in bundle 0, whichever backup stores it
  const backup = (index: number) => (files.bundleId(index) === 0 ? 0 : files.referenceNumber(index));
  const byBundle = (a: number, b: number) => backup(a) - backup(b) || files.bundleId(a) - files.bundleId(b);
  // indexes alone: an object for each of ten million files would not fit into memory
  const order: number[] = [];
  for (let index = 0; index < files.length; index++) order.push(index);
  order.sort((a, b) => {
    const inBundle = byBundle(a, b);
    if (inBundle !== 0) return inBundle;
    if (files.bundleId(a) > 0) return files.bundleOffset(a) - files.bundleOffset(b);
    return files.size(b) - files.size(a) || compareBytes(files.name(b), files.name(a));
  });
  const jobs: number[][] = [];
  let job: number[] = [];
  let bytes = 0;
  for (const index of order) {
    const last = job.at(-1);
    const size = files.size(index);
    if (last !== undefined && (bytes + size > jobBytes || job.length === jobFiles || byBundle(last, index) !== 0)) {
      jobs.push(job);
      job = [];
      bytes = 0;
    }
    job.push(index);
    bytes += size;
  }
  if (job.length > 0) jobs.push(job);
  return jobs;
}
