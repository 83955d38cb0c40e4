import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, connect as tcpConnect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LatencyProxy, portOf } from './latency-proxy.ts';

/** Answers with what it is sent, whole at the end. */
let echo: Server;
beforeAll(async () => {
  echo = createServer({ allowHalfOpen: true }, socket => socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
});
afterAll(() => echo.close());

/** @returns milliseconds until everything came back, and its hash */
async function roundTrip(port: number, bytes: Buffer): Promise<{ readonly took: number; readonly hash: string }> {
  const begin = performance.now();
  const socket = tcpConnect(port, '127.0.0.1');
  socket.end(bytes);
  const hash = createHash('sha1');
  for await (const chunk of socket) hash.update(chunk);
  return { took: performance.now() - begin, hash: hash.digest('hex') };
}

test('a new connection and its first answer take two round trips, every further one takes one', async () => {
  const proxy = await LatencyProxy.start({ to: portOf(echo), roundTrip: 60 });
  const socket = tcpConnect(proxy.port, '127.0.0.1');
  const times: number[] = [];
  for (let i = 0; i < 4; i++) {
    const begin = performance.now();
    socket.write('ping');
    await once(socket, 'data');
    times.push(performance.now() - begin);
  }
  const [first = 0, ...further] = times;
  expect(first).toBeGreaterThan(118);
  for (const time of further) expect(time).toBeGreaterThan(58);
  // on a busy machine one of them may be late, not all
  expect(Math.min(...further)).toBeLessThan(90);
  socket.destroy();
  await proxy.close();
});

test('what is on the way is late, and not slower; every byte arrives in order', async () => {
  const bytes = randomBytes(32 * 1024 * 1024);
  const proxy = await LatencyProxy.start({ to: portOf(echo), roundTrip: 50 });
  const { took, hash } = await roundTrip(proxy.port, bytes);
  expect(hash).toBe(createHash('sha1').update(bytes).digest('hex'));
  // with one chunk of 64 kB at a time there would be 512 round trips: 25 seconds
  expect(took).toBeLessThan(5_000);
  await proxy.close();
});

test('a server that is not there breaks the connection', async () => {
  const proxy = await LatencyProxy.start({ to: 1, roundTrip: 10 });
  const socket = tcpConnect(proxy.port, '127.0.0.1');
  await expect(Promise.race([once(socket, 'close'), once(socket, 'error')])).resolves.toBeDefined();
  await proxy.close();
});
