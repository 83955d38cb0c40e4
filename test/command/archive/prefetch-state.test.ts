/** Who is at work for archive-get, and who is not. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  bootId,
  isAtWork,
  isOnList,
  type PrefetchState,
  processStart,
  readPrefetchState,
  writePrefetchState,
} from '../../../src/command/archive/prefetch-state.ts';
import { isHeldByPush } from '../../../src/command/archive/push-holder.ts';
import { spoolPaths } from '../../../src/command/spool.ts';
import type { WalName } from '../../../src/postgres/wal.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pgbackstop-state-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const mine: PrefetchState = {
  boot: bootId(),
  pid: process.pid,
  start: processStart(process.pid),
  first: '000000010000000000000004' as WalName,
  count: 8,
  slow: new Map([[2, 1000]]),
};

test.each([
  ['"pid":1e999', /"pid":\d+/],
  ['"pid":77.5', /"pid":\d+/],
  ['"count":1e999', /"count":\d+/],
  ['"count":-1', /"count":\d+/],
])('a state with %s is none', (text, from) => {
  const paths = { ...spoolPaths(folder, 'demo'), root: folder };
  writePrefetchState(paths, mine);
  const good = readFileSync(join(folder, 'prefetch'), 'utf8');
  writeFileSync(join(folder, 'prefetch'), good.replace(from, text));
  expect(readPrefetchState(paths)).toBeUndefined();
});

test('what a state says of slow repositories can be written again, whatever it was', () => {
  const paths = { ...spoolPaths(folder, 'demo'), root: folder };
  writePrefetchState(paths, mine);
  const good = readFileSync(join(folder, 'prefetch'), 'utf8');
  writeFileSync(join(folder, 'prefetch'), good.replace('{"2":1000}', '{"1":1.5,"2":1000,"x":1,"3":1e999}'));
  const state = readPrefetchState(paths);
  expect(state?.slow).toEqual(new Map([[2, 1000]]));
  writePrefetchState(paths, state ?? mine);
});

test('a state whose first segment no cluster with such segments can have has nothing on its list', () => {
  const mb = 1024 * 1024;
  const [first, beyond, small] = [
    '000000010000000000000010',
    '000000010000000008000004',
    '000000010000000000000FFF',
  ] as unknown as [WalName, WalName, WalName];
  expect(isOnList({ ...mine, first, count: 8 }, first, 16 * mb)).toBe(true);
  expect(isOnList({ ...mine, first: beyond, count: 8 }, first, 16 * mb)).toBe(false);
  // written by a cluster with segments of 1 MB
  expect(isOnList({ ...mine, first: small, count: 8 }, first, 16 * mb)).toBe(false);
});

test('the process that wrote the state is at work, and not another one that has its number now', () => {
  const paths = { ...spoolPaths(folder, 'demo'), root: folder };
  writePrefetchState(paths, mine);
  expect(readPrefetchState(paths)).toEqual(mine);
  expect(isAtWork(readPrefetchState(paths))).toBe(true);
  expect(isAtWork({ ...mine, start: String(Number(mine.start) - 1) })).toBe(false);
  expect(isAtWork({ ...mine, start: '' })).toBe(false);
  expect(isAtWork({ ...mine, boot: 'another' })).toBe(false);
  expect(processStart(0x7fffffff)).toBe('');
});

test('a process with the archive lock pushes or does not', () => {
  const settings = { values: { 'lock-path': folder, stanza: 'demo' }, repos: [{ key: 1 }] };
  const lock = (content: string): void => writeFileSync(join(folder, 'demo-archive-1.lock'), content);
  expect(isHeldByPush(settings)).toBe(false);
  for (const [role, expected] of [
    ['archive-push:async', true],
    ['archive-push', true],
    ['archive-get:async', false],
  ] as const) {
    const holder = spawn('sh', ['-c', 'read x', '--stanza=demo', role], { stdio: ['pipe', 'ignore', 'ignore'] });
    lock(`{"execId":"1-a","pid":${holder.pid}}`);
    expect(isHeldByPush(settings)).toBe(expected);
    holder.stdin.end();
  }
  for (const content of ['', 'garbled', '{"execId":"1-a","pid":2147483647}']) {
    lock(content);
    expect(isHeldByPush(settings)).toBe(false);
  }
});
