/** Requests without the SDK, and servers that answer early, have an odd address, or not at all when the end comes. */
import { createServer, Server as HttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { newCounterMemory, RequestCounters } from '../../../src/storage/s3/requests.ts';
import { openS3Storage } from '../../../src/storage/s3/s3-storage.ts';
import type { Storage } from '../../../src/storage/storage.ts';
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

async function listen(server: Server, address: string): Promise<number> {
  servers.push(server);
  await new Promise<void>(resolve => server.listen(0, address, resolve));
  return (server.address() as AddressInfo).port;
}

async function open(answer: RequestListener, address = '127.0.0.1') {
  const port = await listen(createServer(answer), address);
  return { storage: await openStorage(`http://${address.includes(':') ? `[${address}]` : address}:${port}`), port };
}

async function openStorage(http: string): Promise<Storage> {
  const place = { dnsName: 'localhost', caFile: '/nonexistent', region: 'us-east-1', key: 'KEY', secret: 'secret' };
  const storage = await openS3Storage({
    label: 'repo1',
    base: '/repo',
    bucket: bucketSettings({ ...place, http, https: http }, 'bucket', { ioTimeout: 20_000 }),
    counters: new RequestCounters(newCounterMemory()),
  });
  storages.push(storage);
  return storage;
}

/** Sockets of this process to that port that keep it from its end: not those that wait for the next request. */
const clientSockets = (port: number): number =>
  (process as unknown as { _getActiveHandles(): unknown[] })
    ._getActiveHandles()
    .filter(handle => handle instanceof Socket && handle.remotePort === port).length;

async function write(storage: Storage, size: number): Promise<void> {
  const sink = await storage.write('/file', { sizeHint: size });
  await sink.write(Buffer.alloc(size));
  await sink.commit();
}

test('an IPv6 address is named with brackets', async () => {
  const hosts: (string | undefined)[] = [];
  const { storage, port } = await open((request, response) => {
    hosts.push(request.headers.host);
    request.resume();
    request.on('end', () => response.writeHead(200, { etag: '"x"' }).end());
  }, '::1');
  await write(storage, 10);
  expect(hosts).toEqual([`[::1]:${port}`]);
});

test('a connection on which a body was refused is given up when the rest is never read', async () => {
  const size = 14_000_000;
  let count = 0;
  const server = createTcpServer(socket => {
    const isOverloaded = ++count <= 4;
    let received = 0;
    socket.on('error', () => undefined);
    socket.on('data', data => {
      received += data.length;
      if (isOverloaded) {
        socket.write('HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n');
        socket.pause();
      } else if (received > size) socket.write('HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n');
    });
  });
  const http = `http://127.0.0.1:${await listen(server, '127.0.0.1')}`;
  const storage = await openStorage(http);
  await write(storage, size);
  expect(count).toBe(5);
  await expect.poll(() => clientSockets(Number(new URL(http).port)), { timeout: 5000 }).toBe(0);
});

test('an error with status 200 and a tag is no success of a write', async () => {
  let count = 0;
  const { storage } = await open((request, response) => {
    request.resume();
    const isBad = ++count === 1;
    request.on('end', () => {
      response.writeHead(200, { etag: '"x"' });
      response.end(isBad ? '<?xml version="1.0"?><Error><Code>InternalError</Code></Error>' : '');
    });
  });
  await write(storage, 10);
  expect(count).toBe(2);
});

test.each([
  ['many beginnings of a text that never ends', '<Code><![CDATA['.repeat(200_000)],
  ['many beginnings of an element', '<Code>'.repeat(500_000)],
  ['a long name of a namespace', `<${'x'.repeat(2_000_000)}:Code>a</Code>`],
])('an error of %s is understood as far as it goes', async (_, content) => {
  const { storage } = await open((request, response) => {
    request.resume();
    response.writeHead(403).end(`<Error>${content}`);
  });
  const begun = process.cpuUsage();
  await expect(storage.list('/folder')).rejects.toThrow('403');
  const { user } = process.cpuUsage(begun);
  // where it is looked for from each beginning, that takes minutes
  expect(user).toBeLessThan(10_000_000);
});

test.each([
  ['<Error><Code>A</Code><Message>b &lt;c&gt;</Message></Error>', 'A: b <c>'],
  [
    '<s:Error xmlns:s="x"><s:Code><![CDATA[A]]></s:Code><s:Message><![CDATA[b <c> &amp;]]></s:Message></s:Error>',
    'UnknownError',
  ],
  [
    '<Error xmlns="x"><s:Code><![CDATA[A]]></s:Code><s:Message><![CDATA[b <c> &amp;]]></s:Message></Error>',
    'A: b <c> &amp;',
  ],
  ['<Error><Code/><Message>b</Message></Error>', ': b'],
  ['<Error><Code>A<b/></Code><Code>B</Code><Message></Message></Error>', 'B'],
])('the error %s is told', async (content, told) => {
  const { storage } = await open((request, response) => {
    request.resume();
    response.writeHead(403).end(content);
  });
  await expect(storage.list('/folder')).rejects.toThrow(told === 'UnknownError' ? '403' : `\n${told}`);
});

test('what waits for a free connection fails at the end, as what is under way', async () => {
  let count = 0;
  const { storage } = await open(request => {
    count++;
    request.resume();
  });
  const reads = Array.from({ length: 100 }, (_, number) => storage.read(`/file${number}`));
  const settled = Promise.allSettled(reads);
  await expect.poll(() => count, { timeout: 5000 }).toBe(32);
  await storage.close();
  const outcomes = await settled;
  expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(100);
  expect(count).toBe(32);
});
