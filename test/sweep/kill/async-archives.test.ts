/** SIGKILL at every step, durable or of the spool, of asynchronous archiving, in the foreground and in the background. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Outcome } from '../../command/archive/archive-bed.ts';
import { segmentName } from '../../integration/async-push-bed.ts';
import { Sweep } from '../../support/sweep/sweep.ts';
import { killAtEachStep, patience } from './victim.ts';
import { WalBed } from './wal-bed.ts';

const sweep = new Sweep('kill', 'async-archives');
let bed: WalBed;
beforeAll(async () => {
  bed = await WalBed.create();
});
afterAll(async () => {
  sweep.report();
  await bed.dispose();
});

const pushing = ['--process-max=2', '--compress-type=lz4'];
const getting = ['--archive-async', '--process-max=2', '--archive-get-queue-max=3MiB'];
const push = (tool = bed.ours) =>
  bed.run(tool, '--archive-async', ...pushing, 'archive-push', `pg_wal/${segmentName(4)}`);
const get = (number: number, tool = bed.ours) =>
  bed.run(tool, ...getting, 'archive-get', segmentName(number), bed.destination);
/** Waits for the background process, too. @returns how the foreground has ended */
async function andBackground(foreground: Promise<Outcome>): Promise<Outcome> {
  const outcome = await foreground;
  await bed.waits.backgroundEnds();
  return outcome;
}
const reset = async (): Promise<void> => {
  await bed.waits.backgroundEnds();
  bed.reset();
};

/** What the spool says is pushed is in every archive. */
async function expectTruth(): Promise<void> {
  for (const status of bed.waits.statuses()) {
    const [, name] = /^([0-9A-F]{24})\.ok$/.exec(status) ?? [];
    if (name !== undefined) await bed.expectArchived(name);
  }
  await bed.expectNoneShort();
}

/** PostgreSQL's archiver goes on until nothing waits. */
async function expectAllPushed(numbers: readonly number[]): Promise<void> {
  expect(await bed.waits.archive(pushing)).toBeUndefined();
  await bed.waits.backgroundEnds();
  for (const number of numbers) await bed.expectArchived(segmentName(number));
  bed.ageLeftovers();
  bed.ready(9);
  expect(await bed.waits.archive()).toBeUndefined();
  await bed.waits.backgroundEnds();
  expect(bed.leftovers()).toEqual([]);
}

it('archive-push: the background process alone', { timeout: patience }, async () => {
  bed.ready(4, 5, 6);
  bed.photograph();
  await killAtEachStep(sweep, {
    name: 'archive-push:async',
    injector: bed.injector,
    under: [bed.folder],
    short: 2,
    reset,
    run: tool =>
      bed.run(tool, '--archive-async', ...pushing, 'archive-push:async', join(bed.waits.bed.dataDirectory, 'pg_wal')),
    judge: async () => {
      await expectTruth();
      await expectAllPushed([4, 5, 6]);
    },
  });
});

it('archive-push: whoever waits has another background process started', { timeout: patience }, async () => {
  await killAtEachStep(sweep, {
    name: 'archive-push, its background',
    injector: bed.injector,
    under: [bed.folder],
    only: { process: 'background' },
    survives: true,
    short: 1,
    reset,
    run: tool => andBackground(push(tool)),
    judge: async ({ code, output }) => {
      expect(code, output).toBe(0);
      await bed.expectArchived(segmentName(4));
      await expectTruth();
      await expectAllPushed([4, 5, 6]);
    },
  });
});

it('archive-push: the foreground, whose background goes on', { timeout: patience }, async () => {
  await killAtEachStep(sweep, {
    name: 'archive-push, its foreground',
    injector: bed.injector,
    under: [bed.folder],
    only: { process: 'foreground' },
    short: 1,
    reset,
    run: push,
    judge: async () => {
      await bed.waits.backgroundEnds();
      await expectTruth();
      await expectAllPushed([4, 5, 6]);
    },
  });
});

/** Recovery asks for one after the other, and for what is not there. */
async function expectRecovery(): Promise<void> {
  for (const number of [4, 5, 6, 7]) {
    rmSync(bed.destination, { force: true });
    const { code, output } = await get(number);
    expect(code, `${segmentName(number)}\n${output}`).toBe(0);
    bed.expectContent(bed.destination, segmentName(number));
  }
  rmSync(bed.destination);
  expect(await get(8)).toMatchObject({ code: 1 });
  expect(existsSync(bed.destination)).toBe(false);
  await bed.waits.backgroundEnds();
  expect(bed.leftovers()).toEqual([]);
}

function expectWholePrefetch(): void {
  for (const name of bed.prefetched()) bed.expectContent(join(bed.folder, 'spool/archive/demo/in', name), name);
}

it('archive-get: the background process alone', { timeout: patience }, async () => {
  await reset();
  bed.ready(7);
  expect(await bed.waits.archive()).toBeUndefined();
  await bed.waits.backgroundEnds();
  rmSync(join(bed.folder, 'spool'), { recursive: true });
  bed.photograph();
  await killAtEachStep(sweep, {
    name: 'archive-get:async',
    injector: bed.injector,
    under: [bed.folder],
    short: 1,
    reset,
    run: tool => bed.run(tool, ...getting, 'archive-get:async', ...[4, 5, 6].map(segmentName)),
    judge: async () => {
      expectWholePrefetch();
      await expectRecovery();
    },
  });
});

it('archive-get: the background process, while recovery waits', { timeout: patience }, async () => {
  await killAtEachStep(sweep, {
    name: 'archive-get, its background',
    injector: bed.injector,
    under: [bed.folder],
    only: { process: 'background' },
    survives: true,
    short: 1,
    reset,
    run: tool => andBackground(get(4, tool)),
    judge: async ({ code, output }) => {
      // it gets the segment itself where nobody does it for it
      expect(code, output).toBe(0);
      bed.expectContent(bed.destination, segmentName(4));
      expectWholePrefetch();
      await expectRecovery();
    },
  });
});

it('archive-get: the foreground, whose background goes on', { timeout: patience }, async () => {
  await killAtEachStep(sweep, {
    name: 'archive-get, its foreground',
    injector: bed.injector,
    under: [bed.folder],
    only: { process: 'foreground' },
    short: 1,
    reset,
    run: tool => get(4, tool),
    judge: async () => {
      if (existsSync(bed.destination)) bed.expectContent(bed.destination, segmentName(4));
      expectWholePrefetch();
      await expectRecovery();
    },
  });
});
