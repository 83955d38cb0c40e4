/** The driver and a real service, with faults between them. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { newCounterMemory, RequestCounters } from '../../../src/storage/s3/requests.ts';
import { openS3Storage } from '../../../src/storage/s3/s3-storage.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { FaultProxy } from '../../support/s3/fault-proxy.ts';
import {
  deletionsRefused,
  errorBody,
  errorInside200,
  type FaultRule,
  internalError,
  mixedFaults,
  noBatchDelete,
  slowDown,
} from '../../support/s3/faults.ts';
import { type S3Lab, s3Lab } from '../../support/s3/lab.ts';
import { isFullS3Run, requireS3Server } from '../../support/s3/radosgw.ts';
import { bucketSettings } from '../../support/s3/settings.ts';

const mebibyte = 1 << 20;
const denied = { type: 'answer', status: 403, body: errorBody('AccessDenied', 'no') } as const;

describe.skipIf(!requireS3Server())('through faults', () => {
  let lab: S3Lab;
  let bucket: string;
  const open: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    lab = await s3Lab();
    bucket = await lab.newBucket();
  });

  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  async function start(rules: readonly FaultRule[], seed = 1) {
    const proxy = await FaultProxy.start(lab, { tls: false, rules, seed });
    open.push(() => proxy.close());
    const http = `http://127.0.0.1:${proxy.port}`;
    const base = `/${randomBytes(4).toString('hex')}`;
    const storage = await openS3Storage({
      label: 'repo1',
      base,
      bucket: bucketSettings(lab, bucket, { endpoint: http, ioTimeout: 20_000 }),
      counters: new RequestCounters(newCounterMemory()),
    });
    open.push(() => storage.close());
    return { proxy, storage, folder: base.slice(1) };
  }

  async function write(storage: Storage, path: string, content: Buffer): Promise<void> {
    const sink = await storage.write(path, { sizeHint: content.length });
    try {
      for (let at = 0; at < content.length; at += mebibyte) await sink.write(content.subarray(at, at + mebibyte));
      await sink.commit();
    } catch (error) {
      await sink.abort();
      throw error;
    }
  }

  async function read(storage: Storage, path: string): Promise<Buffer> {
    const source = await storage.read(path);
    const parts: Buffer[] = [];
    const buffer = Buffer.alloc(256 * 1024);
    try {
      for (;;) {
        const count = await source.read(buffer);
        if (count === 0) return Buffer.concat(parts);
        parts.push(Buffer.from(buffer.subarray(0, count)));
      }
    } finally {
      await source.close();
    }
  }

  const large = randomBytes(20 * mebibyte);

  test.each<[string, FaultRule]>([
    [
      'of the last request',
      { kinds: ['CompleteMultipartUpload'], fault: { type: 'break', how: 'reset', at: 'answer' } },
    ],
    ['of the last request, as an error', { kinds: ['CompleteMultipartUpload'], fault: internalError(true) }],
    [
      'of the first request',
      { kinds: ['CreateMultipartUpload'], fault: { type: 'break', how: 'close', at: 'answer' } },
    ],
    ['of a part', { kinds: ['UploadPart'], fault: { type: 'break', how: 'reset', at: 'answer' } }],
  ])('a file in parts is whole though the answer is lost %s', async (_, rule) => {
    const { storage, proxy } = await start([{ ...rule, times: 1 }]);
    await write(storage, '/large', large);
    expect(proxy.faults()).toBe(1);
    expect((await read(storage, '/large')).equals(large)).toBe(true);
    expect(proxy.count()).toBeLessThan(12);
  });

  test('an error inside of an answer with status 200 is one', async () => {
    const { storage, proxy, folder } = await start([
      { kinds: ['CompleteMultipartUpload'], fault: errorInside200(), times: 1 },
    ]);
    await write(storage, '/large', large);
    expect((await read(storage, '/large')).equals(large)).toBe(true);
    proxy.setRules([{ kinds: ['CompleteMultipartUpload'], fault: errorInside200('AccessDenied') }]);
    proxy.reset();
    await expect(write(storage, '/refused', large)).rejects.toMatchObject({ kind: 'protocol' });
    expect(proxy.count('CompleteMultipartUpload')).toBe(1);
    expect([...(await lab.list(bucket, folder)).keys()]).toEqual([`${folder}/large`]);
  });

  test('of a file that cannot be written no part is left', async () => {
    const { storage, folder } = await start([{ kinds: ['UploadPart'], fault: denied, skip: 1 }]);
    await expect(write(storage, '/large', large)).rejects.toMatchObject({ kind: 'protocol' });
    expect((await lab.unfinishedUploads(bucket)).filter(key => key.startsWith(folder))).toEqual([]);
    expect((await lab.list(bucket, folder)).size).toBe(0);
  });

  test('a file is not there before its last byte is', async () => {
    const { storage, folder } = await start([]);
    for (const size of [1000, 20 * mebibyte]) {
      const sink = await storage.write('/file', { sizeHint: size });
      await sink.write(large.subarray(0, size));
      expect((await lab.list(bucket, folder)).size).toBe(0);
      await sink.abort();
    }
    expect((await lab.list(bucket, folder)).size).toBe(0);
    expect((await lab.unfinishedUploads(bucket)).filter(key => key.startsWith(folder))).toEqual([]);
  });

  describe('of many files', () => {
    async function fill(folder: string): Promise<string[]> {
      const keys = Array.from({ length: 30 }, (_, i) => `${folder}/backup/${i}`);
      await Promise.all(keys.map(key => lab.put(bucket, key, 'x')));
      return keys;
    }

    test('what was removed is gone, where many cannot be removed at once', async () => {
      const { storage, proxy, folder } = await start([noBatchDelete]);
      await fill(folder);
      await storage.removeTree('/backup');
      expect((await lab.list(bucket, folder)).size).toBe(0);
      await fill(folder);
      await storage.removeTree('/backup');
      // it has learnt
      expect(proxy.count('DeleteObjects')).toBe(1);
    });

    test('what is refused is told, and stays', async () => {
      const { storage, folder } = await start([
        { kinds: ['DeleteObjects'], fault: deletionsRefused('AccessDenied') },
        { kinds: ['DeleteObject'], fault: denied },
      ]);
      await fill(folder);
      await expect(storage.removeTree('/backup')).rejects.toMatchObject({
        kind: 'protocol',
        message: expect.stringContaining('403'),
        hints: [expect.stringContaining('may the credentials delete in bucket')],
      });
      expect((await lab.list(bucket, folder)).size).toBe(30);
    });

    test('what could not be done at once is done', async () => {
      const { storage, proxy, folder } = await start([
        { kinds: ['DeleteObjects'], fault: deletionsRefused('InternalError'), times: 1 },
        { kinds: ['DeleteObjects'], fault: slowDown(1), times: 1 },
      ]);
      await fill(folder);
      await storage.removeTree('/backup');
      expect((await lab.list(bucket, folder)).size).toBe(0);
      expect(proxy.count('DeleteObjects')).toBe(3);
    });
  });

  // four fifths of the requests meet one or another where each hits a tenth
  test.each([0.01, isFullS3Run() ? 0.1 : 0.05])(
    'every byte is right where each fault hits %f of the requests',
    async probability => {
      const { storage, proxy, folder } = await start(mixedFaults(probability), 7);
      const files = new Map<string, Buffer>(
        Array.from({ length: 40 }, (_, i) => {
          const size = [0, 1, 5000, 300_000, 3 * mebibyte][i % 5] ?? 0;
          return [`/data/${i}`, large.subarray(i, i + size)];
        }),
      ).set('/data/large', large);
      const begun = Date.now();
      await Promise.all(Array.from(files, ([path, content]) => write(storage, path, content)));
      await Promise.all(
        Array.from(files, async ([path, content]) => {
          expect((await read(storage, path)).equals(content), path).toBe(true);
        }),
      );
      const names = (await storage.list('/data')).map(({ name, size }) => [`/data/${name}`, size] as const);
      expect(new Map(names)).toEqual(new Map(Array.from(files, ([path, { length }]) => [path, length])));
      await storage.removeTree('/data');
      expect((await lab.list(bucket, folder)).size).toBe(0);
      // writes and reads, five more for the large file, list and removal
      const needed = 2 * files.size + 5 + 3;
      expect(proxy.faults()).toBeGreaterThan(0);
      expect(proxy.count()).toBeLessThan(probability < 0.05 ? needed * 1.6 : needed * 8);
      expect(Date.now() - begun).toBeLessThan(probability < 0.1 ? 20_000 : 60_000);
    },
    90_000,
  );
});
