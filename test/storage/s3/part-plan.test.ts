import { describe, expect, test } from 'vitest';
import { planParts } from '../../../src/storage/s3/upload.ts';

const mebibyte = 2 ** 20;
const tebibyte = 2 ** 40;

/** Parts that so many bytes take, and the sizes of the first and the last. */
function parts(size: number, plan: ReturnType<typeof planParts>) {
  let [count, left, last] = [0, size, 0];
  while (left > 0) {
    last = plan.sizeOf(++count);
    left -= last;
  }
  return { count, last };
}

describe('a file is cut', () => {
  test('into parts of one size, at least 5 MiB', () => {
    const plan = planParts(undefined, 100 * mebibyte);
    const { count } = parts(100 * mebibyte, plan);
    expect(plan.sizeOf(1)).toBe(plan.sizeOf(count));
    expect(plan.sizeOf(1)).toBeGreaterThanOrEqual(5 * mebibyte);
  });

  test.each([
    ['known', 5 * tebibyte],
    ['not known', undefined],
    ['known too small', mebibyte],
  ])('into no more parts than a service takes, also 5 TiB whose size is %s', (_, hint) => {
    for (const chunk of [undefined, 5 * mebibyte, 64 * mebibyte]) {
      const { count, last } = parts(5 * tebibyte, planParts(chunk, hint));
      expect(count).toBeLessThanOrEqual(10_000);
      expect(last).toBeLessThanOrEqual(5 * 1024 * mebibyte);
    }
  });

  test('as the user wants it', () => {
    const plan = planParts(6 * mebibyte, 20 * mebibyte);
    expect(plan.whole).toBe(6 * mebibyte);
    expect(plan.sizeOf(3)).toBe(6 * mebibyte);
  });
});
