/** Which segments are fetched ahead, and what becomes of the others in the spool. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  halfwayOf,
  queueLength,
  queueOfParameters,
  queueParameters,
  tidyQueue,
} from '../../../src/command/archive/prefetch-queue.ts';
import { type WalName, walNamesFrom } from '../../../src/postgres/wal.ts';

const mebibyte = 1024 * 1024;
const size = 16 * mebibyte;
const first = '0000000200000001000000FE' as WalName;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pgbackstop-queue-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A file of a segment's size that takes no place. */
function put(name: string, bytes = size): void {
  writeFileSync(join(folder, name), '');
  truncateSync(join(folder, name), bytes);
}

test('the queue has room for two at least', () => {
  expect(queueLength(128 * mebibyte, size)).toBe(8);
  expect(queueLength(0, size)).toBe(2);
  // 4 PiB are allowed, and names are held in memory
  expect(queueLength(4 * 1024 ** 5, mebibyte)).toBe(99_999);
});

test('half of the queue is known by one name, across logs and up to the end of WAL', () => {
  expect(halfwayOf(first, 8, size)).toBe('000000020000000200000001');
  expect(halfwayOf(first, 2, size)).toBe(first);
  expect(halfwayOf('00000002FFFFFFFF000000FE' as WalName, 2 ** 32, size).slice(0, 16)).toBe('00000002FFFFFFFF');
});

test('a queue of any length fits a command line', () => {
  const parameters = queueParameters(first, 10_000);
  expect(parameters).toEqual([first, '10000']);
  expect(queueOfParameters(parameters, size)).toHaveLength(10_000);
  const names = [...walNamesFrom(first, 3, size)];
  expect(queueOfParameters(names, size)).toEqual(names);
  expect(queueOfParameters([first], size)).toEqual([first]);
  for (const bad of [
    [],
    ['x'],
    [first, '0'],
    [first, '-1'],
    [first, '1e9'],
    [first, '1000000000'],
    [first, 'x'],
    [`${first}0`],
  ]) {
    expect(queueOfParameters(bad, size), JSON.stringify(bad)).toBe(undefined);
  }
  // beyond the last segment of a log
  expect(queueOfParameters(['000000020000000100000100'], size)).toBe(undefined);
});

test('what is there is not wanted again, and what nobody asks for goes', () => {
  const names = [...walNamesFrom(first, 4, size)] as [WalName, WalName, WalName, WalName];
  put(names[1]);
  put(`${names[1]}.ok`, 10);
  put(names[2], size - 1);
  put(`${names[3]}.ok`, 0);
  put(`${names[3]}.pgbackrest.tmp`);
  put('0000000200000001000000FD');
  put('00000002000000020000000A');
  mkdirSync(join(folder, names[0], 'deep'), { recursive: true });
  put('global.error', 5);
  expect(tidyQueue(folder, names, size)).toEqual({ wanted: [names[0], names[2], names[3]], present: 1, others: [] });
  expect(readdirSync(folder).sort()).toEqual([names[1], `${names[1]}.ok`]);
});

test('other timelines stay from the segment asked for on, as far as the queue has room', () => {
  const names = [...walNamesFrom(first, 3, size)] as [WalName, WalName, WalName];
  put(names[0]);
  put('0000000100000001000000FD');
  put('0000000100000001000000FE');
  put('000000030000000200000000');
  put('000000010000000200000001');
  const state = tidyQueue(folder, names, size);
  // three in all: the ones that are needed last have gone
  expect(state).toEqual({
    wanted: [names[1], names[2]],
    present: 1,
    others: ['000000030000000200000000', '0000000100000001000000FE'],
  });
  expect(readdirSync(folder).sort()).toEqual(['0000000100000001000000FE', names[0], '000000030000000200000000']);
});
