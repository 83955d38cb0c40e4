import { expect, test } from 'vitest';
import { quantile, ratios, spread } from './statistics.ts';

test('a median is the middle, or the mean of the two in the middle', () => {
  expect(spread([3, 1, 2])).toEqual({ median: 2, lowest: 1, highest: 3 });
  expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, lowest: 1, highest: 4 });
  expect(() => spread([])).toThrow('no values');
});

test('a ratio is taken within each pair', () => {
  expect(ratios([1, 20], [2, 10])).toEqual([0.5, 2]);
});

test('what nineteen of twenty calls stay below', () => {
  const values = Array.from({ length: 100 }, (_, at) => 100 - at);
  expect([quantile(values, 0.5), quantile(values, 0.95), quantile(values, 1), quantile([7], 0.5)]).toEqual([
    50, 95, 100, 7,
  ]);
  expect(() => quantile([], 0.5)).toThrow('no values');
});
