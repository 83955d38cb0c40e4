import { expect, test } from 'vitest';
import { PlainBytes } from '../../../src/command/restore/plain-bytes.ts';

test('gives back what came, in the same memory each time', () => {
  const plain = new PlainBytes();
  plain.add(Buffer.alloc(1000, 1), 3000);
  plain.add(Buffer.alloc(2000, 2), 3000);
  expect(plain.bytes).toEqual(Buffer.concat([Buffer.alloc(1000, 1), Buffer.alloc(2000, 2)]));
  const { buffer } = plain.bytes;
  plain.clear();
  expect(plain.bytes).toHaveLength(0);
  plain.add(Buffer.alloc(2500, 3), 3000);
  expect(plain.bytes).toEqual(Buffer.alloc(2500, 3));
  expect(plain.bytes.buffer).toBe(buffer);
});

test('takes memory as bytes come, whatever is said of their number, and does not keep much', () => {
  const plain = new PlainBytes();
  plain.add(Buffer.alloc(1000), 2 ** 30);
  expect(plain.bytes.buffer.byteLength).toBeLessThan(10_000);
  plain.add(Buffer.alloc(8 * 1024 * 1024), 2 ** 30);
  plain.clear();
  plain.add(Buffer.alloc(10), 100);
  expect(plain.bytes.buffer.byteLength).toBeLessThan(10_000);
});
