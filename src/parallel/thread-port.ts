/** The worker's end of the pool: takes jobs, runs their handlers, answers. */
import type { MessagePort } from 'node:worker_threads';
import { BackstopError, type ErrorKind, errorToPlain, isKind } from '../base/error.ts';
import { keepHeapsSmall } from '../base/heap.ts';
import type { JobReply, JobRequest } from './job.ts';

export interface RetrySettings {
  /** How often a job that failed is tried again. */
  readonly count: number;
  /** Milliseconds between tries after the first retry, which comes at once. */
  readonly interval: number;
}

/**
 * Failures that another try may heal. A wrong checksum or a broken format will be the same again: waiting 15 seconds for
 * it, as the reference does, only hides the message.
 */
const passing: readonly ErrorKind[] = ['file-read', 'file-open', 'file-write', 'protocol', 'host-connect', 'service'];

export type Handler = (input: never) => Promise<unknown>;

/**
 * Serves jobs until the port closes. Several jobs may be under way; each handler keeps to buffers of its own.
 * @param opening the handlers, being opened
 */
export function serveJobs(
  port: MessagePort,
  opening: Promise<Readonly<Record<string, Handler>>>,
  retry: RetrySettings,
): void {
  // our start has let the heaps of all threads grow again; a failure to open is the answer to every job, without one nobody's
  opening.then(keepHeapsSmall, () => undefined);
  port.on('message', (request: JobRequest) => {
    opening
      .then(handlers => runJob(handlers, request, retry))
      .then(
        output => port.postMessage({ id: request.id, output } satisfies JobReply),
        (error: unknown) => port.postMessage({ id: request.id, error: errorToPlain(error) } satisfies JobReply),
      );
  });
}

/** Runs a job, again when what it failed with may pass. */
export async function runJob(
  handlers: Readonly<Record<string, Handler>>,
  request: Omit<JobRequest, 'id'>,
  retry: RetrySettings,
): Promise<unknown> {
  const handler = handlers[request.name];
  if (handler === undefined) throw new BackstopError('assert', `no handler for job '${request.name}'`);
  for (let attempt = 0; ; attempt++) {
    try {
      return await handler(request.input as never);
    } catch (error) {
      if (!(await shallRetry(error, attempt, retry))) throw error;
    }
  }
}

/**
 * Whether a failure may pass and work is to be tried again. Waits before it says so.
 * @param attempt how often it was tried again before
 */
export async function shallRetry(error: unknown, attempt: number, retry: RetrySettings): Promise<boolean> {
  if (attempt >= retry.count || !isKind(error, ...passing)) return false;
  if (attempt > 0) await new Promise(resolve => setTimeout(resolve, retry.interval));
  return true;
}
