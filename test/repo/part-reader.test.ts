/** Parts of files in few reads, whatever lies between them and whatever fails. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BackstopError } from '../../src/base/error.ts';
import { PartReader, type StoredPart } from '../../src/repo/part-reader.ts';
import { openPosixStorage } from '../../src/storage/posix/posix-storage.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { noise } from '../contract/storage.ts';
import { openObjectStorage, RequestLog } from '../support/object-storage.ts';

const kibibyte = 1024;
const content = noise(600 * kibibyte);
let base: string;
let log: RequestLog;
let storage: Storage;

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'pgbackstop-parts-'));
  log = new RequestLog();
  storage = openObjectStorage('repo1', base, log);
  for (const name of ['/a', '/b']) {
    const sink = await storage.write(name);
    await sink.write(content);
    await sink.commit();
  }
  log.reset();
});
afterEach(() => rmSync(base, { recursive: true }));

const part = (path: string, offset: number, length?: number): StoredPart => ({
  path,
  offset: offset * kibibyte,
  ...(length === undefined ? {} : { length: length * kibibyte }),
});

/** Reads what a part gives, up to `most` bytes. */
async function read(reader: PartReader, index: number, most = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const source = await reader.open(index);
  const buffer = Buffer.alloc(10_000);
  const read: Buffer[] = [];
  for (let left = most; left > 0; ) {
    const count = await source.read(buffer.subarray(0, Math.min(buffer.length, left)));
    if (count === 0) break;
    left -= count;
    read.push(Buffer.from(buffer.subarray(0, count)));
  }
  return Buffer.concat(read);
}

const expected = ({ offset, length }: StoredPart): Buffer =>
  content.subarray(offset, length === undefined ? undefined : offset + length);

const expectSame = (got: Buffer, want: Buffer): void =>
  expect([got.length, got.equals(want)]).toEqual([want.length, true]);

const gets = (): (readonly [string, number | undefined, number | undefined])[] =>
  log.requests.map(({ path, offset, length }) => [
    path,
    offset === undefined ? undefined : offset / kibibyte,
    length === undefined ? undefined : length / kibibyte,
  ]);

test('neighbours, and what lies near, come from one read; what is far, elsewhere or behind does not', async () => {
  const parts = [
    part('/a', 0, 10),
    part('/a', 10, 20),
    part('/a', 94, 6),
    part('/a', 165, 5),
    part('/b', 170, 30),
    part('/b', 100, 10),
    part('/b', 105, 10),
    part('/b', 0),
  ];
  for (const each of [storage, openPosixStorage({ label: 'repo1', base })]) {
    const reader = new PartReader(each, parts);
    for (const [index, one] of parts.entries()) expectSame(await read(reader, index), expected(one));
    await reader.close();
  }
  expect(gets()).toEqual([
    ['/a', 0, 100],
    ['/a', 165, 5],
    ['/b', 170, 30],
    ['/b', 100, 10],
    ['/b', 105, 10],
    ['/b', 0, undefined],
  ]);
});

test('parts that nobody opens or reads to their end are passed over, without a request when they are small', async () => {
  const parts = [part('/a', 0, 10), part('/a', 10, 20), part('/a', 30, 5), part('/a', 35, 200), part('/a', 235, 5)];
  const reader = new PartReader(storage, parts);
  expectSame(await read(reader, 0, 100), content.subarray(0, 100));
  expectSame(await read(reader, 2), expected(parts[2] as StoredPart));
  expectSame(await read(reader, 4), expected(parts[4] as StoredPart));
  await reader.close();
  expect(gets()).toEqual([
    ['/a', 0, 240],
    ['/a', 235, 5],
  ]);
});

test('on an object store the next reads are begun while one is worked on; elsewhere they are not', async () => {
  log.latency = 5;
  const parts = Array.from({ length: 40 }, (_, index) => part(index % 2 === 0 ? '/a' : '/b', index * 10, 1));
  const reader = new PartReader(storage, parts);
  for (const [index, one] of parts.entries()) expectSame(await read(reader, index), expected(one));
  await reader.close();
  expect(log.requests).toHaveLength(40);
  expect(log.peak).toBeGreaterThanOrEqual(16);
  expect(log.rounds).toBeLessThan(10);

  const opened: string[] = [];
  const disk = openPosixStorage({ label: 'repo1', base });
  const noting: Storage = Object.create(disk, {
    read: { value: (path: string, options: object) => opened.push(path) && disk.read(path, options) },
    paths: { value: disk.paths },
  }) as Storage;
  const plain = new PartReader(noting, parts);
  await plain.open(0);
  expect(opened).toEqual(['/a']);
  await plain.close();
});

test('what fails is told in its turn, and what follows is read all the same', async () => {
  const failing: Storage = Object.create(storage, {
    read: {
      value: async (path: string, options: { offset?: number; length?: number }) => {
        const source = await storage.read(path, options);
        let left = options.offset === 0 ? 15 * kibibyte : Number.POSITIVE_INFINITY;
        return {
          read: async (into: Uint8Array) => {
            if (left <= 0) throw new BackstopError('file-read', 'connection lost');
            const count = await source.read(into.subarray(0, Math.min(into.length, left)));
            left -= count;
            return count;
          },
          close: () => source.close(),
        };
      },
    },
  }) as Storage;
  const parts = [
    part('/a', 0, 10),
    part('/a', 10, 20),
    part('/none', 0, 5),
    part('/none', 5, 5),
    part('/a', 40, 10),
    part('/a', 51, 1),
  ];
  const reader = new PartReader(failing, parts);
  expectSame(await read(reader, 0), expected(parts[0] as StoredPart));
  await expect(read(reader, 1)).rejects.toMatchObject({ kind: 'file-read' });
  await expect(read(reader, 2)).rejects.toMatchObject({ kind: 'file-missing' });
  await expect(read(reader, 3)).rejects.toMatchObject({ kind: 'file-missing' });
  expectSame(await read(reader, 4), expected(parts[4] as StoredPart));
  expectSame(await read(reader, 5), expected(parts[5] as StoredPart));
  await reader.close();
  // what is missing is asked for once
  expect(log.requests.filter(({ path }) => path === '/none')).toHaveLength(1);
});

test('a read that breaks among its parts is begun again behind the one that failed', async () => {
  let first = true;
  const breaking: Storage = Object.create(storage, {
    read: {
      value: async (path: string, options: { offset?: number; length?: number }) => {
        const source = await storage.read(path, options);
        const breaks = first;
        first = false;
        let left = breaks ? 25 * kibibyte : Number.POSITIVE_INFINITY;
        return {
          read: async (into: Uint8Array) => {
            if (left <= 0) throw new BackstopError('file-read', 'connection lost');
            const count = await source.read(into.subarray(0, Math.min(into.length, left)));
            left -= count;
            return count;
          },
          close: () => source.close(),
        };
      },
    },
  }) as Storage;
  const parts = [part('/a', 0, 10), part('/a', 20, 10), part('/a', 30, 10), part('/a', 40, 10)];
  const reader = new PartReader(breaking, parts);
  expectSame(await read(reader, 0), expected(parts[0] as StoredPart));
  await expect(read(reader, 1)).rejects.toMatchObject({ kind: 'file-read' });
  expectSame(await read(reader, 2), expected(parts[2] as StoredPart));
  expectSame(await read(reader, 3), expected(parts[3] as StoredPart));
  await reader.close();
  expect(gets()).toEqual([
    ['/a', 0, 50],
    ['/a', 30, 20],
  ]);
});
