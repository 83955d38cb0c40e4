import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { ask } from '../../../../src/storage/s3/credentials/ask.ts';

const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length;

test('an answer that broke off is asked for again, and leaves no timer that would keep the process from its end', async () => {
  let count = 0;
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': 4 });
    if (++count > 1) response.end('whole'.slice(0, 4));
    else response.write('wh', () => response.destroy());
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const asked = { url, method: 'GET', service: 'test', timeout: 60_000, tries: 2, hint: 'none' } as const;
  try {
    const before = timers();
    expect(await ask(asked)).toEqual({ status: 200, text: 'whol' });
    expect(count).toBe(2);
    expect(timers()).toBeLessThanOrEqual(before);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
