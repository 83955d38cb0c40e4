/** What the service is told to do with what it stores, as it comes by on its way there, and what it makes of it. */
import { createHash, randomBytes } from 'node:crypto';
import { CreateMultipartUploadCommand, GetObjectTaggingCommand, PutObjectLegalHoldCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LockedError } from '../../../src/storage/kept-files.ts';
import { newCounterMemory, RequestCounters } from '../../../src/storage/s3/requests.ts';
import { openS3Storage } from '../../../src/storage/s3/s3-storage.ts';
import type { GivenS3Settings } from '../../../src/storage/s3/settings.ts';
import type { ByteSource, Storage, WriteOptions } from '../../../src/storage/storage.ts';
import { FaultProxy, type SeenRequest } from '../../support/s3/fault-proxy.ts';
import { errorBody } from '../../support/s3/faults.ts';
import { requireS3Server, type S3Lab, s3Lab } from '../../support/s3/lab.ts';
import type { RequestKind } from '../../support/s3/s3-request.ts';
import { bucketSettings } from '../../support/s3/settings.ts';

const mebibyte = 1024 * 1024;
const chunkSize = 5 * mebibyte;
const small = Buffer.from('small');
/** Two parts and a bit. */
const large = randomBytes(2 * chunkSize + 1000);

/** Requests that make an object. */
const creations: readonly RequestKind[] = ['PutObject', 'CreateMultipartUpload'];
/** Requests for content. */
const contents: readonly RequestKind[] = [...creations, 'UploadPart', 'HeadObject', 'GetObject'];
const rest: readonly RequestKind[] = ['ListObjectsV2', 'DeleteObject', 'DeleteObjects', 'CompleteMultipartUpload'];

describe.skipIf(!requireS3Server())('a bucket is told', () => {
  let lab: S3Lab;
  let proxy: FaultProxy;
  let bucket: string;

  beforeAll(async () => {
    lab = await s3Lab();
    bucket = await lab.newBucket();
    proxy = await FaultProxy.start(lab, { tls: false });
  });
  afterEach(() => {
    proxy.setRules([]);
    proxy.reset();
  });
  afterAll(() => proxy.close());

  const open = (settings: Partial<GivenS3Settings>): Promise<Storage> =>
    openS3Storage({
      label: 'repo1',
      base: '/repo',
      bucket: bucketSettings(lab, bucket, { endpoint: `http://127.0.0.1:${proxy.port}`, chunkSize, ...settings }),
      counters: new RequestCounters(newCounterMemory()),
    });

  async function write(storage: Storage, path: string, content: Buffer, options: WriteOptions = {}): Promise<void> {
    const sink = await storage.write(path, options);
    for (let at = 0; at < content.length; at += mebibyte) await sink.write(content.subarray(at, at + mebibyte));
    await sink.commit();
  }

  async function readAll(source: ByteSource): Promise<Buffer> {
    const parts: Buffer[] = [];
    const into = Buffer.alloc(mebibyte);
    for (let count = await source.read(into); count > 0; count = await source.read(into))
      parts.push(Buffer.from(into.subarray(0, count)));
    await source.close();
    return Buffer.concat(parts);
  }

  /** Writes, looks, reads, lists and removes in every way. */
  async function useAll(storage: Storage): Promise<void> {
    await write(storage, '/d/small', small);
    await write(storage, '/d/large', large);
    expect(await storage.info('/d/large')).toMatchObject({ size: large.length });
    expect((await storage.names('/d')).sort()).toEqual(['large', 'small']);
    expect(await readAll(await storage.read('/d/small'))).toEqual(small);
    const got = await readAll(await storage.read('/d/large'));
    expect(got.equals(large)).toBe(true);
    const [offset, length] = [chunkSize - 100, 5000];
    const range = await readAll(await storage.read('/d/large', { offset, length }));
    expect(range.equals(large.subarray(offset, offset + length))).toBe(true);
  }

  async function removeAll(storage: Storage): Promise<void> {
    await write(storage, '/d/one', small);
    await storage.remove('/d/one');
    await storage.removeTree('/d');
    expect([...(await lab.list(bucket)).keys()]).toEqual([]);
  }

  const of = (...kinds: readonly RequestKind[]): SeenRequest[] =>
    proxy.requests.filter(({ kind }) => kinds.includes(kind));

  /** Whether requests of these kinds, and all of them, had these headers. */
  function expectHeaders(kinds: readonly RequestKind[], headers: Readonly<Record<string, string>>): void {
    for (const kind of kinds) {
      const found = of(kind);
      expect(found.length, kind).toBeGreaterThan(0);
      for (const request of found) expect(request.headers, kind).toMatchObject(headers);
    }
  }

  function expectNoHeader(kinds: readonly RequestKind[], name: RegExp): void {
    for (const { kind, headers } of of(...kinds)) {
      expect(
        Object.keys(headers).filter(header => name.test(header)),
        kind,
      ).toEqual([]);
    }
  }

  it('to encrypt with a key of its own', async () => {
    const storage = await open({ kmsKeyId: 'labkey' });
    await useAll(storage);
    expectHeaders(creations, {
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'labkey',
    });
    expectNoHeader(['UploadPart', 'HeadObject', 'GetObject', ...rest], /server-side-encryption/);
    for (const name of ['small', 'large']) {
      expect(await lab.head(bucket, `repo/d/${name}`)).toMatchObject({
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId: 'labkey',
      });
    }
    await removeAll(storage);
  });

  it('to encrypt with a key that comes with each request for content', async () => {
    const key = randomBytes(32);
    const storage = await open({ sseCustomerKey: key.toString('base64') });
    await useAll(storage);
    expectHeaders(contents, {
      'x-amz-server-side-encryption-customer-algorithm': 'AES256',
      'x-amz-server-side-encryption-customer-key': key.toString('base64'),
      'x-amz-server-side-encryption-customer-key-md5': createHash('md5').update(key).digest('base64'),
    });
    expect(of('GetObject').filter(({ headers }) => headers.range !== undefined)).toHaveLength(1);
    expectNoHeader(['ListObjectsV2', 'DeleteObject', 'DeleteObjects'], /server-side-encryption/);
    // without it, or with another one, nobody reads
    await expect(lab.get(bucket, 'repo/d/small')).rejects.toThrow();
    const wrong = await open({ sseCustomerKey: randomBytes(32).toString('base64') });
    await expect(wrong.read('/d/small')).rejects.toMatchObject({ kind: 'protocol' });
    await expect(wrong.info('/d/small')).rejects.toMatchObject({ kind: 'protocol' });
    await removeAll(storage);
  });

  it('to tag objects', async () => {
    const tags = { owner: 'data base', 'a&b': 'c=d', über: '100 %' };
    const storage = await open({ tags });
    await useAll(storage);
    expectNoHeader(['UploadPart', 'HeadObject', 'GetObject', ...rest], /x-amz-tagging/);
    const { TagSet = [] } = await lab.client.send(new GetObjectTaggingCommand({ Bucket: bucket, Key: 'repo/d/small' }));
    expect(Object.fromEntries(TagSet.map(({ Key, Value }) => [Key, Value]))).toEqual(tags);
    // Ceph 16 forgets those of uploads in parts
    const [put, upload] = [of('PutObject')[0], of('CreateMultipartUpload')[0]].map(
      request => request?.headers['x-amz-tagging'],
    );
    expect(put).toContain('owner=data%20base');
    expect(upload).toBe(put);
    await removeAll(storage);
  });

  it('who pays, whose token it is, and for which service it was signed', async () => {
    const { credentials } = bucketSettings(lab, bucket);
    // this gateway looks neither at tokens nor at the scope's name of the service
    const storage = await open({ requesterPays: true, credentials: { ...credentials, token: 'made-up-token' } });
    await useAll(storage);
    const sink = await storage.write('/d/aborted');
    for (let at = 0; at < large.length; at += mebibyte) await sink.write(large.subarray(at, at + mebibyte));
    await sink.abort();
    await storage.dropUnfinished?.(['/'], 0);
    await removeAll(storage);
    const kinds = [...contents, ...rest, 'AbortMultipartUpload', 'ListMultipartUploads'] as const;
    expectHeaders(kinds, { 'x-amz-request-payer': 'requester', 'x-amz-security-token': 'made-up-token' });
    expect(proxy.requests.every(({ headers }) => headers.authorization?.includes('/us-east-1/s3/aws4_request'))).toBe(
      true,
    );
    expect(
      proxy.requests.every(({ headers }) => /SignedHeaders=[^,]*x-amz-request-payer/.test(headers.authorization ?? '')),
    ).toBe(true);

    proxy.reset();
    const other = await open({ service: 's3-outposts' });
    await other.names('/d').catch(() => undefined);
    expect(proxy.requests[0]?.headers.authorization).toContain('/us-east-1/s3-outposts/aws4_request');
    expectNoHeader(['ListObjectsV2'], /payer|token/);
  });

  it('in parts of the size that the user wants', async () => {
    const storage = await open({});
    for (const [size, parts] of [
      [chunkSize, []],
      [chunkSize + 1, [chunkSize, 1]],
      [2 * chunkSize + 7, [chunkSize, chunkSize, 7]],
    ] as const) {
      proxy.reset();
      await write(storage, '/d/file', large.subarray(0, size));
      expect(
        of('UploadPart')
          .map(({ requestBytes }) => requestBytes)
          .sort((a, b) => b - a),
      ).toEqual(parts);
      expect(of('PutObject')).toHaveLength(parts.length === 0 ? 1 : 0);
    }
    proxy.reset();
    const wide = await open({ chunkSize: 8 * mebibyte });
    await write(wide, '/d/file', large);
    expect(of('UploadPart')[0]?.requestBytes).toBe(8 * mebibyte);
    await removeAll(storage);
  });

  it('the MD5 of content once it wants that, as one that locks all that comes does', async () => {
    const body = errorBody(
      'InvalidRequest',
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
    );
    proxy.setRules([
      {
        kinds: ['PutObject', 'UploadPart'],
        when: ({ headers }) => headers['content-md5'] === undefined,
        fault: { type: 'answer', status: 400, body },
      },
    ]);
    const storage = await open({});
    await useAll(storage);
    await write(storage, '/d/again', small);
    expect(of('PutObject').map(({ status }) => status)).toEqual([400, 200, 200]);
    expectNoHeader(['PutObject', 'UploadPart'], /lock/);
    const [refused, ...others] = of('PutObject');
    expect(refused?.headers['content-md5']).toBeUndefined();
    for (const { headers } of others)
      expect(headers['content-md5']).toBe(createHash('md5').update(small).digest('base64'));
    await removeAll(storage);
  });

  it('what to lock, in what mode and until when', async () => {
    bucket = await lab.newBucket({ objectLock: true });
    const locking = await open({ lock: { mode: 'COMPLIANCE', days: 10 } });
    await write(locking, '/d/small', small, { permanent: true });
    await write(locking, '/d/large', large, { permanent: true });
    await write(locking, '/d/info', small);
    const end = Date.now() + 10 * 86_400_000;
    for (const { key, headers } of of(...creations)) {
      const until = headers['x-amz-object-lock-retain-until-date'];
      if (key.endsWith('info')) {
        expect(Object.keys(headers).filter(name => name.includes('lock'))).toEqual([]);
        continue;
      }
      expect(headers['x-amz-object-lock-mode']).toBe('COMPLIANCE');
      expect(Math.abs(Date.parse(until ?? '') - end)).toBeLessThan(60_000);
    }
    expectNoHeader(['UploadPart', 'CompleteMultipartUpload'], /lock/);
    for (const { headers } of of('PutObject', 'UploadPart')) expect(headers['content-md5']).toBeDefined();
    // Ceph 16 forgets locks of uploads in parts
    expect(of('CreateMultipartUpload')).toHaveLength(1);
    expect(await lab.head(bucket, 'repo/d/small')).toMatchObject({ ObjectLockMode: 'COMPLIANCE' });
    // what was locked is overwritten by a new version
    await write(locking, '/d/small', Buffer.from('newer'), { permanent: true });
    expect(await readAll(await locking.read('/d/small'))).toEqual(Buffer.from('newer'));
    // refused: because of the lock, as far as one can see, unless the service says more
    const refuse = (message: string) =>
      proxy.setRules([
        { kinds: ['DeleteObject'], fault: { type: 'answer', status: 403, body: errorBody('AccessDenied', message) } },
      ]);
    refuse('Access Denied');
    const lockedError = await locking.remove('/d/small').catch(error => error);
    expect(lockedError).toBeInstanceOf(LockedError);
    expect(lockedError).toMatchObject({ kind: 'file-remove', files: 1 });
    expect(Math.abs(lockedError.until * 1000 - end)).toBeLessThan(60_000);
    await expect(locking.remove('/d/info')).rejects.toMatchObject({ kind: 'protocol' });
    const LegalHold = { Status: 'ON' } as const;
    await lab.client.send(new PutObjectLegalHoldCommand({ Bucket: bucket, Key: 'repo/d/info', LegalHold }));
    await expect(locking.remove('/d/info')).rejects.toMatchObject({
      message: "unable to remove 'repo/d/info': locked by a legal hold",
    });
    refuse('User: arn:aws:iam::1:user/u is not authorized to perform: s3:DeleteObject on resource: x');
    await expect(locking.remove('/d/small')).rejects.toMatchObject({ kind: 'protocol' });
    proxy.setRules([]);
    await locking.remove('/d/small');
    await locking.remove('/d/never');
    expect(locking.kept?.()).toMatchObject({ files: 1, locked: 1 });
    await locking.removeTree('/d');
    expect(locking.kept?.()).toMatchObject({ files: 3, locked: 3 });
    expect(Math.abs((locking.kept?.().lockedUntil ?? 0) * 1000 - end)).toBeLessThan(60_000);
    expect(await lab.versions(bucket)).toHaveLength(4);
  });

  it('to drop uploads that nobody will complete, and no others', async () => {
    const storage = await open({});
    const sink = await storage.write('/backup/demo/aborted');
    for (let at = 0; at < large.length; at += mebibyte) await sink.write(large.subarray(at, at + mebibyte));
    await sink.abort();
    expect(await lab.unfinishedUploads(bucket)).toEqual([]);
    // as a killed process leaves them
    const ours = ['repo/archive/demo/a', 'repo/backup/demo/b', 'repo/backup/demo/c/d'];
    const others = ['repo/backup/demo2/e', 'repo2/backup/demo/f', 'g'];
    for (const Key of [...ours, ...others])
      await lab.client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }));
    const paths = ['/archive/demo', '/backup/demo'];
    const now = Date.now() / 1000;
    expect(await storage.dropUnfinished?.(paths, now - 60)).toBe(0);
    proxy.reset();
    expect(await storage.dropUnfinished?.(paths, now + 60)).toBe(3);
    expect(proxy.counts()).toEqual({ ListMultipartUploads: 1, AbortMultipartUpload: 3 });
    expect((await lab.unfinishedUploads(bucket)).sort()).toEqual([...others].sort());
  });
});
