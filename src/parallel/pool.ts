/**
 * A pool of worker threads that pull their next job. The main thread decides what comes next and is the only one that
 * sees the outcomes, so it alone writes the manifest.
 */
import { Worker } from 'node:worker_threads';
import { BackstopError, errorFromPlain } from '../base/error.ts';
import { keepHeapsSmall, letHeapsGrow, workerYoungGeneration } from '../base/heap.ts';
import type { Job, JobReply, JobRequest, JobTypes, Outcome } from './job.ts';

export interface PoolSettings {
  /** Compiled thread entry. */
  readonly threadFile: string;
  /** Number of workers, process-max. */
  readonly size: number;
  /** Given to each worker at its start: plain data. */
  readonly data: unknown;
  /**
   * Jobs given to a worker at once. With two, a worker never waits for the main thread, and the wait for the disk at the
   * end of one job overlaps with the work of the next.
   */
  readonly window?: number;
}

interface Slot<J extends JobTypes, T> {
  /** Absent until there is a job for it. */
  worker: Worker | undefined;
  /** It has answered. */
  isUp: boolean;
  readonly number: number;
  /** Jobs that it has. What they were given is not kept: it may be much. */
  readonly pending: Map<number, Pick<Job<J, T>, 'name' | 'tag'>>;
}

/** @typeParam J jobs of the command  @typeParam T what the main thread attaches to a job */
export class WorkerPool<J extends JobTypes, T> {
  readonly #settings: PoolSettings;
  readonly #slots: readonly Slot<J, T>[];
  readonly #window: number;
  #nextId = 1;
  #failed: BackstopError | undefined;
  #closing = false;
  #wake: () => void = () => undefined;
  #outcomes: Outcome<J, T>[] = [];

  /** A worker starts when there is a job for it: where little is to do, most of the time would go into starting them. */
  constructor(settings: PoolSettings) {
    this.#settings = settings;
    this.#window = settings.window ?? 2;
    this.#slots = Array.from({ length: settings.size }, (_, index) => ({
      worker: undefined,
      isUp: false,
      number: index + 1,
      pending: new Map(),
    }));
  }

  /** Starts workers for so many jobs, which are sure to come soon. */
  warm(jobs: number): void {
    for (const slot of this.#slots.slice(0, jobs)) if (slot.worker === undefined) this.#start(slot);
  }

  #start(slot: Slot<J, T>): Worker {
    const { number } = slot;
    // under other flags than V8's own a thread compiles Node's modules anew, which doubles the time of its start
    letHeapsGrow();
    const worker = new Worker(this.#settings.threadFile, {
      workerData: this.#settings.data,
      name: `worker-${number}`,
      // workers get what they need by message: secrets in our environment stay out of theirs
      env: {},
      stdin: false,
      resourceLimits: { maxYoungGenerationSizeMb: workerYoungGeneration },
    });
    worker.on('message', (reply: JobReply) => this.#answer(slot, reply));
    worker.on('error', error => this.#fail(crash(number, error)));
    worker.on('exit', code => {
      // also when it had nothing to do: the next job that it gets would never be answered
      if (!this.#closing) this.#fail(crash(number, new Error(`worker ended with code ${code}`)));
    });
    slot.worker = worker;
    return worker;
  }

  /**
   * Runs jobs until `next` has none left and all have answered.
   * @param next gives the next job for a worker (number from 0), or undefined when there is none for it
   * @param signal ends the wait with its reason
   * @throws the first error of a job; jobs under way are left to end by close()
   */
  async *run(next: (worker: number) => Job<J, T> | undefined, signal?: AbortSignal): AsyncGenerator<Outcome<J, T>> {
    const onAbort = () => this.#wake();
    signal?.addEventListener('abort', onAbort);
    for (const slot of this.#slots) slot.worker?.ref();
    try {
      for (;;) {
        for (let round = 0; round < this.#window; round++) {
          for (const slot of this.#slots) {
            if (slot.pending.size > round) continue;
            const job = next(slot.number - 1);
            if (job !== undefined) this.#send(slot, job);
          }
        }
        const outcomes = this.#outcomes;
        if (outcomes.length > 0) {
          this.#outcomes = [];
          yield* outcomes;
          continue;
        }
        signal?.throwIfAborted();
        if (this.#failed !== undefined) throw this.#failed;
        if (this.#slots.every(slot => slot.pending.size === 0)) return;
        await new Promise<void>(resolve => {
          this.#wake = resolve;
        });
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      for (const slot of this.#slots) slot.worker?.unref();
    }
  }

  /** Ends the workers, whatever they are doing. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all(
      this.#slots.map(slot => {
        slot.pending.clear();
        return slot.worker?.terminate();
      }),
    );
  }

  #send(slot: Slot<J, T>, job: Job<J, T>): void {
    const id = this.#nextId++;
    slot.pending.set(id, { name: job.name, tag: job.tag });
    const request: JobRequest = { id, name: String(job.name), input: job.input };
    (slot.worker ?? this.#start(slot)).postMessage(request);
  }

  #answer(slot: Slot<J, T>, reply: JobReply): void {
    if (!slot.isUp) {
      slot.isUp = true;
      // a thread that has begun let our heap grow: to make a job is what takes most of it
      if (this.#slots.every(({ worker, isUp }) => worker === undefined || isUp)) keepHeapsSmall();
    }
    const job = slot.pending.get(reply.id);
    if (job === undefined) return;
    slot.pending.delete(reply.id);
    if ('error' in reply) {
      this.#fail(errorFromPlain(reply.error));
      return;
    }
    this.#outcomes.push({ name: job.name, tag: job.tag, worker: slot.number, output: reply.output } as Outcome<J, T>);
    this.#wake();
  }

  #fail(error: BackstopError): void {
    this.#failed ??= error;
    this.#wake();
  }
}

function crash(number: number, cause: Error): BackstopError {
  const outOfMemory = (cause as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';
  return new BackstopError(outOfMemory ? 'memory' : 'unhandled', `worker ${number} ended: ${cause.message}`, { cause });
}
