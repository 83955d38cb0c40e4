/** The driver and servers that lie, stall or go away: small ones, made for each case. */
import {
  createServer,
  Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { isKind } from '../../../src/base/error.ts';
import { newCounterMemory, RequestCounters } from '../../../src/storage/s3/requests.ts';
import { openS3Storage } from '../../../src/storage/s3/s3-storage.ts';
import type { GivenS3Settings } from '../../../src/storage/s3/settings.ts';
import type { ByteSource, Storage } from '../../../src/storage/storage.ts';
import { bucketSettings } from '../../support/s3/settings.ts';

const servers: Server[] = [];
const storages: Storage[] = [];

afterEach(async () => {
  for (const storage of storages.splice(0)) await storage.close();
  for (const server of servers.splice(0)) {
    server.close();
    if (server instanceof HttpServer) server.closeAllConnections();
  }
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const place = {
  dnsName: 'localhost',
  caFile: '/nonexistent',
  region: 'us-east-1',
  key: 'KEY',
  secret: 'top-secret',
};

/** A storage of a server that answers as told; of the requests, method and path. */
async function open(answer: RequestListener | number, more: Partial<GivenS3Settings> = {}) {
  const requests: string[] = [];
  const port =
    typeof answer === 'number'
      ? answer
      : await listen(
          createServer((request, response) => {
            requests.push(`${request.method} ${request.url?.split('?')[0]} ${request.headers.range ?? ''}`.trim());
            answer(request, response);
          }),
        );
  const http = `http://127.0.0.1:${port}`;
  const counters = new RequestCounters(newCounterMemory());
  const storage = await openS3Storage({
    label: 'repo1',
    base: '/repo',
    bucket: bucketSettings({ ...place, http, https: http }, 'bucket', { ioTimeout: 500, ...more }),
    counters,
  });
  storages.push(storage);
  return { storage, requests, counters };
}

async function readAll(source: ByteSource): Promise<Buffer> {
  const parts: Buffer[] = [];
  const buffer = Buffer.alloc(65_536);
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

async function failure(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (isKind(error, 'protocol', 'host-connect', 'service', 'file-read', 'file-missing')) return error;
    throw error;
  }
  throw new Error('it went well');
}

/** Byte i of a file is i modulo 251. */
const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));

/** Answers GET as S3 does, with the part of `content` that is asked for. */
function sendContent(request: IncomingMessage, response: ServerResponse, tag = '"v1"', body = content): void {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const first = Number(range?.[1] ?? 0);
  const last = range?.[2] ? Math.min(Number(range[2]), body.length - 1) : body.length - 1;
  response.writeHead(range === null ? 200 : 206, {
    etag: tag,
    'content-length': last + 1 - first,
    ...(range === null ? {} : { 'content-range': `bytes ${first}-${last}/${body.length}` }),
  });
  response.end(body.subarray(first, last + 1));
}

/** Answers GET with the first bytes of what is asked for, and goes away. */
function sendHalf(request: IncomingMessage, response: ServerResponse, count: number): void {
  const first = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  response.writeHead(first === 0 ? 200 : 206, {
    etag: '"v1"',
    'content-length': content.length - first,
    ...(first === 0 ? {} : { 'content-range': `bytes ${first}-${content.length - 1}/${content.length}` }),
  });
  response.write(content.subarray(first, first + count), () => request.socket.destroy());
}

function sendError(response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/xml', ...headers });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>told by the server</Message></Error>`);
}

const list = (inner: string): string =>
  `<?xml version="1.0"?><ListBucketResult><Name>bucket</Name>${inner}</ListBucketResult>`;

const entry = (key: string): string =>
  `<Contents><Key>${key}</Key><Size>1</Size><LastModified>2026-11-21T00:00:00Z</LastModified></Contents>`;

describe('an answer that repeats what was sent', () => {
  const token = 'FwoGZXIvYXdzEXAMPLE+token/==';
  const customerKey = Buffer.alloc(32, 'k').toString('base64');
  const echo = (request: IncomingMessage): string => JSON.stringify(request.headers);

  test.each<[string, number, (seen: string) => string]>([
    ['as the message of an error', 403, seen => `<Error><Code>AccessDenied</Code><Message>${seen}</Message></Error>`],
    ['as its code', 400, seen => `<Error><Code>${seen}</Code><Message>no</Message></Error>`],
    ['as a page', 401, seen => `<html><body>${seen}</body></html>`],
    ['as a text', 400, seen => seen],
    ['as an answer that is none', 200, seen => `<ListBucketResult>${seen}<`],
  ])('%s: no key and no token is told', async (_, status, form) => {
    const { storage } = await open((request, response) => response.writeHead(status).end(form(echo(request))), {
      sseCustomerKey: customerKey,
      credentials: {
        ...bucketSettings({ ...place, http: 'http://x', https: 'https://x' }, 'bucket').credentials,
        key: 'AKIAEXAMPLEKEY',
        token,
      },
    });
    const works: (() => Promise<unknown>)[] = [
      () => storage.list('/folder'),
      ...(status === 200 ? [] : [async () => storage.read('/file'), () => storage.info('/file')]),
    ];
    for (const work of works) {
      const { text } = await failure(work());
      for (const secret of ['AKIAEXAMPLEKEY', token, customerKey, 'top-secret']) expect(text).not.toContain(secret);
    }
  });
});

describe('a read', () => {
  test('that breaks off goes on where it was, of the same version', async () => {
    const tags: unknown[] = [];
    const { storage, requests } = await open((request, response) => {
      tags.push(request.headers['if-match']);
      if (tags.length <= 5) sendHalf(request, response, 30_000);
      else sendContent(request, response);
    });
    expect((await readAll(await storage.read('/file'))).equals(content)).toBe(true);
    expect(tags).toEqual([undefined, ...Array.from({ length: 5 }, () => '"v1"')]);
    expect(requests[3]).toMatch(/^GET \/bucket\/repo\/file bytes=\d+-$/);
  });

  test.each([412, 416, 200])('that breaks off does not go on with another version (answer %s)', async status => {
    const { storage } = await open((request, response) => {
      if (request.headers['if-match'] === undefined) sendHalf(request, response, 30_000);
      else if (status === 200) sendContent(request, response, '"v2"', Buffer.alloc(300_000));
      else sendError(response, status, 'PreconditionFailed');
    });
    const source = await storage.read('/file');
    expect(await failure(readAll(source))).toMatchObject({
      kind: 'file-read',
      message: "'repo/file' was replaced while it was read",
    });
  });

  test('of nothing but a status is not believed', async () => {
    const { storage, requests } = await open((_, response) => response.end('<html>please log in</html>'));
    const error = await failure(storage.read('/file'));
    expect(error).toMatchObject({ kind: 'protocol' });
    expect(error.message).toContain("unable to understand the answer to GET bucket/repo/file from '127.0.0.1:");
    expect(error.hints.join()).toContain('is repo1-s3-endpoint that of an S3 service');
    expect(requests.length).toBeGreaterThan(1);
    expect(requests.length).toBeLessThan(10);
  });

  test('of another range than was asked for is not believed', async () => {
    const { storage, requests } = await open((request, response) => {
      // shorter, moved, and then as it should be
      if (requests.length === 1) request.headers.range = 'bytes=1000-1500';
      if (requests.length === 2) request.headers.range = 'bytes=1001-2999';
      sendContent(request, response);
    });
    const bytes = await readAll(await storage.read('/file', { offset: 1000, length: 2000 }));
    expect(bytes.equals(content.subarray(1000, 3000))).toBe(true);
    expect(requests).toHaveLength(3);
  });

  test('of a range from a server that knows none takes no more than was asked for', async () => {
    const copies = 200;
    const sent: number[] = [];
    const { storage } = await open((_, response) => {
      const answer = sent.push(0) - 1;
      response.writeHead(200, { etag: '"v1"', 'content-length': content.length * copies });
      // one copy after the other as the connection takes them: what is given at once counts as written at once
      const go = () => {
        if (response.destroyed) return;
        sent[answer] = (sent[answer] ?? 0) + 1;
        if (sent[answer] === copies) response.end(content);
        else response.write(content, go);
      };
      go();
    });
    const bytes = await readAll(await storage.read('/file', { offset: 0, length: 2000 }));
    expect(bytes.equals(content.subarray(0, 2000))).toBe(true);
    expect((await readAll(await storage.read('/file', { offset: 500, length: 2000 }))).length).toBe(2000);
    expect(sent).toHaveLength(2);
    expect(Math.max(...sent)).toBeLessThan(copies);
  });

  test('that is closed asks no more, and keeps no connection', async () => {
    const { storage, requests } = await open(
      (request, response) => {
        if (requests.length === 1) sendHalf(request, response, 1000);
        else sendError(response, 503, 'SlowDown');
      },
      { ioTimeout: 20_000 },
    );
    const source = await storage.read('/file');
    while (requests.length < 3) await sleep(20);
    await source.close();
    const before = requests.length;
    await sleep(1000);
    expect(requests.length).toBeLessThanOrEqual(before + 1);
  });

  test('after one to its end uses the same connection', async () => {
    const sockets = new Set<unknown>();
    const { storage } = await open((request, response) => {
      sockets.add(request.socket);
      sendContent(request, response);
    });
    for (let i = 0; i < 20; i++) {
      const source = await storage.read('/file', { offset: i * 100, length: 100 });
      const buffer = Buffer.alloc(100);
      // closed at once, as who knows the length does
      let count = 0;
      while (count < 100) count += await source.read(buffer.subarray(count));
      await source.close();
    }
    expect(sockets.size).toBeLessThan(3);
  });

  test('from a server that is silent ends', async () => {
    const { storage, requests } = await open(() => undefined, { ioTimeout: 400 });
    const begun = Date.now();
    const error = await failure(storage.read('/file'));
    expect(error).toMatchObject({ kind: 'protocol' });
    expect(error.message).toMatch(/^timeout waiting for '127\.0\.0\.1:\d+' \(tried for \d+s\)$/);
    expect(requests).toHaveLength(3);
    expect(Date.now() - begun).toBeLessThan(5000);
  });

  test('from a server that falls silent in its answer ends, or goes on', async () => {
    const { storage, requests } = await open(
      (request, response) => {
        if (requests.length > 1) sendContent(request, response);
        else {
          response.writeHead(200, { etag: '"v1"', 'content-length': content.length });
          response.write(content.subarray(0, 1000));
        }
      },
      { ioTimeout: 400 },
    );
    expect((await readAll(await storage.read('/file'))).equals(content)).toBe(true);
    expect(requests).toHaveLength(2);
  });
});

describe('a list', () => {
  test.each([
    ['half', list('<IsTruncated>false</IsTruncated>').slice(0, -20)],
    ['nothing', ''],
    ['a page of a proxy', '<html><body>please log in</body></html>'],
    ['no word about its end', list(entry('repo/a'))],
    ['no way to go on', list(`<IsTruncated>true</IsTruncated>${entry('repo/a')}`)],
    ['what others have', list(`<IsTruncated>false</IsTruncated>${entry('repo/a')}${entry('others/b')}`)],
    [
      'no end',
      list(`<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>${entry('repo/a')}`),
    ],
  ])('of %s is an error', async (_, body) => {
    const { storage, requests } = await open((_request, response) => {
      // no length: it ends with the connection
      response.writeHead(200, { connection: 'close' });
      response.end(body);
    });
    expect(await failure(storage.list('/'))).toMatchObject({ kind: 'protocol' });
    expect(requests.length).toBeLessThan(10);
  });

  test.each([200, 500])('that does not end (status %i) is given up', async status => {
    const { storage } = await open((request, response) => {
      response.writeHead(status, { 'content-type': 'application/xml' });
      const chunk = Buffer.alloc(1 << 20, entry('repo/a'));
      const more = () => {
        while (!request.socket.destroyed && response.write(chunk));
        if (!request.socket.destroyed) response.once('drain', more);
      };
      response.write('<ListBucketResult>');
      more();
    });
    const before = process.memoryUsage().rss;
    const error = await failure(storage.list('/'));
    expect(error).toMatchObject({ kind: 'protocol' });
    expect(error.message).toContain('the answer does not end');
    expect(process.memoryUsage().rss - before).toBeLessThan(400 << 20);
  });

  test('never leads to the removal of what others have', async () => {
    const { storage, requests } = await open((request, response) => {
      if (request.method === 'GET') response.end(list(`<IsTruncated>false</IsTruncated>${entry('others/b')}`));
      else sendError(response, 500, 'InternalError');
    });
    expect(await failure(storage.removeTree('/backup'))).toMatchObject({ kind: 'protocol' });
    expect(requests.filter(request => !request.startsWith('GET'))).toEqual([]);
  });
});

describe('a removal', () => {
  const keys = Array.from({ length: 40 }, (_, i) => `repo/backup/${i}`);
  const listed = list(`<IsTruncated>false</IsTruncated>${keys.map(entry).join('')}`);

  test('goes on with its failure, and asks for no more', async () => {
    const { storage, requests } = await open((request, response) => {
      if (request.method === 'GET') response.end(listed);
      else if (request.method === 'POST') sendError(response, 501, 'NotImplemented');
      else setTimeout(() => sendError(response, 403, 'AccessDenied'), 20);
    });
    expect(await failure(storage.removeTree('/backup'))).toMatchObject({ kind: 'protocol' });
    const before = requests.length;
    await sleep(200);
    expect(requests.length).toBe(before);
    // sixteen at once, each looked at for a lock
    expect(requests.filter(request => request.startsWith('DELETE')).length).toBeLessThanOrEqual(32);
  });

  test.each([
    ['says nothing of what it did', '<DeleteResult></DeleteResult>'],
    ['is an error', '<Error><Code>InternalError</Code><Message>x</Message></Error>'],
  ])('whose answer %s is made sure of one by one', async (_, body) => {
    const { storage, requests } = await open(
      (request, response) => {
        if (request.method === 'GET') response.end(listed);
        else if (request.method === 'POST') {
          request.resume();
          response.end(`<?xml version="1.0"?>${body}`);
        } else response.writeHead(204).end();
        // where it goes well, nothing is asked for twice because this machine was busy for a moment
      },
      { ioTimeout: body.startsWith('<Error') ? 500 : 20_000 },
    );
    if (body.startsWith('<Error')) {
      // status 200, but the service is out of order
      expect(await failure(storage.removeTree('/backup'))).toMatchObject({ kind: 'protocol' });
      return;
    }
    await storage.removeTree('/backup');
    expect(requests.filter(request => request.startsWith('POST'))).toHaveLength(3);
    expect(requests.filter(request => request.startsWith('DELETE'))).toHaveLength(40);
  });

  test('waits for what is under way when the list fails', async () => {
    const page = list(
      `<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>${keys.map(entry).join('')}`,
    );
    const { storage, requests } = await open((request, response) => {
      request.resume();
      if (request.method === 'POST') setTimeout(() => sendError(response, 403, 'AccessDenied'), 300);
      else if (request.method === 'DELETE') sendError(response, 403, 'AccessDenied');
      else if (requests.filter(asked => asked.startsWith('GET')).length === 1) response.end(page);
      else sendError(response, 403, 'AccessDenied');
    });
    // one failure is told, and none is left over for nobody to catch
    expect(await failure(storage.removeTree('/backup'))).toMatchObject({ kind: 'protocol' });
  });
});

describe('a write', () => {
  const write = async (storage: Storage, size: number) => {
    const sink = await storage.write('/file', { sizeHint: size });
    try {
      await sink.write(Buffer.alloc(size));
      await sink.commit();
    } catch (error) {
      await sink.abort();
      throw error;
    }
  };

  test('is nothing without an ETag', async () => {
    const { storage } = await open((request, response) => {
      request.resume();
      request.on('end', () => response.end());
    });
    const error = await failure(write(storage, 1000));
    expect(error).toMatchObject({ kind: 'protocol' });
    expect(error.message).toContain('the answer to a write has no ETag');
  });

  test('to what is not there is no missing file: that would be the one which is read', async () => {
    const { storage } = await open((request, response) => {
      request.resume();
      request.on('end', () => sendError(response, 404, 'NoSuchUpload'));
    });
    expect(await failure(write(storage, 1000))).toMatchObject({ kind: 'protocol' });
    expect(await failure(write(storage, 20 << 20))).toMatchObject({ kind: 'protocol' });
  });

  test('in parts drops them when it fails, and ends soon when the service is gone', async () => {
    const { storage, requests } = await open((request, response) => {
      request.resume();
      request.on('end', () => {
        if (request.url?.includes('uploads')) {
          response.end('<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>');
        } else sendError(response, 503, 'SlowDown');
      });
    });
    const begun = Date.now();
    expect(await failure(write(storage, 40 << 20))).toMatchObject({ kind: 'protocol' });
    expect(requests.filter(request => request.startsWith('DELETE')).length).toBeGreaterThan(0);
    expect(Date.now() - begun).toBeLessThan(5000);
  });
});

describe('a connection', () => {
  test('that the server closed between two requests is not missed', async () => {
    let answered = 0;
    const { storage } = await open((request, response) => {
      // every second one dies under its request
      if (answered++ % 2 === 1) request.socket.resetAndDestroy();
      else sendContent(request, response);
    });
    for (let i = 0; i < 10; i++) expect((await readAll(await storage.read('/file'))).length).toBe(content.length);
  });

  test('to what is no HTTP tells so', async () => {
    const port = await listen(
      createTcpServer(socket => socket.on('error', () => undefined).end('SSH-2.0-OpenSSH\r\n')),
    );
    const { storage } = await open(port);
    const error = await failure(storage.read('/file'));
    expect(error).toMatchObject({ kind: 'protocol' });
    expect(error.hints.join()).toContain('does something else than S3 answer there');
  });

  test('to nobody is tried for io-timeout', async () => {
    const port = await listen(createTcpServer());
    servers.pop()?.close();
    const { storage, counters } = await open(port);
    const error = await failure(storage.read('/file'));
    expect(error).toMatchObject({ kind: 'host-connect' });
    expect(error.message).toMatch(
      /^unable to connect to '127\.0\.0\.1:\d+': \[111\] Connection refused \(tried for \d+s\)$/,
    );
    expect(counters.summary().total).toBeLessThan(8);
  });

  test('to a name that is none is given up', async () => {
    const { storage } = await open(9, { endpoint: 'http://no-such-host.invalid' });
    expect(await failure(storage.read('/file'))).toMatchObject({
      kind: 'host-connect',
      message: expect.stringContaining("unable to get address for 'no-such-host.invalid'"),
    });
  });
});

describe('a refusal', () => {
  const told = async (status: number, code: string, headers: Record<string, string> = {}) => {
    const { storage } = await open((_, response) => sendError(response, status, code, headers));
    const error = await failure(storage.read('/file'));
    expect(error.text).not.toContain('top-secret');
    return { kind: error.kind, hints: error.hints.join(' ') };
  };

  test.each([
    [403, 'InvalidAccessKeyId', {}, 'is repo1-s3-key right?'],
    [403, 'SignatureDoesNotMatch', {}, 'is repo1-s3-key-secret right?'],
    [400, 'ExpiredToken', {}, 'renew the token'],
    [403, 'AccessDenied', {}, "may the credentials read in bucket 'bucket'?"],
    [404, 'NoSuchBucket', {}, "bucket 'bucket' does not exist"],
    [301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-1' }, 'set repo1-s3-region=eu-west-1'],
    [400, 'AuthorizationHeaderMalformed', { 'x-amz-bucket-region': 'eu-west-1' }, 'set repo1-s3-region=eu-west-1'],
    [403, 'RequestTimeTooSkewed', { date: new Date(Date.now() + 3_600_000).toUTCString() }, 'seconds behind'],
    [403, 'RequestTimeTooSkewed', { date: new Date(Date.now() - 3_600_000).toUTCString() }, 'seconds ahead of'],
  ])('%s %s says what to do', async (status, code, headers, hint) => {
    expect(await told(status, code, headers)).toEqual({ kind: 'protocol', hints: expect.stringContaining(hint) });
  });

  test('of HEAD, which has no room for it, is asked for', async () => {
    const { storage, requests } = await open((request, response) => {
      if (request.method === 'HEAD') response.writeHead(403).end();
      else sendError(response, 403, 'InvalidAccessKeyId');
    });
    const error = await failure(storage.info('/file'));
    expect(error.hints.join()).toContain('is repo1-s3-key right?');
    expect(requests).toEqual(['HEAD /bucket/repo/file', 'GET /bucket/repo/file bytes=0-0']);
  });

  test('for a clock that is wrong is told every time: nothing makes up for it', async () => {
    const dates: string[] = [];
    const { storage } = await open((request, response) => {
      dates.push(String(request.headers['x-amz-date']));
      sendError(response, 403, 'RequestTimeTooSkewed', { date: new Date(Date.now() + 3_600_000).toUTCString() });
    });
    for (let i = 0; i < 2; i++) await failure(storage.read('/file'));
    const seconds = dates.map(date => Date.parse(date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z')));
    expect(seconds).toHaveLength(2);
    for (const time of seconds) expect(Math.abs(time - Date.now())).toBeLessThan(60_000);
  });
});
