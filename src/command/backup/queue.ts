/** Turns the files to copy into jobs: large files first, so that workers end together; small ones many to a job. Pure. */
import { compareBytes } from '../../base/json.ts';
import type { FileTable } from '../../repo/manifest/file-table.ts';

export interface BundleOptions {
  /** Bytes of files after which a bundle is full. */
  readonly size: number;
  /** Largest file that goes into a bundle. */
  readonly limit: number;
}

export interface QueuedJob {
  /** Indexes of the files, in order. */
  readonly files: readonly number[];
  /** Number of the bundle that the files go into. */
  readonly bundleId?: number;
}

/** Jobs in the order in which they are to start. */
export interface JobQueues {
  /** Files that are read from the primary: all of them, unless there is a standby. */
  readonly primary: readonly QueuedJob[];
  readonly standby: readonly QueuedJob[];
}

/** A job holds at most this many bytes of small files, or one larger file. */
const jobBytes = 4 * 1024 * 1024;
/** And at most this many files, since each stays open until the disk has it. */
const jobFiles = 64;

/** @param onStandby true for the indexes that are read from the standby; no bundle holds files of both */
export function queueSources(
  files: FileTable,
  copy: readonly number[],
  bundle: BundleOptions | undefined,
  onStandby: (index: number) => boolean,
): JobQueues {
  const [here, there]: [number[], number[]] = [[], []];
  for (const index of copy) (onStandby(index) ? there : here).push(index);
  const primary = queueFiles(files, here, bundle);
  const bundles = primary.filter(job => job.bundleId !== undefined).length;
  return { primary, standby: queueFiles(files, there, bundle, bundles + 1) };
}

/** @returns jobs for the files of one cluster, in the order in which they are to start */
export function queueFiles(
  files: FileTable,
  copy: readonly number[],
  bundle: BundleOptions | undefined,
  firstBundle = 1,
): QueuedJob[] {
  const bySize = (a: number, b: number) => files.size(b) - files.size(a) || byName(a, b);
  const byName = (a: number, b: number) => compareBytes(files.name(b), files.name(a));
  if (bundle === undefined)
    return groupJobs(files, [...copy].sort(bySize), jobBytes, jobFiles).map(job => ({ files: job }));
  const large = copy.filter(index => files.size(index) > bundle.limit).sort(bySize);
  // old files together: they will be unchanged together, and a bundle that nobody needs any more can go
  const small = copy
    .filter(index => files.size(index) <= bundle.limit)
    .sort((a, b) => files.timestamp(a) - files.timestamp(b) || byName(a, b));
  return [
    ...large.map(index => ({ files: [index] })),
    ...groupBundles(files, small, bundle.size).map((job, at) => ({ files: job, bundleId: firstBundle + at })),
  ];
}

function groupJobs(files: FileTable, order: readonly number[], maxBytes: number, maxFiles: number): number[][] {
  const jobs: number[][] = [];
  let job: number[] = [];
  let bytes = 0;
  for (const index of order) {
    const size = files.size(index);
    if (job.length > 0 && (bytes + size > maxBytes || job.length === maxFiles)) {
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

/** A bundle takes files until it is full; the file that fills it is its last. */
function groupBundles(files: FileTable, order: readonly number[], maxBytes: number): number[][] {
  const jobs: number[][] = [];
  let job: number[] = [];
  let bytes = 0;
  for (const index of order) {
    job.push(index);
    bytes += files.size(index);
    if (bytes >= maxBytes) {
      jobs.push(job);
      job = [];
      bytes = 0;
    }
  }
  if (job.length > 0) jobs.push(job);
  return jobs;
}
