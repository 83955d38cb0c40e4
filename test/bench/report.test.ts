import { describe, expect, test } from 'vitest';
import { latencyTable, markdown, quantile, ratios, spread, tables } from './report.ts';
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

test('what nineteen of twenty calls stay below', () => {
  const values = Array.from({ length: 100 }, (_, at) => 100 - at);
  expect([quantile(values, 0.5), quantile(values, 0.95), quantile(values, 1), quantile([7], 0.5)]).toEqual([
    50, 95, 100, 7,
  ]);
  expect(() => quantile([], 0.5)).toThrow('no values');
});

test('single calls have a table of their own', () => {
  const calls = { emptyNode: [0.02], shell: [0.001] };
  const latencies = [
    { name: 'a', ours: [0.002, 0.004], theirs: [0.004, 0.008], ...calls },
    { name: 'b', ours: [0.002], ...calls },
  ];
  const lines = latencyTable(latencies).split('\n');
  expect(lines[2]).toBe('| a | 2.0 ms | 4.0 ms | 4.0 ms | 8.0 ms | 20.0 ms | 1.0 ms | **0.50** |');
  expect(lines[3]).toBe('| b | 2.0 ms | 2.0 ms |  |  | 20.0 ms | 1.0 ms |  |');
  expect(tables({ rows: [], failed: [], latencies })).toBe(lines.join('\n'));
  expect(tables({ rows: [], failed: [], latencies: [] })).toBe('');
});

test('work that nobody waits for has a time and a rate only', () => {
  const series = (seconds: number) => ({ wall: [seconds], cpu: [9], peak: 1e6, largest: 1e6 });
  const row = { name: 'a', ours: series(0.05), theirs: series(0.1), timeOnly: true, unit: 'segments' };
  expect(markdown({ rows: [row], failed: [] }).split('\n')[2]).toBe(
    '| a | 50.0 ms (20.0 segments/s) | 100 ms (10.0 segments/s) | **0.50** (0.50–0.50) |  |  |  |  |  |',
  );
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
