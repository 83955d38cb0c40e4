import { expect, test } from 'vitest';
import { PartBuffers } from '../../../src/storage/s3/part-buffers.ts';

test('a buffer is used again for what it has room for, unless it is far too large', () => {
  const buffers = new PartBuffers();
  const first = buffers.take(100);
  buffers.give(first);
  expect(buffers.take(101)).not.toBe(first);
  expect(buffers.take(49)).not.toBe(first);
  expect(buffers.take(60)).toBe(first);
  expect(buffers.take(60)).not.toBe(first);
});

test('few are kept', () => {
  const buffers = new PartBuffers();
  const given = [1, 2, 3].map(() => Buffer.alloc(100));
  for (const buffer of given) buffers.give(buffer);
  const taken = given.map(() => buffers.take(100));
  expect(taken.filter(buffer => given.some(other => other === buffer))).toHaveLength(2);
});
