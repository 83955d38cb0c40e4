/** Turns the files of a manifest into jobs: large files first, members of one bundle together in order. Pure. */
import { compareBytes } from '../../base/json.ts';
import type { Manifest } from '../../repo/manifest/manifest.ts';

const jobBytes = 4 * 1024 * 1024;
const jobFiles = 64;

/** @returns jobs as lists of file indexes, in the order in which they are to start */
export function queueRestore({ files }: Manifest): number[][] {
  const keyed = Array.from({ length: files.length }, (_, index) => {
    const { name, size, reference = '', bundleId, bundleOffset } = files.get(index);
    return { index, name, size, bundle: bundleId > 0 ? `${reference}/${bundleId}` : '', offset: bundleOffset };
  });
  keyed.sort((a, b) => {
    if (a.bundle !== b.bundle) return compareBytes(a.bundle, b.bundle);
    return a.bundle === '' ? b.size - a.size || compareBytes(b.name, a.name) : a.offset - b.offset;
  });
  const jobs: number[][] = [];
  let job: number[] = [];
  let bytes = 0;
  let bundle = '';
  for (const file of keyed) {
    if (job.length > 0 && (bytes + file.size > jobBytes || job.length === jobFiles || bundle !== file.bundle)) {
      jobs.push(job);
      job = [];
      bytes = 0;
    }
    bundle = file.bundle;
    job.push(file.index);
    bytes += file.size;
  }
  if (job.length > 0) jobs.push(job);
  return jobs;
}
