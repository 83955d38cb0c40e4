import { expect, test } from 'vitest';
import { rows } from './rows.ts';
import { isBefore, targetRatio } from './target.ts';

const newest = 'pgBackRest 2.59.1';
const older = 'pgBackRest 2.45';

test('releases are told apart by number, not by text', () => {
  expect([older, newest, 'pgBackRest 2.59.0dev', 'pgBackRest 3.1'].map(text => isBefore(text, [2, 59]))).toEqual([
    true,
    false,
    false,
    false,
  ]);
  expect(isBefore('pgBackRest 2.9', [2, 46])).toBe(true);
});

// name of the row, its target beside the newest release, and beside one that waits in backups
const cases: [name: string, newest: number, older: number][] = [
  ['version', 1, 1],
  ['archive-push-lz4', 1, 1],
  ['archive-push-gz', 0.4, 0.4],
  ['latency/async-archive-push', 1, 1],
  ['size/backup-lz4-2', 1, 0.5],
  ['size/backup-gz-2', 0.4, 0.4],
  ['size/restore-gz-2', 0.4, 0.4],
  ['size/restore-zst-1', 1, 1],
  ['tables/backup-lz4-2', 0.6, 0.5],
  ['tables/restore-lz4-2', 0.6, 0.6],
  ['size/incr-unchanged-lz4-2', 1, 0.25],
  ['size/incr-1pct-block-lz4-2', 1, 0.5],
  ['size/restore-delta-unchanged-lz4-2', 1, 1],
  ['files/backup-bundle-lz4-2', 0.6, 0.5],
  ['files/restore-bundle-lz4-2', 0.6, 0.6],
  ['s3/size/backup-lz4-2/50ms', 1, 0.5],
  ['s3/files/restore-bundle-lz4-2/0ms', 0.6, 0.6],
];

test.each(cases)('%s is to reach %d, beside an older release %d', (name, wanted, wantedOlder) => {
  const row = rows.find(each => each.name === name);
  expect(row).toBeDefined();
  expect(targetRatio(row?.target, newest)).toBe(wanted);
  expect(targetRatio(row?.target, older)).toBe(wantedOlder);
  expect(targetRatio(row?.target, undefined)).toBe(wanted);
});
