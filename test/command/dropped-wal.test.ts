import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { readDroppedWal, recordDroppedWal } from '../../src/command/dropped-wal.ts';

const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-dropped-'));
const root = join(folder, 'archive/demo');
const size = 1024 * 1024;
const segment = (number: number, timeline = 1): string =>
  `${timeline.toString(16).padStart(8, '0')}00000000${number.toString(16).toUpperCase().padStart(8, '0')}`;
const record = (names: readonly string[], now: number) =>
  recordDroppedWal(
    root,
    names.map(name => ({ name, size })),
    size,
    now,
  );

beforeEach(() => rmSync(root, { recursive: true, force: true }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('neighbours are one range, over several runs', () => {
  expect(readDroppedWal(root)).toEqual([]);
  record([segment(4), segment(5)], 100);
  record([segment(6)], 200);
  record([segment(9), segment(10, 2), '00000003.history'], 300);
  expect(readDroppedWal(root)).toEqual([
    { first: segment(4), last: segment(6), count: 3, size: 3 * size, start: 100, stop: 200 },
    { first: segment(9), last: segment(9), count: 1, size, start: 300, stop: 300 },
    { first: segment(10, 2), last: segment(10, 2), count: 1, size, start: 300, stop: 300 },
    { first: '00000003.history', last: '00000003.history', count: 1, size, start: 300, stop: 300 },
  ]);
  expect(readdirSync(root)).toEqual(['dropped.json']);
});

test('what was recorded before a kill is not counted again', () => {
  record([segment(4), segment(5)], 100);
  record([segment(4), segment(5), segment(6)], 101);
  expect(readDroppedWal(root)).toMatchObject([{ first: segment(4), last: segment(6), count: 3 }]);
});

test('the record stays small, and loses nothing of its sums', () => {
  for (let day = 0; day < 3; day++) {
    record(
      Array.from({ length: 400 }, (_, n) => segment((day * 400 + n) * 2)),
      day,
    );
  }
  const ranges = readDroppedWal(root);
  expect(ranges.length).toBeLessThanOrEqual(500);
  expect(ranges[0]).toMatchObject({ first: segment(0), start: 0 });
  expect(ranges.reduce((sum, { count }) => sum + count, 0)).toBe(1200);
});

test.each(['', '[]', '{"dropped":1}', '{"dropped":[{"first":1}]}', '{"dropped":[', 'x'.repeat(2_000_000)])(
  'a damaged record is an error to read, and set aside to go on (%#)',
  text => {
    record([segment(1)], 1);
    writeFileSync(join(root, 'dropped.json'), text);
    expect(() => readDroppedWal(root)).toThrow(/record/);
    expect(record([segment(2)], 2)?.kind).toBe('format');
    expect(readDroppedWal(root)).toMatchObject([{ first: segment(2) }]);
    expect(readFileSync(join(root, 'dropped.json.damaged'), 'utf8')).toBe(text);
  },
);
