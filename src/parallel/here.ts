/** Runs jobs in the thread that asks for them: where little is to do, to start a worker would cost more than the work. */
import type { Job, JobHandlers, JobTypes, Outcome } from './job.ts';
import { type RetrySettings, runJob } from './thread-port.ts';

/**
 * As WorkerPool.run() with one worker, whose number is 1. A job runs when its outcome is asked for.
 * @param open makes the handlers, when there is a job for them
 * @throws the first error of a job
 */
export async function* runHere<J extends JobTypes, T>(
  open: () => Promise<JobHandlers<J>>,
  next: () => Job<J, T> | undefined,
  retry: RetrySettings,
): AsyncGenerator<Outcome<J, T>> {
  let handlers: JobHandlers<J> | undefined;
  for (let job = next(); job !== undefined; job = next()) {
    handlers ??= await open();
    const output = await runJob(handlers, { name: String(job.name), input: job.input }, retry);
    yield { name: job.name, tag: job.tag, worker: 1, output } as Outcome<J, T>;
  }
}
