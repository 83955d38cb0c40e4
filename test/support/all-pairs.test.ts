import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allCombinations, allPairs, pairsOf } from './all-pairs.ts';

const dimensionsOf = (sizes: readonly number[]): Record<string, string[]> =>
  Object.fromEntries(sizes.map((size, index) => [`d${index}`, Array.from({ length: size }, (_, value) => `${value}`)]));

test('every pair of values of two dimensions occurs, and there are fewer rows than combinations', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 2, max: 4 }), { minLength: 3, maxLength: 4 }), sizes => {
      const dimensions = dimensionsOf(sizes);
      const rows = allPairs(dimensions);
      const all = new Set(allCombinations(dimensions).flatMap(row => pairsOf(row)));
      expect(new Set(rows.flatMap(row => pairsOf(row)))).toEqual(all);
      const [largest = 0, next = 0] = sizes.toSorted((a, b) => b - a);
      expect(rows.length).toBeGreaterThanOrEqual(largest * next);
      expect(rows.length).toBeLessThan(sizes.reduce((product, size) => product * size, 1));
      expect(allPairs(dimensions)).toEqual(rows);
    }),
    { numRuns: 30 },
  );
});

test('required combinations occur in rows that are allowed', () => {
  const dimensions = { a: ['1', '2'], b: ['x', 'y'], c: ['p', 'q'] } as const;
  const required = [{ a: '1', b: 'x' }, { a: '2' }] as const;
  const rows = allPairs(dimensions, required, row => row.c === 'q');
  expect(rows.slice(0, 2)).toMatchObject([
    { a: '1', b: 'x', c: 'q' },
    { a: '2', c: 'q' },
  ]);
  expect(() => allPairs(dimensions, [{ a: '1', c: 'p' }], row => row.c === 'q')).toThrow(/no row that is allowed/);
});
