import { expect, test } from 'vitest';
import { ByteBudget } from '../../../src/storage/s3/budget.ts';

async function settled(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await new Promise(resolve => setImmediate(resolve));
  return done;
}

test('bytes are given up to the whole, then in the order they were asked for', async () => {
  const budget = new ByteBudget(10);
  await budget.take(6);
  const large = budget.take(8);
  const small = budget.take(2);
  expect(await settled(large)).toBe(false);
  // a small one does not overtake: the large one would never get its turn
  expect(await settled(small)).toBe(false);
  expect(budget.tryTake(1)).toBe(false);
  budget.give(6);
  expect(await settled(large)).toBe(true);
  expect(await settled(small)).toBe(true);
  expect(budget.tryTake(1)).toBe(false);
  budget.give(8);
  expect(budget.tryTake(8)).toBe(true);
});

test('more than the whole is given when nothing else is out', async () => {
  const budget = new ByteBudget(10);
  await budget.take(1);
  const more = budget.take(100);
  expect(await settled(more)).toBe(false);
  budget.give(1);
  expect(await settled(more)).toBe(true);
  expect(budget.tryTake(1)).toBe(false);
  budget.give(100);
  expect(budget.tryTake(10)).toBe(true);
});
