/** Feeds the worker pool from a list of jobs that is still being made. */
import type { WorkerPool } from '../../parallel/pool.ts';
import type { VerifyJobs, VerifyTask, VerifyVerdict } from './job.ts';

/** Files to be looked at together, and what to do with what is found. */
export interface VerifyJob {
  readonly tasks: readonly VerifyTask[];
  /** @param worker number from 1 */
  done(verdicts: readonly VerifyVerdict[], worker: number): void;
}

/** In place of a job: what comes next is made only when all jobs before it are done. */
export const allDone = 'all-done';

export type VerifyPool = WorkerPool<VerifyJobs, VerifyJob>;

/** Runs all jobs. Only a few are made ahead of their time, so a repository of millions of files needs no list of them. */
export async function runJobs(
  pool: VerifyPool,
  processMax: number,
  jobs: AsyncIterator<VerifyJob | typeof allDone>,
): Promise<void> {
  const ready: VerifyJob[] = [];
  let [open, waiting, ended] = [0, false, false];
  const refill = async () => {
    while (!ended && ready.length < processMax * 4 && !(waiting && open > 0)) {
      waiting = false;
      const next = await jobs.next();
      if (next.done === true) {
        ended = true;
      } else if (next.value === allDone) {
        waiting = true;
      } else {
        ready.push(next.value);
        open++;
      }
    }
  };
  for (;;) {
    await refill();
    if (ready.length === 0) return;
    const outcomes = pool.run(() => {
      const job = ready.shift();
      return job === undefined ? undefined : { name: 'verify-files', input: job.tasks, tag: job };
    });
    for await (const { tag, output, worker } of outcomes) {
      open--;
      tag.done(output, worker);
      await refill();
    }
  }
}
