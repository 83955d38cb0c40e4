import { describe, expect, test } from 'vitest';
import { chart } from './chart.ts';
import { columnsOf, compare } from './comparison.ts';
import { parseResult, type Result, type RowResult } from './result.ts';
import { summarized } from './summary.ts';

const row = (name: string, ours: number, theirs: number, target = 1): RowResult => ({
  name,
  target,
  ours: { wall: [ours], cpu: [ours], peak: 60e6, largest: 50e6 },
  theirs: { wall: [theirs], cpu: [theirs * 2], peak: 20e6, largest: 10e6 },
});

const result = (node: string, rows: readonly RowResult[], more: Partial<Result> = {}): Result => ({
  date: '2026-01-02T03:04:05.000Z',
  machine: { processors: '2 x fast' },
  versions: { Node: node, ours: 'a', theirs: 'b' },
  pairs: 5,
  clusters: {},
  rows,
  latencies: [],
  failed: [],
  ...more,
});

const call = { name: 'call', ours: [0.002], theirs: [0.004], emptyNode: [0.02], shell: [0.001], target: 1 };

describe('results side by side', () => {
  test('have a column group for each Node', () => {
    const columns = columnsOf(
      [result('20.1.0', [row('x', 1, 2), row('y', 3, 2)]), result('26.1.0', [row('x', 1.5, 2)], { latencies: [call] })],
      ['y', 'x'],
    );
    const lines = compare(columns).split('\n');
    expect(lines).toContain(
      '| x | 1.00 | 1.00 s, 2.00 s | **0.50** (0.50–0.50) | **0.25** | 60 MB, 20 MB | 50 MB, 10 MB | 1.50 s, 2.00 s | **0.75** (0.75–0.75) | **0.38** | 60 MB, 20 MB | 50 MB, 10 MB |',
    );
    expect(lines).toContain(
      '| y | 1.00 | 3.00 s, 2.00 s | **1.50** (1.50–1.50) missed | **0.75** | 60 MB, 20 MB | 50 MB, 10 MB |  |  |  |  |  |',
    );
    expect(lines.findIndex(line => line.startsWith('| y'))).toBeLessThan(
      lines.findIndex(line => line.startsWith('| x')),
    );
    expect(lines).toContain('| call | 1.00 |  |  |  |  |  | 2.0 ms, 4.0 ms | **0.50** (0.50–0.50) |  |  |  |');
    expect(lines).toContain('Node 20.1.0. Missed:');
    expect(lines).toContain('Node 26.1.0. Every row is what it is to be.');
  });

  test('of the same programs are one: of a row that both have the later counts', () => {
    const columns = columnsOf(
      [
        result('20.1.0', [row('x', 1, 2), row('y', 1, 2)], { failed: [{ name: 'z', error: 'no' }] }),
        result('20.1.0', [row('x', 2, 2), row('z', 1, 1)], { failed: [{ name: 'y', error: 'no' }] }),
      ],
      ['x', 'y', 'z'],
    );
    expect(columns.map(({ label }) => label)).toEqual(['Node 20.1.0']);
    expect(columns[0]?.result.rows.map(({ name, ours }) => [name, ours.wall[0]])).toEqual([
      ['x', 2],
      ['y', 1],
      ['z', 1],
    ]);
    expect(columns[0]?.result.failed).toEqual([]);
  });

  test('of the same Node beside another release are told apart', () => {
    const other = result('20.1.0', [], { versions: { Node: '20.1.0', ours: 'a', theirs: 'c' } });
    expect(columnsOf([result('20.1.0', []), other], []).map(({ label }) => label)).toEqual([
      'Node 20.1.0, a beside b',
      'Node 20.1.0, a beside c',
    ]);
  });
});

test('a file of results is read as it was written, and has what the numbers come to', () => {
  const written = summarized(result('20.1.0', [row('x', 1, 2, 0.4)], { latencies: [call] }));
  expect(parseResult(JSON.stringify(written))).toEqual(written);
  expect(written.rows[0]?.summary).toEqual({
    ours: 1,
    theirs: 2,
    time: { median: 0.5, lowest: 0.5, highest: 0.5 },
    cpu: { median: 0.25, lowest: 0.25, highest: 0.25 },
    target: 0.4,
    met: false,
  });
  expect(written.latencies[0]?.summary).toMatchObject({ ours: 0.002, met: true });
  for (const text of ['null', '{}', '[]', '{"rows":[]}'])
    expect(() => parseResult(text)).toThrow('no result of the bench');
});

describe('the chart', () => {
  const svg = chart(
    columnsOf([result('20.1.0', [row('a<b', 1, 4), row('y', 3, 2)]), result('26.1.0', [row('y', 2, 2)])], []),
  );
  const attribute = (line: string, name: string) => Number(new RegExp(` ${name}="([^"]*)"`).exec(line)?.[1]);
  const bars = svg.split('\n').filter(line => /^<rect class="(met|missed)/.test(line) && !line.includes('y="54"'));

  test('has a bar for each ratio, on its side of 1', () => {
    expect(bars).toHaveLength(3);
    const one = attribute(svg.split('\n').find(line => line.startsWith('<line class="one"')) ?? '', 'x1');
    const [met = '', missed = '', later = ''] = bars;
    expect(met).toContain('class="met"');
    expect(attribute(met, 'x') + attribute(met, 'width')).toBeCloseTo(one, 0);
    expect(missed).toContain('class="missed"');
    expect(attribute(missed, 'x')).toBe(one);
    expect(later).toContain('class="met later"');
    // a quarter is twice as far from 1 as a half is
    expect(attribute(met, 'width') / attribute(missed, 'width')).toBeCloseTo(Math.log(4) / Math.log(1.5), 1);
  });

  test('tells its content to who cannot see it, as text that is well formed', () => {
    expect(svg).toContain('<title id="title">Time of pgbackstop as a part of the time of b</title>');
    expect(svg).toContain('a&lt;b 0.25 and not measured; y 1.50 and 1.00.');
    expect(svg).not.toMatch(/a<b/);
    // every element that is opened is closed
    const open: string[] = [];
    for (const [, end, name = '', self] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
      if (end) expect(open.pop()).toBe(name);
      else if (!self) open.push(name);
    }
    expect(open).toEqual([]);
  });

  test('is not drawn of nothing', () => {
    expect(() => chart(columnsOf([result('20.1.0', [])], []))).toThrow('nothing to draw');
  });
});
