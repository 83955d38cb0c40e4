/** Turns the files to copy into jobs: large files first, so that workers end together; small ones many to a job. Pure. */
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
/** A bundle, which is one file, has at most this many: what is said and answered of each is in memory at once (job.ts). */
const bundleFiles = 512;

/** @param onStandby true for the indexes that are read from the standby; no bundle holds files of both */
export function queueSources(
  files: FileTable,
  copy: readonly number[],
  bundle: BundleOptions | undefined,
  onStandby: (index: number) => boolean,
): JobQueues {
  const [here, there]: [number[], number[]] = [[], []];
  for (const index of copy) (onStandby(index) ? there : here).push(index);
  return { primary: queueFiles(files, here, bundle), standby: queueFiles(files, there, bundle) };
}

/** Options that make jobs in which the bundles of several repositories have room. */
export function widestBundle(options: readonly (BundleOptions | undefined)[]): BundleOptions | undefined {
  const given = options.filter(bundle => bundle !== undefined);
  if (given.length === 0) return undefined;
  return { size: Math.max(...given.map(({ size }) => size)), limit: Math.max(...given.map(({ limit }) => limit)) };
}

/**
 * Numbers the bundles of one repository. No bundle is of two jobs.
 * @param bundle options of the repository
 * @param takes whether a file goes there
 * @returns by index of the file, the number of its bundle, or 0
 */
export function numberBundles(
  files: FileTable,
  jobs: readonly QueuedJob[],
  bundle: BundleOptions | undefined,
  takes: (index: number) => boolean,
): Uint32Array {
  const numbers = new Uint32Array(files.length);
  if (bundle === undefined) return numbers;
  let number = 0;
  for (const job of jobs) {
    let bytes = bundle.size;
    for (const index of job.files) {
      const size = files.size(index);
      if (size > bundle.limit || !takes(index)) continue;
      // a bundle takes files until it is full; the file that fills it is its last
      if (bytes >= bundle.size) {
        number++;
        bytes = 0;
      }
      numbers[index] = number;
      bytes += size;
    }
  }
  return numbers;
}

/**
 * @param files sorted
 * @returns jobs for the files of one cluster, in the order in which they are to start
 */
export function queueFiles(files: FileTable, copy: readonly number[], bundle: BundleOptions | undefined): QueuedJob[] {
  // a manifest has its files in the order of their names
  const bySize = (a: number, b: number) => files.size(b) - files.size(a) || b - a;
  if (bundle === undefined)
    return groupJobs(files, [...copy].sort(bySize), jobBytes, jobFiles).map(job => ({ files: job }));
  const large = copy.filter(index => files.size(index) > bundle.limit).sort(bySize);
  // old files together: they will be unchanged together, and a bundle that nobody needs any more can go
  const small = copy
    .filter(index => files.size(index) <= bundle.limit)
    .sort((a, b) => files.timestamp(a) - files.timestamp(b) || b - a);
  return [...large.map(index => [index]), ...groupBundles(files, small, bundle.size)].map(job => ({ files: job }));
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

/** As numberBundles(): a job is a bundle where one repository has them. */
function groupBundles(files: FileTable, order: readonly number[], maxBytes: number): number[][] {
  const jobs: number[][] = [];
  let job: number[] = [];
  let bytes = 0;
  for (const index of order) {
    job.push(index);
    bytes += files.size(index);
    if (bytes >= maxBytes || job.length === bundleFiles) {
      jobs.push(job);
      job = [];
      bytes = 0;
    }
  }
  if (job.length > 0) jobs.push(job);
  return jobs;
}
