/** The background process of archive-get, run in this one: when it ends, and what it leaves beside a segment. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Clock, systemClock } from '../../../src/base/clock.ts';
import { type Log, ProcessLog } from '../../../src/base/log.ts';
import { openArchiveSources } from '../../../src/command/archive/archived-file.ts';
import type { GetJobs, GetThreadData } from '../../../src/command/archive/get-job.ts';
import { type Located, PrefetchRun } from '../../../src/command/archive/prefetch-run.ts';
import {
  bootId,
  type PrefetchState,
  processStart,
  writePrefetchState,
} from '../../../src/command/archive/prefetch-state.ts';
import { beginOpening } from '../../../src/command/archive/push-target.ts';
import { RepoOrder } from '../../../src/command/archive/repo-order.ts';
import type { Session } from '../../../src/command/session.ts';
import { type SpoolPaths, spoolPaths } from '../../../src/command/spool.ts';
import { WorkerPool } from '../../../src/parallel/pool.ts';
import { type WalName, walNamesFrom } from '../../../src/postgres/wal.ts';
import { ArchiveBed, systemId } from './archive-bed.ts';

const mebibyte = 1024 * 1024;
const first = '000000010000000000000004' as WalName;
const names = (count: number): WalName[] => [...walNamesFrom(first, count, mebibyte)];
const silent = new ProcessLog({ console: 'off', stderr: 'off', file: 'off', timestamp: false }, systemClock);

let bed: ArchiveBed;
let paths: SpoolPaths;
afterEach(() => bed.dispose());

async function archive(repos: number, count: number): Promise<void> {
  bed = await ArchiveBed.create({ repos });
  paths = spoolPaths(join(bed.folder, 'spool'), 'demo');
  mkdirSync(paths.in, { recursive: true });
  for (const name of names(count)) {
    bed.segment(name);
    const pushed = await bed.push(`pg_wal/${name}`, ['--compress-type=lz4']);
    expect(pushed.code, pushed.output).toBe(0);
  }
}

/** Fetches the queue, one segment after the other. */
async function fetchQueue(count: number, clock: Clock = systemClock, log: Log = silent): Promise<void> {
  const repos = existsSync(bed.repoPath(2)) ? [1, 2] : [1];
  const settings = repos.map(key => ({ key, type: 'posix' as const, path: bed.repoPath(key) }));
  const data: GetThreadData = {
    command: 'archive-get',
    repos: settings,
    stanza: 'demo',
    bufferSize: mebibyte,
    walSegmentSize: mebibyte,
    retry: { count: 0, interval: 0 },
  };
  const state: PrefetchState = {
    boot: bootId(),
    pid: process.pid,
    start: processStart(process.pid),
    first,
    count,
    slow: new Map(),
  };
  writePrefetchState(paths, state);
  const pool = new WorkerPool<GetJobs, Located>({ threadFile: resolve('dist/thread.cjs'), size: 1, window: 1, data });
  const opening = beginOpening(settings, async ({ key }) => bed.repo(key));
  const queue = { wanted: names(count), present: 0, others: [] };
  const run = new PrefetchRun(
    { clock, log } as unknown as Session<'archive-get'>,
    { paths, state, segmentSize: mebibyte, queue, last: names(count).at(-1) ?? first, goesOn: false },
    pool,
    {
      order: new RepoOrder(undefined, clock),
      sources: openArchiveSources(opening, { version: '15', systemId }),
    },
  );
  try {
    await run.fetch();
  } finally {
    await pool.close();
  }
}

test('it gives the lock free after ten seconds, also while it has not fetched all of the queue', async () => {
  await archive(1, 3);
  // time passes once the first segment is there
  const monotonic = (): number => (existsSync(join(paths.in, first)) ? 10_000 : 0);
  await fetchQueue(3, { ...systemClock, monotonic });
  expect(readdirSync(paths.in)).toEqual([first]);
  // what is waited for comes, however slow the archive is
  rmSync(join(paths.in, first));
  let calls = 0;
  await fetchQueue(3, { ...systemClock, monotonic: () => calls++ * 60_000 });
  expect(readdirSync(paths.in)).toEqual([first]);
});

test('it leaves a warning beside a segment, and none where the segment was taken before', async () => {
  await archive(2, 1);
  const [stored = ''] = bed.archived(1);
  truncateSync(bed.archivedPath(stored, 1), 100);
  await fetchQueue(1);
  expect(readdirSync(paths.in).sort()).toEqual([first, `${first}.ok`]);
  expect(readFileSync(join(paths.in, `${first}.ok`), 'utf8')).toMatch(/^0\nrepo1: /);

  rmSync(join(paths.in, `${first}.ok`));
  // the first that this process says of a segment is that it is there: PostgreSQL is quicker
  class TakingLog extends ProcessLog {
    override worker(): Log {
      rmSync(join(paths.in, first));
      return silent;
    }
  }
  const taking = new TakingLog({ console: 'off', stderr: 'off', file: 'off', timestamp: false }, systemClock);
  await fetchQueue(1, systemClock, taking);
  expect(readdirSync(paths.in)).toEqual([]);
});
