import { describe, expect, test } from 'vitest';
import { markdown, ratios, spread } from './report.ts';
import { rows, selectRows } from './rows.ts';

describe('the numbers of the bench', () => {
  test('a median is the middle, or the mean of the two in the middle', () => {
    expect(spread([3, 1, 2])).toEqual({ median: 2, lowest: 1, highest: 3 });
    expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, lowest: 1, highest: 4 });
    expect(() => spread([])).toThrow('no values');
  });

  test('a ratio is taken within each pair', () => {
    expect(ratios([1, 20], [2, 10])).toEqual([0.5, 2]);
  });

  test('the table shows medians, ratios with their spread, and memory', () => {
    const ours = { wall: [1, 2, 3], cpu: [1, 1, 1], peak: 50e6, largest: 40e6 };
    const theirs = { wall: [2, 2, 2], cpu: [2, 4, 2], peak: 25e6, largest: 12e6 };
    expect(markdown({ rows: [{ name: 'a', ours, theirs }], failed: [] }).split('\n')[2]).toBe(
      '| a | 2.00 s | 2.00 s | **1.00** (0.50–1.50) | **0.50** (0.25–0.50) | 50 MB | 25 MB | 40 MB | 12 MB |',
    );
    expect(markdown({ rows: [{ name: 'a', ours, emptyNode: [1, 1, 1] }], failed: [] })).toContain(
      '2.00 of an empty Node program',
    );
    const counted = { ...ours, requests: { GetObject: 2, ListObjectsV2: 1 } };
    const withRequests = markdown({
      rows: [
        { name: 'a', ours: counted, theirs: { ...theirs, requests: { GetObject: 4 } } },
        { name: 'b', ours, theirs },
      ],
      failed: [],
    }).split('\n');
    expect(withRequests[2]).toContain('| 12 MB | 3 | 4 | **0.75** |');
    expect(withRequests[3]).toContain('| 12 MB |  |  |  |');
    const rest = markdown({ rows: [{ name: 'a', ours, pairs: 3 }], failed: [{ name: 'b', error: 'no|pe\nmore' }] });
    expect(rest).toContain('| a (3 pairs) | 2.00 s |');
    expect(rest.split('\n').at(-1)).toBe(`| b | failed: no/pe${' | '.repeat(7)} |`);
  });
});

describe('the rows of the bench', () => {
  test('have names of their own', () => {
    expect(new Set(rows.map(row => row.name)).size).toBe(rows.length);
  });

  test('are selected by pattern', () => {
    expect(selectRows(['*'])).toHaveLength(rows.length);
    expect(selectRows([])).toEqual(rows.filter(row => row.onRequest !== true));
    expect(selectRows(['version', 'size/backup-lz4-*']).map(row => row.name)).toEqual([
      'version',
      'size/backup-lz4-1',
      'size/backup-lz4-2',
    ]);
    expect(selectRows(['vers.on'])).toEqual([]);
  });
});
