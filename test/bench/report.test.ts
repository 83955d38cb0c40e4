import { describe, expect, test } from 'vitest';
import { latencyTable, markdown, missedList, tables } from './report.ts';
import { rows, selectRows } from './rows.ts';

describe('the table of the bench', () => {
  test('the table shows medians, ratios with their spread, and memory', () => {
    const ours = { wall: [1, 2, 3], cpu: [1, 1, 1], peak: 50e6, largest: 40e6 };
    const theirs = { wall: [2, 2, 2], cpu: [2, 4, 2], peak: 25e6, largest: 12e6 };
    expect(markdown({ rows: [{ name: 'a', ours, theirs }], failed: [] }).split('\n')[2]).toBe(
      '| a | 2.00 s | 2.00 s | **1.00** (0.50–1.50) | 1.00 met | **0.50** (0.25–0.50) | 50 MB | 25 MB | 40 MB | 12 MB |',
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
    const strict = markdown({ rows: [{ name: 'a', ours, theirs, target: 0.4, note: 'theirs is old' }], failed: [] });
    expect(strict).toContain('| a (theirs is old) |');
    expect(strict).toContain('| 0.40 **missed** |');
    const rest = markdown({ rows: [{ name: 'a', ours, pairs: 3 }], failed: [{ name: 'b', error: 'no|pe\nmore' }] });
    expect(rest).toContain('| a (3 pairs) | 2.00 s |');
    expect(rest.split('\n').at(-1)).toBe(`| b | failed: no/pe${' | '.repeat(8)} |`);
  });
});

test('single calls have a table of their own', () => {
  const calls = { emptyNode: [0.02], shell: [0.001] };
  const latencies = [
    {
      name: 'a',
      ours: [0.002, 0.004],
      theirs: [0.004, 0.008],
      ...calls,
      costs: { ours: { cpu: 0.003, peak: 1e6, largest: 30e6 }, theirs: { cpu: 0.002, peak: 1e6, largest: 10e6 } },
    },
    { name: 'b', ours: [0.002], ...calls },
  ];
  const lines = latencyTable(latencies).split('\n');
  expect(lines[2]).toBe(
    '| a | 2.0 ms | 4.0 ms | 4.0 ms | 8.0 ms | 20.0 ms | 1.0 ms | **0.50** (0.50–0.50) | 1.00 met | **1.50** | 30 MB | 10 MB |',
  );
  expect(lines[3]).toBe('| b | 2.0 ms | 2.0 ms |  |  | 20.0 ms | 1.0 ms |  |  |  |  |  |');
  expect(tables({ rows: [], failed: [], latencies })).toBe(lines.join('\n'));
  expect(tables({ rows: [], failed: [], latencies: [] })).toBe('');
});

test('work that nobody waits for has a time and a rate only', () => {
  const series = (seconds: number) => ({ wall: [seconds], cpu: [9], peak: 1e6, largest: 1e6 });
  const row = { name: 'a', ours: series(0.05), theirs: series(0.1), timeOnly: true, unit: 'segments' };
  expect(markdown({ rows: [row], failed: [] }).split('\n')[2]).toBe(
    '| a | 50.0 ms (20.0 segments/s) | 100 ms (10.0 segments/s) | **0.50** (0.50–0.50) | 1.00 met |  |  |  |  |  |',
  );
});

test('what is not as it is to be is named, the worst first', () => {
  const series = (wall: number, largest: number) => ({ wall: [wall], cpu: [wall], peak: largest, largest });
  const theirs = series(1, 20e6);
  const result = {
    rows: [
      { name: 'good', ours: series(1.004, 149e6), theirs },
      { name: 'slow', ours: series(1.2, 10e6), theirs },
      { name: 'slower', ours: series(0.6, 10e6), theirs, target: 0.4 },
      { name: 'large', ours: series(0.5, 212e6), theirs },
      { name: 'alone', ours: series(5, 1e6) },
    ],
    latencies: [{ name: 'call', ours: [0.003], theirs: [0.001], emptyNode: [0.02], shell: [0.001] }],
    failed: [{ name: 'broken', error: 'nope' }],
  };
  expect(missedList(result).split('\n')).toEqual([
    'Missed:',
    '',
    '- call: time 3.00 of theirs, 1.00 is the target',
    '- slower: time 0.60 of theirs, 0.40 is the target',
    '- slow: time 1.20 of theirs, 1.00 is the target',
    '- large: largest process 212 MB, 150 MB is the target',
    '- broken: not measured',
  ]);
  expect(missedList({ rows: result.rows.slice(0, 1), latencies: [], failed: [] })).toBe(
    'Every row is what it is to be.',
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
