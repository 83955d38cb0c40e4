import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { connect as tcpConnect } from 'node:net';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { findRealPgbackrest } from '../real-pgbackrest.ts';
import { runAs, unprivilegedUser } from '../unprivileged.ts';
import { FaultProxy, type FaultProxyOptions } from './fault-proxy.ts';
import {
  badGateway,
  bucketElsewhere,
  deletionsRefused,
  errorInside200,
  expiredToken,
  type Fault,
  internalError,
  mixedFaults,
  noBatchDelete,
  noChecksums,
  requestTimeout,
  skewedClock,
  slowDown,
  tooManyRequests,
  wrongSigningRegion,
} from './faults.ts';
import { requireS3Server, type S3Lab, s3Lab } from './lab.ts';
import { LatencyProxy } from './latency-proxy.ts';
import { repoOptions } from './repo-options.ts';

describe.skipIf(!requireS3Server())('the proxy', () => {
  let lab: S3Lab;
  let bucket: string;
  const opened: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    lab = await s3Lab();
    bucket = await lab.newBucket();
    await lab.put(bucket, 'large', randomBytes(1_000_000));
  });
  afterEach(async () => {
    for (const proxy of opened.splice(0).reverse()) await proxy.close();
  });

  async function through(options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const proxy = await FaultProxy.start(lab, options);
    opened.push(proxy);
    return proxy;
  }

  /** The SDK, which tries nothing twice. */
  function clientOf(port: number, config: S3ClientConfig = {}): S3Client {
    return new S3Client({
      endpoint: `https://127.0.0.1:${port}`,
      region: lab.region,
      forcePathStyle: true,
      credentials: { accessKeyId: lab.key, secretAccessKey: lab.secret },
      requestChecksumCalculation: 'WHEN_REQUIRED',
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler({
        requestTimeout: 500,
        throwOnRequestTimeout: true,
        httpsAgent: new Agent({ ca: readFileSync(lab.caFile), keepAlive: true }),
      }),
      ...config,
    });
  }

  async function getLarge(client: S3Client): Promise<number> {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: 'large' }));
    return (await Body?.transformToByteArray())?.length ?? 0;
  }

  /** Code and status of the error that ends the promise. */
  async function refusal(promise: Promise<unknown>): Promise<[name: unknown, status: unknown]> {
    const error = await promise.then(
      value => expect.fail(`it went well: ${JSON.stringify(value)}`),
      (error: { name: string; $metadata?: { httpStatusCode?: number } }) => error,
    );
    return [error.name, error.$metadata?.httpStatusCode];
  }

  test('passes what no rule is for, over TLS, and counts it', async () => {
    const proxy = await through();
    const client = clientOf(proxy.port);
    const Bucket = bucket;
    const bytes = randomBytes(3_000_000);
    const long = 'dir/a b+c&d=ü%41';
    await client.send(new PutObjectCommand({ Bucket, Key: long, Body: bytes }));
    expect((await lab.get(bucket, long)).equals(bytes)).toBe(true);
    expect(await getLarge(client)).toBe(1_000_000);
    await client.send(new HeadObjectCommand({ Bucket, Key: 'large' }));
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'parts' }));
    const part = { Bucket, Key: 'parts', UploadId, PartNumber: 1 };
    const { ETag } = await client.send(new UploadPartCommand({ ...part, Body: 'content' }));
    const Parts = [{ ETag, PartNumber: 1 }];
    await client.send(new CompleteMultipartUploadCommand({ ...part, MultipartUpload: { Parts } }));
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: long }] } }));
    expect(proxy.counts()).toEqual({
      PutObject: 1,
      GetObject: 1,
      HeadObject: 1,
      CreateMultipartUpload: 1,
      UploadPart: 1,
      CompleteMultipartUpload: 1,
      DeleteObjects: 1,
    });
    expect(proxy.requests[0]).toMatchObject({ bucket, key: long, method: 'PUT', requestBytes: 3_000_000, status: 200 });
    expect(proxy.requests[1]).toMatchObject({ key: 'large', answerBytes: 1_000_000 });
    expect(proxy.bytes().sent).toBeGreaterThan(3_000_000);
    expect([...(await lab.list(bucket)).keys()]).toEqual(['large', 'parts']);
  });

  test('speaks plain http too, and lets Host pass as it is', async () => {
    const proxy = await through({ tls: false });
    const url = `http://127.0.0.1:${proxy.port}`;
    const client = clientOf(0, { endpoint: url, forcePathStyle: true });
    expect(await getLarge(client)).toBe(1_000_000);
    // the signature is over this name
    expect(proxy.requests[0]?.headers.host).toBe(`127.0.0.1:${proxy.port}`);
  });

  test('finds the bucket in the host name', async () => {
    const proxy = await through({ tls: false });
    const socket = tcpConnect(proxy.port, '127.0.0.1');
    socket.write(`GET /?list-type=2&prefix=a HTTP/1.1\r\nHost: ${bucket}.${lab.dnsName}\r\nConnection: close\r\n\r\n`);
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    expect(answer).toContain('AccessDenied');
    expect(proxy.requests[0]).toMatchObject({ kind: 'ListObjectsV2', bucket, key: '', status: 403 });
  });

  test.each<[string, Fault, string, number]>([
    ['slow down', slowDown(), 'SlowDown', 503],
    ['internal error', internalError(), 'InternalError', 500],
    ['too many requests', tooManyRequests(), 'TooManyRequests', 429],
    ['request timeout', requestTimeout(), 'RequestTimeout', 408],
    ['skewed clock', skewedClock(3600), 'RequestTimeTooSkewed', 403],
    ['bucket elsewhere', bucketElsewhere('eu-central-1'), 'PermanentRedirect', 301],
    ['signing region', wrongSigningRegion('us-east-1', 'eu-central-1'), 'AuthorizationHeaderMalformed', 400],
    ['expired token', expiredToken(), 'ExpiredToken', 400],
  ])('answers in the place of the server: %s', async (_, fault, code, status) => {
    const proxy = await through({ rules: [{ fault, times: 1 }] });
    expect(await refusal(getLarge(clientOf(proxy.port)))).toEqual([code, status]);
    // another client: the SDK's takes the server's clock over
    expect(await getLarge(clientOf(proxy.port))).toBe(1_000_000);
    expect(proxy.faults()).toBe(1);
  });

  test('answers as a gateway that speaks no S3', async () => {
    const proxy = await through({ rules: [{ fault: badGateway(502) }] });
    expect((await refusal(getLarge(clientOf(proxy.port))))[1]).toBe(502);
  });

  test('tells how long to wait where it is asked to', async () => {
    const proxy = await through({ rules: [{ fault: slowDown(7), times: 1 }, { fault: slowDown() }], tls: false });
    const get = async (): Promise<string | null> =>
      (await fetch(`http://127.0.0.1:${proxy.port}/${bucket}/large`)).headers.get('retry-after');
    expect([await get(), await get()]).toEqual(['7', null]);
  });

  test.each([
    ['start', 'reset', 'ECONNRESET', 0],
    ['answer', 'reset', 'ECONNRESET', 1],
    ['upload', 'reset', 'ECONNRESET', 0],
    ['start', 'close', 'ECONNRESET', 0],
    ['upload', 'close', 'ECONNRESET', 0],
    ['answer', 'hang', undefined, 1],
    ['upload', 'hang', undefined, 0],
  ] as const)('breaks an upload at its %s by %s', async (at, how, code, stored) => {
    const proxy = await through({ rules: [{ fault: { type: 'break', how, at }, times: 1 }] });
    const client = clientOf(proxy.port);
    const target = await lab.newBucket();
    const put = (): Promise<unknown> =>
      client.send(new PutObjectCommand({ Bucket: target, Key: 'a', Body: Buffer.alloc(2_000_000) }));
    const error = await put().catch((error: unknown) => error);
    expect(error).toMatchObject(
      code === undefined ? { name: 'TimeoutError' } : { code: expect.stringMatching(`${code}|EPIPE`) },
    );
    expect((await lab.list(target)).size).toBe(stored);
    await put();
    expect((await lab.list(target)).get('a')).toBe(2_000_000);
  });

  test.each(['reset', 'close', 'hang'] as const)('breaks a download in its middle by %s', async how => {
    const proxy = await through({ rules: [{ fault: { type: 'break', how, at: 'download' }, times: 1 }] });
    const client = clientOf(proxy.port, {
      requestHandler: new NodeHttpHandler({
        socketTimeout: 500,
        httpsAgent: new Agent({ ca: readFileSync(lab.caFile), keepAlive: true }),
      }),
    });
    await expect(getLarge(client)).rejects.toThrow();
    expect(proxy.requests[0]?.answerBytes).toBe(500_000);
    expect(await getLarge(client)).toBe(1_000_000);
  });

  test('delays', async () => {
    const proxy = await through({ rules: [{ fault: { type: 'delay', milliseconds: 200 } }] });
    const begin = performance.now();
    await getLarge(clientOf(proxy.port));
    expect(performance.now() - begin).toBeGreaterThan(195);
  });

  test('says 200 with an error inside, and fails to say that it has done something', async () => {
    const proxy = await through({
      rules: [
        { kinds: ['CompleteMultipartUpload'], fault: errorInside200(), times: 1 },
        { kinds: ['PutObject'], fault: internalError(true) },
      ],
    });
    const client = clientOf(proxy.port);
    const target = { Bucket: bucket, Key: 'inside' };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(target));
    const complete = new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: [] } });
    // what the SDK makes of a 200
    expect(await refusal(client.send(complete))).toEqual(['InternalError', 503]);
    expect(proxy.requests.at(-1)?.status).toBe(200);
    const put = new PutObjectCommand({ Bucket: bucket, Key: 'done', Body: 'x' });
    expect(await refusal(client.send(put))).toEqual(['InternalError', 500]);
    expect(String(await lab.get(bucket, 'done'))).toBe('x');
  });

  test('refuses deletions: one by one inside a good answer, and batches as a whole', async () => {
    const target = await lab.newBucket();
    for (const key of ['a', 'b']) await lab.put(target, key, key);
    const proxy = await through({
      rules: [{ kinds: ['DeleteObjects'], fault: deletionsRefused('AccessDenied', /b/), times: 1 }, noBatchDelete],
    });
    const client = clientOf(proxy.port);
    const both = new DeleteObjectsCommand({ Bucket: target, Delete: { Objects: [{ Key: 'a' }, { Key: 'b' }] } });
    expect((await client.send(both)).Errors).toEqual([{ Key: 'b', Code: 'AccessDenied', Message: 'Access Denied' }]);
    expect(await refusal(client.send(both))).toEqual(['NotImplemented', 501]);
    expect((await lab.list(target)).size).toBe(2);
  });

  test('refuses the newer checksums, and nothing without them', async () => {
    const proxy = await through({ rules: [noChecksums] });
    const put = new PutObjectCommand({ Bucket: bucket, Key: 'sum', Body: 'x' });
    const modern = clientOf(proxy.port, { requestChecksumCalculation: 'WHEN_SUPPORTED' });
    expect(await refusal(modern.send(put))).toEqual(['NotImplemented', 501]);
    await clientOf(proxy.port).send(put);
  });

  test('happens to the requests that a rule names, from the one it names, as often as it says', async () => {
    const proxy = await through({
      rules: [{ kinds: ['GetObject'], key: /^large$/, fault: slowDown(), skip: 2, times: 1 }],
    });
    const client = clientOf(proxy.port);
    const answers: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      await client.send(new HeadObjectCommand({ Bucket: bucket, Key: 'large' }));
      answers.push(await getLarge(client).catch((error: Error) => error.name));
    }
    expect(answers).toEqual([1_000_000, 1_000_000, 'SlowDown', 1_000_000]);
  });

  test('the same seed chooses the same requests', async () => {
    const chosen = async (seed: number): Promise<string> => {
      const proxy = await through({ rules: mixedFaults(0.05), seed, tls: false });
      for (let i = 0; i < 40; i++) {
        const answer = await fetch(`http://127.0.0.1:${proxy.port}/${bucket}/large`).catch(() => undefined);
        await answer?.arrayBuffer().catch(() => undefined);
      }
      return proxy.requests.map(({ fault }) => JSON.stringify(fault)?.slice(0, 60) ?? '-').join('\n');
    };
    const first = await chosen(3);
    expect(new Set(first.split('\n')).size).toBeGreaterThan(3);
    expect(await chosen(3)).toBe(first);
    expect(await chosen(4)).not.toBe(first);
  });

  test('goes down in the middle and comes back at the same port', async () => {
    const proxy = await through({ rules: [{ fault: { type: 'break', how: 'hang', at: 'start' }, times: 1 }] });
    const client = clientOf(proxy.port);
    const asked = getLarge(client).catch((error: unknown) => error);
    await expect.poll(() => proxy.count()).toBe(1);
    await proxy.down();
    expect(await asked).toMatchObject({ code: 'ECONNRESET' });
    expect(await getLarge(client).catch((error: unknown) => error)).toMatchObject({ code: 'ECONNREFUSED' });
    await proxy.up();
    expect(await getLarge(client)).toBe(1_000_000);
  });

  test('works behind a longer way', async () => {
    const proxy = await through();
    const way = await LatencyProxy.start({ to: proxy.port, roundTrip: 40 });
    opened.push(way);
    const client = clientOf(way.port);
    await getLarge(client);
    const begin = performance.now();
    expect(await getLarge(client)).toBe(1_000_000);
    expect(performance.now() - begin).toBeGreaterThan(39);
  });

  const real = findRealPgbackrest();
  test.skipIf(real === undefined)('serves the real pgBackRest, which tries again', async () => {
    const target = await lab.newBucket();
    await lab.put(target, 'repo/file', 'x');
    const proxy = await through({ rules: [{ fault: slowDown(), times: 1 }] });
    const way = await LatencyProxy.start({ to: proxy.port, roundTrip: 20 });
    opened.push(way);
    const options = Object.entries(repoOptions(lab, { bucket: target, path: '/repo', port: way.port }));
    // keys are refused on the command line
    const env = Object.fromEntries(
      options.map(([name, value]) => [`PGBACKREST_${name.toUpperCase().replaceAll('-', '_')}`, String(value)]),
    );
    const command = [real?.path ?? '', '--config=/dev/null', '--log-level-file=off', 'repo-ls'];
    const { stdout, stderr } = await runAs(unprivilegedUser(), command, { env });
    expect(stdout, stderr).toBe('file\n');
    expect(proxy.requests.map(({ status }) => status)).toContain(503);
    expect(proxy.count('ListObjectsV2')).toBeGreaterThan(0);
  });

  test('is gone after its end, with all connections', async () => {
    const proxy = await FaultProxy.start(lab, { tls: false });
    const socket = tcpConnect(proxy.port, '127.0.0.1');
    await once(socket, 'connect');
    await Promise.all([proxy.close(), once(socket, 'error')]);
    const again = tcpConnect(proxy.port, '127.0.0.1');
    expect(await once(again, 'error')).toMatchObject([{ code: 'ECONNREFUSED' }]);
  });
});
