/**
 * The worker pool with its workers in this thread, so that what they open is what the test has put in its place. Takes the
 * place of `parallel/pool.ts` by `vi.mock`.
 */
import { BackstopError, errorFromPlain, errorToPlain } from '../../src/base/error.ts';
import type { BackupThreadData } from '../../src/command/backup/job.ts';
import type { RestoreThreadData } from '../../src/command/restore/job.ts';
import type { VerifyThreadData } from '../../src/command/verify/job.ts';
import type { Job, JobTypes, Outcome } from '../../src/parallel/job.ts';
import type { PoolSettings } from '../../src/parallel/pool.ts';

type Handlers = Readonly<Record<string, (input: never) => Promise<unknown>>>;

async function openJobs(data: BackupThreadData | RestoreThreadData | VerifyThreadData): Promise<Handlers> {
  switch (data.command) {
    case 'backup':
      return (await import('../../src/command/backup/worker.ts')).openBackupJobs(data);
    case 'restore':
      return (await import('../../src/command/restore/job.ts')).openRestoreJobs(data);
    case 'verify':
      return (await import('../../src/command/verify/job.ts')).openVerifyJobs(data);
  }
}

export class WorkerPool<J extends JobTypes, T> {
  readonly #settings: PoolSettings;
  readonly #handlers = new Map<number, Promise<Handlers>>();

  constructor(settings: PoolSettings) {
    this.#settings = settings;
  }

  warm(): void {
    // there is one thread, and it is there
  }

  async *run(next: (worker: number) => Job<J, T> | undefined): AsyncGenerator<Outcome<J, T>> {
    const { size, window = 2 } = this.#settings;
    const pending = new Map<symbol, { readonly worker: number; readonly done: Promise<[symbol, Outcome<J, T>]> }>();
    for (;;) {
      for (let worker = 0; worker < size; worker++) {
        while ([...pending.values()].filter(job => job.worker === worker).length < window) {
          const job = next(worker);
          if (job === undefined) break;
          const id = Symbol();
          pending.set(id, { worker, done: this.#work(worker, job).then(outcome => [id, outcome]) });
        }
      }
      if (pending.size === 0) return;
      const [id, outcome] = await Promise.race([...pending.values()].map(({ done }) => done));
      pending.delete(id);
      yield outcome;
    }
  }

  async close(): Promise<void> {
    // nothing runs beside the test
  }

  async #work(worker: number, job: Job<J, T>): Promise<Outcome<J, T>> {
    let handlers = this.#handlers.get(worker);
    if (handlers === undefined) {
      handlers = openJobs(this.#settings.data as Parameters<typeof openJobs>[0]);
      this.#handlers.set(worker, handlers);
    }
    const handler = (await handlers)[String(job.name)];
    if (handler === undefined) throw new BackstopError('assert', `no handler for job '${String(job.name)}'`);
    try {
      // what crosses threads is copied
      const output: unknown = structuredClone(await handler(structuredClone(job.input) as never));
      return { name: job.name, tag: job.tag, worker: worker + 1, output } as Outcome<J, T>;
    } catch (error) {
      throw errorFromPlain(errorToPlain(error));
    }
  }
}
