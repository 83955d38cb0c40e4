/** Turns the files to copy into jobs: large files first, so that workers end together; small ones many to a job. Pure. */
import { compareBytes } from '../../base/json.ts';
import type { FileTable } from '../../repo/manifest/file-table.ts';

/** A job holds at most this many bytes of small files, or one larger file. */
const jobBytes = 4 * 1024 * 1024;
/** And at most this many files, since each stays open until the disk has it. */
const jobFiles = 64;

/** @returns jobs as lists of file indexes, in the order in which they are to start */
export function queueFiles(files: FileTable, copy: readonly number[]): number[][] {
  const order = [...copy].sort((a, b) => files.size(b) - files.size(a) || compareBytes(files.name(b), files.name(a)));
  const jobs: number[][] = [];
  let job: number[] = [];
  let bytes = 0;
  for (const index of order) {
    const size = files.size(index);
    if (job.length > 0 && (bytes + size > jobBytes || job.length === jobFiles)) {
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
