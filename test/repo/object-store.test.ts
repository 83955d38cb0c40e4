/** Work that is done for many things at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { forAll } from '../../src/repo/object-store.ts';

test('results come in the order of the items', async () => {
  const results = await forAll([30, 10, 20], async (wait, index) => {
    await sleep(wait);
    return `${index}:${wait}`;
  });
  expect(results).toEqual(['0:30', '1:10', '2:20']);
  expect(await forAll([], async () => 1)).toEqual([]);
});

test('after a failure nothing more begins, and nothing goes on when it is told', async () => {
  const begunItems: number[] = [];
  let running = 0;
  const items = Array.from({ length: 40 }, (_, item) => item);
  const work = forAll(
    items,
    async item => {
      begunItems.push(item);
      running++;
      await sleep(item === 1 ? 5 : 20);
      running--;
      if (item === 1 || item === 2) throw new Error(`no ${item}`);
    },
    4,
  );
  await expect(work).rejects.toThrow('no 1');
  expect([running, begunItems]).toEqual([0, [0, 1, 2, 3]]);
  await sleep(40);
  expect(begunItems).toEqual([0, 1, 2, 3]);
});
