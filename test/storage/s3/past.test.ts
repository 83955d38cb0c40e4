/** A versioned bucket as it was at an earlier time. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import { newCounterMemory, RequestCounters } from '../../../src/storage/s3/requests.ts';
import { openS3Storage } from '../../../src/storage/s3/s3-storage.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { FaultProxy } from '../../support/s3/fault-proxy.ts';
import { type S3Lab, s3Lab } from '../../support/s3/lab.ts';
import { requireS3Server } from '../../support/s3/radosgw.ts';
import type { S3Request } from '../../support/s3/s3-request.ts';
import { bucketSettings } from '../../support/s3/settings.ts';

describe.skipIf(!requireS3Server())('a versioned bucket at an earlier time', () => {
  let lab: S3Lab;
  let bucket: string;
  let counters: RequestCounters;

  beforeAll(async () => {
    lab = await s3Lab();
    bucket = await lab.newBucket();
  });

  async function at(time: number, endpoint = lab.http): Promise<Storage> {
    counters = new RequestCounters(newCounterMemory());
    const settings = bucketSettings(lab, bucket, { targetTime: time, endpoint });
    return await openS3Storage({ label: 'repo1', base: '/repo', bucket: settings, counters });
  }

  const put = (key: string, text: string) =>
    lab.client.send(new PutObjectCommand({ Bucket: bucket, Key: `repo/${key}`, Body: text }));
  const remove = (key: string) => lab.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: `repo/${key}` }));
  const keepVersions = (Status: 'Enabled' | 'Suspended') =>
    lab.client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status } }));

  /** A moment that what was done lies before, and what is done next behind. No whole second: these count to their end. */
  async function moment(): Promise<number> {
    await sleep(5);
    const now = Date.now();
    await sleep(5);
    return now % 1000 === 0 ? now - 1 : now;
  }

  const text = async (storage: Storage, path: string): Promise<string> => {
    const source = await storage.read(path);
    const into = Buffer.alloc(100);
    const count = await source.read(into);
    await source.close();
    return into.toString('utf8', 0, count);
  };

  it('is read as of then: versions, removals, what was written before versions were kept', async () => {
    await put('a/file', 'first');
    await put('a/gone', 'gone');
    await put('space/old', 'old');
    const beforeVersions = await moment();
    await keepVersions('Enabled');
    await put('a/file', 'second');
    await put('a/sub/inner', 'inner');
    await put('a/back', 'back');
    const full = await moment();
    await remove('a/gone');
    await remove('a/back');
    await remove('a/sub/inner');
    const removed = await moment();
    await put('a/file', 'third');
    await put('a/back', 'back again');
    await put('a/later/inner', 'x');
    await keepVersions('Suspended');
    await put('space/old', 'suspended');
    const suspended = await moment();
    await keepVersions('Enabled');
    await put('space/old', 'newest');

    const names = async (storage: Storage) => (await storage.names('/a')).sort();
    let storage = await at(beforeVersions);
    expect(await names(storage)).toEqual(['file', 'gone']);
    // the key had no versions then, and has one without an id since
    expect(await text(storage, '/a/file')).toBe('first');
    // versions are suspended only after this one was overwritten: nothing has it any more
    await expect(storage.read('/space/old')).rejects.toMatchObject({ kind: 'file-missing' });

    storage = await at(full);
    expect(await names(storage)).toEqual(['back', 'file', 'gone', 'sub']);
    expect(await text(storage, '/a/file')).toBe('second');
    expect(await text(storage, '/a/gone')).toBe('gone');
    expect(await storage.names('/a/sub')).toEqual(['inner']);
    expect(await storage.info('/a/sub/inner')).toMatchObject({ type: 'file', size: 5 });

    storage = await at(removed);
    expect(await names(storage)).toEqual(['file']);
    await expect(storage.read('/a/back')).rejects.toMatchObject({
      kind: 'file-missing',
      message: "unable to open missing file '/a/back' for read",
    });
    // there are newer versions of both, and they are not taken instead
    await expect(storage.read('/a/later/inner')).rejects.toMatchObject({ kind: 'file-missing' });
    expect(await storage.info('/a/back')).toBeUndefined();
    expect(await storage.list('/nothing')).toEqual([]);

    storage = await at(suspended);
    expect(await names(storage)).toEqual(['back', 'file', 'later']);
    expect(await text(storage, '/a/back')).toBe('back again');
    expect(await text(storage, '/space/old')).toBe('suspended');
  });

  it('tells versions of a whole second apart by the order of the service', async () => {
    bucket = await lab.newBucket({ versioned: true });
    await put('twice', 'older');
    await put('twice', 'newer');
    await put('gone', 'x');
    await remove('gone');
    await remove('back');
    await put('back', 'back');
    await put('all', 'later than all others');
    // a service that knows whole seconds only
    const second = '2026-01-02T03:04:05.000Z';
    const proxy = await FaultProxy.start(lab, { tls: false });
    try {
      const body = await rawVersions();
      const whole = body.replaceAll(/<LastModified>[^<]*</g, `<LastModified>${second}<`);
      proxy.setRules([{ kinds: ['ListObjectVersions'], fault: { type: 'answer', status: 200, body: whole } }]);
      const endpoint = `http://127.0.0.1:${proxy.port}`;
      const storage = await at(Date.parse(second), endpoint);
      expect((await storage.names('/')).sort()).toEqual(['all', 'back', 'twice']);
      expect(await text(storage, '/twice')).toBe('newer');
      expect(await (await at(Date.parse(second) - 1, endpoint)).names('/')).toEqual([]);
      // a time with a whole second means all of it
      const precise = body.replaceAll(/<LastModified>[^<]*</g, '<LastModified>2026-01-02T03:04:05.999Z<');
      proxy.setRules([{ kinds: ['ListObjectVersions'], fault: { type: 'answer', status: 200, body: precise } }]);
      expect((await (await at(Date.parse(second), endpoint)).names('/')).sort()).toEqual(['all', 'back', 'twice']);
      expect(await (await at(Date.parse(second) + 500, endpoint)).names('/')).toEqual([]);
    } finally {
      await proxy.close();
    }
  });

  /** The list as the service sends it. */
  async function rawVersions(): Promise<string> {
    const proxy = await FaultProxy.start(lab, { tls: false });
    const chunks: Buffer[] = [];
    try {
      const client = lab.clientWith({ endpoint: `http://127.0.0.1:${proxy.port}` });
      client.middlewareStack.add(
        next => async args => {
          const result = await next(args);
          const response = result.response as { body: AsyncIterable<Buffer> | Buffer };
          if (response.body instanceof Uint8Array) return result;
          for await (const chunk of response.body) chunks.push(chunk);
          response.body = Buffer.concat(chunks);
          return result;
        },
        { step: 'deserialize', priority: 'low' },
      );
      await client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: 'repo/' }));
    } finally {
      await proxy.close();
    }
    return Buffer.concat(chunks).toString();
  }

  it('keeps apart the versions of a key that pages share, whatever their size', async () => {
    bucket = await lab.newBucket({ versioned: true });
    await put('a/many', 'right');
    await put('a/removed', 'x');
    await remove('a/removed');
    await put('b/many', 'too');
    const time = await moment();
    for (let n = 0; n < 5; n++) {
      await put('a/many', 'wrong');
      await put('a/removed', 'wrong');
    }
    await put('a/later', 'x');
    const whole = await rawVersions();
    const proxy = await FaultProxy.start(lab, { tls: false });
    try {
      for (const size of [1, 2, 3, 7]) {
        const body = (_: string, { query }: S3Request) => pageOf(whole, size, query);
        proxy.setRules([{ kinds: ['ListObjectVersions'], fault: { type: 'answer', status: 200, body } }]);
        const storage = await at(time, `http://127.0.0.1:${proxy.port}`);
        expect(await storage.names('/a')).toEqual(['many']);
        expect(await text(storage, '/a/many')).toBe('right');
        await expect(storage.read('/a/removed')).rejects.toMatchObject({ kind: 'file-missing' });
        await expect(storage.read('/a/later')).rejects.toMatchObject({ kind: 'file-missing' });
        expect(await text(storage, '/b/many')).toBe('too');
      }
    } finally {
      await proxy.close();
    }
  });

  /** What a service with so many elements in a page answers. */
  function pageOf(whole: string, size: number, query: URLSearchParams): string {
    const of = (element: string, name: string) => new RegExp(`<${name}>([^<]*)<`).exec(element)?.[1] ?? '';
    const prefix = query.get('prefix') ?? '';
    const [key, id] = [query.get('key-marker') ?? '', query.get('version-id-marker')];
    const all = [...whole.matchAll(/<(Version|DeleteMarker)>.*?<\/\1>/g)].map(([element]) => element);
    const last = all.findIndex(element => of(element, 'Key') === key && of(element, 'VersionId') === id);
    const rest = all
      .slice(last + 1)
      .filter(element => of(element, 'Key').startsWith(prefix) && (id !== null || of(element, 'Key') > key));
    const page = rest.slice(0, size);
    const end = page.at(-1) ?? '';
    const next =
      rest.length > size
        ? `<IsTruncated>true</IsTruncated><NextKeyMarker>${of(end, 'Key')}</NextKeyMarker><NextVersionIdMarker>${of(end, 'VersionId')}</NextVersionIdMarker>`
        : '<IsTruncated>false</IsTruncated>';
    return `<?xml version="1.0"?><ListVersionsResult>${next}${page.join('')}</ListVersionsResult>`;
  }

  it('asks once for the versions of many files', async () => {
    bucket = await lab.newBucket({ versioned: true });
    await Promise.all(Array.from({ length: 30 }, (_, n) => put(`a/x/${n}`, `text ${n}`)));
    const storage = await at(await moment());
    for (let n = 0; n < 30; n++) expect(await text(storage, `/a/x/${n}`)).toBe(`text ${n}`);
    const { requests } = counters.summary();
    expect(requests.get).toBe(30);
    expect(requests.list).toBeLessThanOrEqual(2);
  });

  it('is not written to', async () => {
    const storage = await at(Date.now());
    await expect(storage.write('/a')).rejects.toMatchObject({ kind: 'assert' });
    await expect(storage.remove('/a')).rejects.toMatchObject({ kind: 'assert' });
    await expect(storage.removeTree('/a')).rejects.toMatchObject({ kind: 'assert' });
    expect(counters.summary().total).toBe(0);
  });
});
