import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPercent, formatSize, percentHundredths } from '../../src/base/units.ts';

describe('sizes', () => {
  // as the real tool printed them
  it.each([
    [0, '0B'],
    [1, '1B'],
    [1023, '1023B'],
    [1024, '1KB'],
    [1034813, '1010.6KB'],
    [1048575, '1024KB'],
    [1048576, '1MB'],
    [16777216, '16MB'],
    [1600, '1.6KB'],
    [1536, '1.5KB'],
    [1025, '1KB'],
    [5 * 1024 ** 3 + 1024 ** 3 / 4, '5.3GB'],
    [1024 ** 4, '1024GB'],
  ])('%i is %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });

  it('are near the truth, whatever the number', () => {
    const unit: Record<string, number> = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 };
    fc.assert(
      fc.property(fc.maxSafeInteger(), value => {
        const bytes = Math.abs(value);
        const [, number, name] = /^(\d+(?:\.\d)?)([KMG]?B)$/.exec(formatSize(bytes)) ?? [];
        const size = unit[name ?? ''] ?? Number.NaN;
        expect(Math.abs(Number(number) * size - bytes)).toBeLessThanOrEqual(size * 0.06);
      }),
    );
  });
});

describe('percentages', () => {
  it.each([
    [0, 0, '100.00%'],
    [0, 3, '0.00%'],
    [1, 3, '33.33%'],
    [2, 3, '66.67%'],
    [1, 200000, '0.00%'],
    [3, 3, '100.00%'],
    [199999, 200000, '99.99%'],
  ])('%i of %i is %s', (done, total, text) => {
    expect(formatPercent(done, total)).toBe(text);
  });

  it('are 100 exactly when all is done, and never fall', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 50 }), fc.double({ min: 0, max: 1, noNaN: true }), (total, part) => {
        const done = Math.floor(total * part);
        const now = percentHundredths(done, total);
        expect(now === 10000).toBe(done === total);
        expect(percentHundredths(done + 1, total)).toBeGreaterThanOrEqual(now);
      }),
    );
  });
});
