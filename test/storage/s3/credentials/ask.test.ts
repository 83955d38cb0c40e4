import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test, vi } from 'vitest';
import { ask } from '../../../../src/storage/s3/credentials/ask.ts';

test('an answer that broke off is asked for again, and leaves no timer that would keep the process from its end', async () => {
  let count = 0;
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': 4 });
    if (++count > 1) response.end('whol');
    else {
      response.write('wh');
      // once the head has come
      setTimeout(() => response.destroy(), 100);
    }
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const asked = { url, method: 'GET', service: 'test', timeout: 61_234, tries: 2, hint: 'none' } as const;
  const [started, cleared] = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'clearTimeout')];
  try {
    expect(await ask(asked)).toEqual({ status: 200, text: 'whol' });
    expect(count).toBe(2);
    const begun = started.mock.results.filter((_, index) => started.mock.calls[index]?.[1] === asked.timeout);
    expect(begun).toHaveLength(2);
    for (const { value } of begun) expect(cleared).toHaveBeenCalledWith(value);
  } finally {
    vi.restoreAllMocks();
    server.close();
    server.closeAllConnections();
  }
});
