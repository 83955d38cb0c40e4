import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BackstopError } from '../../../src/base/error.ts';
import { silentLog } from '../../../src/base/log.ts';
import { OutQueue } from '../../../src/command/archive/out-queue.ts';
import { QueueWatch } from '../../../src/command/archive/queue-watch.ts';
import { readDroppedWal } from '../../../src/command/dropped-wal.ts';
import type { Session } from '../../../src/command/session.ts';
import { spoolPaths } from '../../../src/command/spool.ts';
import { load } from '../../../src/config/index.ts';

/** A second of the watch. */
const second = 1000;
const mebibyte = 1024 * 1024;
let folder: string;
let wal: string;
let queue: OutQueue;
let said: string[];
let watch: QueueWatch | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  folder = mkdtempSync(join(tmpdir(), 'pgbackstop-watch-'));
  wal = join(folder, 'pg_wal');
  mkdirSync(join(wal, 'archive_status'), { recursive: true });
  mkdirSync(spoolPaths(folder, 'demo').out, { recursive: true });
  queue = new OutQueue(spoolPaths(folder, 'demo').out, wal);
  said = [];
});
afterEach(() => {
  watch?.end();
  watch = undefined;
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

const segment = (number: number): string => `00000001${'0'.repeat(15)}${number}`;
const ready = (...numbers: number[]): void => {
  for (const number of numbers) {
    writeFileSync(join(wal, segment(number)), Buffer.alloc(mebibyte));
    writeFileSync(join(wal, `archive_status/${segment(number)}.ready`), '');
  }
};
const taken = (number: number): void => rmSync(join(wal, `archive_status/${segment(number)}.ready`));
const dropped = (): number[] =>
  readdirSync(spoolPaths(folder, 'demo').out)
    .filter(name => name.endsWith('.ok'))
    .map(name => Number(name.slice(23, 24)))
    .sort();

function session(): Session<'archive-push'> {
  const options = ['--stanza=demo', '--pg1-path=/data', `--spool-path=${folder}`, '--archive-async', '--no-config'];
  const loaded = load([...options, 'archive-push', 'x'], {}, 'pgbackrest');
  if (loaded.kind !== 'run') throw new Error('no settings');
  // what the watch reads of a session
  return {
    settings: loaded.settings,
    log: { ...silentLog, warn: (message: string) => void said.push(message) },
    clock: { now: () => Date.now(), monotonic: () => Date.now(), sleep: async () => undefined },
  } as unknown as Session<'archive-push'>;
}

function begin(limit = 3 * mebibyte): QueueWatch {
  watch = QueueWatch.begin(session(), queue, limit);
  queue.scan();
  return watch;
}

test('when ever more waits the oldest go that nobody reads', () => {
  ready(1, 2, 3);
  begin();
  queue.begin(segment(1));
  vi.advanceTimersByTime(second);
  expect(dropped()).toEqual([]);
  ready(4, 5);
  vi.advanceTimersByTime(second);
  expect(dropped()).toEqual([2]);
  expect(said[0]).toMatch(/^dropped WAL file '0+10+2' because archive queue exceeded 3MB\nit was not tried/);
  expect(readDroppedWal(spoolPaths(folder, 'demo').root)).toMatchObject([{ first: segment(2), count: 1 }]);
});

test('while it becomes less nothing goes', () => {
  ready(1, 2, 3, 4, 5, 6, 7);
  begin();
  for (let number = 1; number < 4; number++) {
    vi.advanceTimersByTime(second);
    queue.succeed(segment(number));
    taken(number);
    rmSync(join(spoolPaths(folder, 'demo').out, `${segment(number)}.ok`));
  }
  vi.advanceTimersByTime(5 * second);
  expect(said).toEqual([]);
});

test('one that cannot be pushed goes, with what is said of it, and those behind it are done', () => {
  ready(1, 2, 3, 4, 5);
  begin();
  for (const number of [2, 3, 4, 5]) queue.succeed(segment(number));
  vi.advanceTimersByTime(second);
  expect(dropped()).toEqual([2, 3, 4, 5]);
  queue.fail(segment(1), new BackstopError('archive-mismatch', 'of another cluster'));
  vi.advanceTimersByTime(second);
  expect(dropped()).toEqual([1, 2, 3, 4, 5]);
  expect(said).toEqual([`dropped WAL file '${segment(1)}' because archive queue exceeded 3MB\nof another cluster`]);
});

test('one that is under way for too long ends the push; only then may it go', () => {
  ready(1, 2, 3, 4, 5);
  const { signal } = begin();
  queue.begin(segment(1));
  vi.advanceTimersByTime(29 * second);
  expect(signal.aborted).toBe(false);
  vi.advanceTimersByTime(5 * second);
  expect(signal.aborted).toBe(true);
  expect(String(signal.reason)).toContain(`WAL file '${segment(1)}' could not be pushed in 31 seconds`);
  expect(dropped()).toEqual([]);
  watch?.enforce();
  expect(dropped()).toEqual([1, 2]);
});

test('without a limit nothing is looked after', () => {
  ready(1, 2, 3, 4, 5);
  watch = QueueWatch.begin(session(), queue, undefined);
  queue.scan();
  queue.fail(segment(1), new BackstopError('archive-mismatch', 'of another cluster'));
  vi.advanceTimersByTime(60 * second);
  watch.settle();
  watch.enforce();
  expect(said).toEqual([]);
});
