/** Turns the files of a manifest into jobs: large files first, members of one bundle together in order. Pure. */
import { bundleReads, cutReads } from '../../repo/bundle-reads.ts';
import type { FileTable } from '../../repo/manifest/file-table.ts';
import type { Manifest } from '../../repo/manifest/manifest.ts';

const jobBytes = 4 * 1024 * 1024;
const jobFiles = 64;

/**
 * @param manifest its files in the order of their names
 * @param workers given for an object store: a job is then one large read of a bundle. Elsewhere jobs are small, so that all
 *   workers end together
 * @returns jobs as lists of file indexes, in the order in which they are to start
 */
export function queueRestore({ files }: Manifest, workers?: number): number[][] {
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
    return files.size(b) - files.size(a) || b - a;
  });
  if (workers === undefined) return cut(files, order, byBundle);
  const bundled = order.findIndex(index => files.bundleId(index) > 0);
  if (bundled < 0) return cut(files, order, byBundle);
  return [
    ...cut(files, order.slice(0, bundled), byBundle),
    ...cutBundles(files, order.slice(bundled), byBundle, workers),
  ];
}

type Compare = (a: number, b: number) => number;

function cut(files: FileTable, order: readonly number[], byBundle: Compare): number[][] {
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

function cutBundles(files: FileTable, order: readonly number[], byBundle: Compare, workers: number): number[][] {
  const bundles: number[][] = [];
  for (const index of order) {
    const bundle = bundles.at(-1);
    const last = bundle?.at(-1);
    if (bundle === undefined || last === undefined || byBundle(last, index) !== 0) bundles.push([index]);
    else bundle.push(index);
  }
  const sizeRepo = (index: number) => files.sizeRepo(index);
  const sizes = bundles.map(indexes => indexes.reduce((sum, index) => sum + sizeRepo(index), 0));
  const readBytes = bundleReads(sizes, workers);
  return bundles.flatMap((bundle, at) => [...cutReads(bundle, sizeRepo, readBytes(sizes[at] ?? 0))]);
}
