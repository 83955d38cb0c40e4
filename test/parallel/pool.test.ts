/** The pool with real threads. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isKind } from '../../src/base/error.ts';
import type { Job } from '../../src/parallel/job.ts';
import { WorkerPool } from '../../src/parallel/pool.ts';

type Jobs = {
  readonly double: { readonly input: number; readonly output: number };
  readonly sleep: { readonly input: number; readonly output: number };
  readonly fail: { readonly input: string; readonly output: never };
  readonly flaky: { readonly input: string; readonly output: number };
  readonly crash: { readonly input: 'throw' | 'exit' | 'exit after the answer' | 'memory'; readonly output: null };
  readonly look: { readonly input: null; readonly output: { secret: string | undefined; data: unknown } };
};

let folder: string;
let threadFile: string;
let pool: WorkerPool<Jobs, number> | undefined;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pgbackstop-pool-'));
  const source = join(folder, 'thread.ts');
  writeFileSync(
    source,
    `import { parentPort, workerData } from 'node:worker_threads';
     import { BackstopError } from '${process.cwd()}/src/base/error.ts';
     import { serveJobs } from '${process.cwd()}/src/parallel/thread-port.ts';
     const sleep = time => new Promise(resolve => setTimeout(resolve, time));
     let tries = 0;
     if (workerData.started) Atomics.add(new Int32Array(workerData.started), 0, 1);
     const handlers = {
       double: async n => n * 2,
       sleep: async time => { await sleep(time); return time; },
       fail: async kind => { throw new BackstopError(kind, 'no luck', { hint: 'try again' }); },
       flaky: async kind => { tries++; if (tries < 3) throw new BackstopError(kind, 'not yet'); return tries; },
       crash: async how => {
         if (how === 'throw') { setImmediate(() => { throw new TypeError('a bug'); }); await sleep(60000); }
         if (how === 'exit') process.exit(3);
         if (how === 'exit after the answer') { setTimeout(() => process.exit(4), 20); return null; }
         const hoard = [];
         for (;;) hoard.push(new Array(100000).fill({ a: 1 }).map(o => ({ ...o })));
       },
       look: async () => ({ secret: process.env.PGBACKSTOP_SECRET, data: workerData.data }),
     };
     const opening = workerData.broken ? Promise.reject(new BackstopError('config', 'cannot open')) : Promise.resolve(handlers);
     serveJobs(parentPort, opening, { count: 2, interval: 10 });`,
  );
  threadFile = join(folder, 'thread.cjs');
  buildSync({ entryPoints: [source], bundle: true, platform: 'node', format: 'cjs', outfile: threadFile });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  await pool?.close();
  pool = undefined;
});

function open(size: number, data: unknown = {}): WorkerPool<Jobs, number> {
  pool = new WorkerPool<Jobs, number>({ threadFile, size, data });
  return pool;
}

/** Gives the jobs of a list, one after the other. */
function from(jobs: readonly Job<Jobs, number>[]): () => Job<Jobs, number> | undefined {
  let next = 0;
  return () => jobs[next++];
}

const doubles = (count: number): Job<Jobs, number>[] =>
  Array.from({ length: count }, (_, tag) => ({ name: 'double', input: tag, tag }));

async function collect(running: AsyncIterable<{ tag: number; output: unknown; worker: number }>) {
  const outcomes: { tag: number; output: unknown; worker: number }[] = [];
  for await (const outcome of running) outcomes.push(outcome);
  return outcomes;
}

describe('jobs', () => {
  it.each([1, 2, 4])('are all done once by %i workers, and come back with their tags', async size => {
    const outcomes = await collect(open(size).run(from(doubles(200))));
    expect(outcomes.map(({ tag }) => tag).sort((a, b) => a - b)).toEqual(doubles(200).map(({ tag }) => tag));
    for (const { tag, output, worker } of outcomes) {
      expect(output).toBe(tag * 2);
      expect(worker).toSatisfy((number: number) => number >= 1 && number <= size);
    }
    expect(new Set(outcomes.map(({ worker }) => worker)).size).toBe(size);
  });

  it('may be none', async () => {
    expect(await collect(open(2).run(() => undefined))).toEqual([]);
  });

  it('start no more workers than they need', async () => {
    const started = new SharedArrayBuffer(4);
    const workers = open(8, { started });
    expect(await collect(workers.run(from(doubles(3))))).toHaveLength(3);
    expect(new Int32Array(started)).toEqual(Int32Array.of(3));
  });

  it('may be given to one worker only', async () => {
    const next = from(doubles(20));
    const outcomes = await collect(open(3).run(worker => (worker === 1 ? next() : undefined)));
    expect(outcomes).toHaveLength(20);
    expect(new Set(outcomes.map(({ worker }) => worker))).toEqual(new Set([2]));
  });

  it('can be run in two rounds by the same workers', async () => {
    const workers = open(2);
    for (let round = 0; round < 2; round++) expect(await collect(workers.run(from(doubles(10))))).toHaveLength(10);
  });

  it('overlap', async () => {
    const started = performance.now();
    await collect(open(2).run(from(Array.from({ length: 4 }, (_, tag) => ({ name: 'sleep', input: 300, tag })))));
    expect(performance.now() - started).toBeLessThan(1100);
  });

  it('get plain data, and nothing of our environment', async () => {
    process.env.PGBACKSTOP_SECRET = 'x';
    const [outcome] = await collect(open(1, { data: [1, 2n] }).run(from([{ name: 'look', input: null, tag: 0 }])));
    delete process.env.PGBACKSTOP_SECRET;
    expect(outcome?.output).toEqual({ secret: undefined, data: [1, 2n] });
  });
});

describe('a failure', () => {
  async function failureOf(jobs: readonly Job<Jobs, number>[], data: unknown = {}): Promise<unknown> {
    try {
      await collect(open(2, data).run(from(jobs)));
    } catch (error) {
      return error;
    }
    throw new Error('nothing failed');
  }

  it('of a job comes whole', async () => {
    const error = await failureOf([...doubles(3), { name: 'fail', input: 'checksum', tag: 9 }, ...doubles(50)]);
    expect(error).toMatchObject({ kind: 'checksum', message: 'no luck', hints: ['try again'] });
  });

  it('that may pass is tried again, up to the count', async () => {
    const outcomes = await collect(open(1).run(from([{ name: 'flaky', input: 'file-read', tag: 0 }])));
    expect(outcomes[0]?.output).toBe(3);
  });

  it('that will not pass is not tried again', async () => {
    expect(await failureOf([{ name: 'flaky', input: 'checksum', tag: 0 }])).toMatchObject({ message: 'not yet' });
  });

  it('to open the jobs is the answer to each of them', async () => {
    expect(await failureOf(doubles(1), { broken: true })).toMatchObject({ kind: 'config', message: 'cannot open' });
  });

  it('of a job that nobody knows', async () => {
    expect(await failureOf([{ name: 'nonsense', input: 1, tag: 0 } as never])).toMatchObject({ kind: 'assert' });
  });

  it.each<['throw' | 'exit' | 'exit after the answer', RegExp]>([
    ['throw', /worker \d ended: a bug/],
    ['exit', /worker \d ended: worker ended with code 3/],
    ['exit after the answer', /worker \d ended: worker ended with code 4/],
  ])('of a worker that dies (%s) does not let us wait', async (how, message) => {
    const error = await failureOf([
      { name: 'crash', input: how, tag: 0 },
      { name: 'sleep', input: 300, tag: 1 },
      { name: 'sleep', input: 300, tag: 2 },
      ...Array.from({ length: 6 }, (_, tag): Job<Jobs, number> => ({ name: 'sleep', input: 50, tag: tag + 3 })),
    ]);
    expect(isKind(error, 'unhandled')).toBe(true);
    expect(String(error)).toMatch(message);
  });

  it('of a worker that dies between two rounds is not waited for either', async () => {
    const workers = open(1);
    await collect(workers.run(from([{ name: 'crash', input: 'exit after the answer', tag: 0 }])));
    await new Promise(resolve => setTimeout(resolve, 300));
    await expect(collect(workers.run(from(doubles(1))))).rejects.toThrow('worker 1 ended');
  });
});

describe('the end', () => {
  it('can be asked for by a signal', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 50);
    const running = collect(open(1).run(from([{ name: 'sleep', input: 60_000, tag: 0 }]), controller.signal));
    await expect(running).rejects.toBe(reason);
  });

  it('does not wait for jobs under way', async () => {
    const workers = open(2);
    const outcomes = workers.run(
      from([
        { name: 'double', input: 1, tag: 0 },
        { name: 'sleep', input: 60_000, tag: 1 },
      ]),
    );
    for await (const { tag } of outcomes) {
      expect(tag).toBe(0);
      break;
    }
    const started = performance.now();
    await workers.close();
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
