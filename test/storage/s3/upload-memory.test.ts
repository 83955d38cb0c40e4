import { expect, test } from 'vitest';
import { UploadMemory } from '../../../src/storage/s3/upload-memory.ts';

const slab = 128 * 1024;

test('who took more than there is waits until what is sent comes back', async () => {
  const memory = new UploadMemory(2 * slab);
  const sent = [memory.take(), memory.take()];
  expect(memory.isShort).toBe(false);
  memory.send(sent);
  const more = memory.take();
  expect(memory.isShort).toBe(true);
  let isEnough = false;
  const waiting = memory.enough().then(() => {
    isEnough = true;
  });
  await new Promise(setImmediate);
  expect(isEnough).toBe(false);
  memory.sent(sent, true);
  await waiting;
  expect(memory.isShort).toBe(false);
  expect(sent).toContain(memory.take());
  memory.give([more]);
});

test('nobody waits while nothing is sent: those who gather would wait for each other', async () => {
  const memory = new UploadMemory(slab);
  memory.take();
  memory.take();
  expect(memory.isShort).toBe(true);
  await memory.enough();
});

test('what a socket may still hold is not used again', () => {
  const memory = new UploadMemory(slab);
  const failed = memory.take();
  memory.send([failed]);
  memory.sent([failed], false);
  expect(memory.isShort).toBe(false);
  expect(memory.take()).not.toBe(failed);
});
