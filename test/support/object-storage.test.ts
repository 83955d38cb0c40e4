/** The instrument itself: what is measured with it is worth what it is. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { put, testStorage } from '../contract/storage.ts';
import { openObjectStorage, RequestLog } from './object-storage.ts';

function open(): { base: string; log: RequestLog; storage: ReturnType<typeof openObjectStorage> } {
  const base = mkdtempSync(join(tmpdir(), 'pgbackstop-objects-'));
  const log = new RequestLog();
  return { base, log, storage: openObjectStorage('repo1', base, log) };
}

testStorage('objects over files', async () => {
  const { base, storage } = open();
  return { storage, dispose: async () => rmSync(base, { recursive: true }) };
});

test('has no directories', async () => {
  const { base, storage } = open();
  expect([storage.paths, storage.links]).toEqual([undefined, undefined]);
  await put(storage, '/a/b/c', 'x');
  expect(await storage.info('/a/b')).toBeUndefined();
  expect(await storage.names('/a')).toEqual(['b']);
  await storage.remove('/a/b/c');
  expect(await storage.names('/a')).toEqual([]);
  mkdirSync(join(base, 'made'));
  expect(await storage.names('/')).toEqual([]);
  rmSync(base, { recursive: true });
});

test('counts what a service would bill', async () => {
  const { base, log, storage } = open();
  await put(storage, '/d/small', 'x');
  await put(storage, '/d/large', 'x'.repeat(8 * 1024 * 1024 + 1));
  await storage.names('/d', { prefix: 'sm' });
  await storage.info('/d/none');
  await (await storage.read('/d/small', { offset: 0, length: 1 })).close();
  await storage.removeTree('/d');
  expect(log.counts).toEqual({ put: 5, list: 2, info: 1, get: 1, remove: 1 });
  expect(log.lines.slice(-4)).toEqual(['info /d/none', 'get /d/small', 'list /d', 'remove /d']);
  rmSync(base, { recursive: true });
});

test('tells how often an answer was waited for', async () => {
  const { base, log, storage } = open();
  log.latency = 4;
  await Promise.all([storage.info('/a'), storage.info('/b'), storage.names('/c')]);
  await storage.info('/d');
  expect([log.rounds, log.peak]).toEqual([2, 3]);
  rmSync(base, { recursive: true });
});
