import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { BackstopError } from '../../src/base/error.ts';
import {
  claimSpool,
  isSpoolOf,
  readStatus,
  spoolPaths,
  warningOf,
  writeError,
  writeOk,
} from '../../src/command/spool.ts';

const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-spool-'));
const paths = spoolPaths(folder, 'demo');
const name = '000000010000000000000004';
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(paths.out, { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const put = (file: string, content: string): void => writeFileSync(join(paths.out, file), content);

describe('status files', () => {
  test('have the bytes that pgBackRest writes', () => {
    writeOk(paths.out, name);
    expect(readFileSync(join(paths.out, `${name}.ok`), 'utf8')).toBe('');
    writeOk(paths.out, name, 'look out\nHINT: there');
    expect(readFileSync(join(paths.out, `${name}.ok`), 'utf8')).toBe('0\nlook out\nHINT: there');
    writeError(paths.out, 'global', new BackstopError('archive-mismatch', 'no', { hint: ['a', 'b'] }));
    expect(readFileSync(join(paths.out, 'global.error'), 'utf8')).toBe('44\nno\nHINT: a\nHINT: b');
    expect(readdirSync(paths.out).sort()).toEqual([`${name}.ok`, 'global.error']);
  });

  test('come back as they were', () => {
    expect(readStatus(paths.out, name)).toBeUndefined();
    writeError(paths.out, 'global', new BackstopError('stop', 'all'));
    expect(readStatus(paths.out, name)).toMatchObject({ kind: 'error', error: { kind: 'stop', message: 'all' } });
    writeError(paths.out, name, new BackstopError('archive-mismatch', 'one\nHINTS of\nmore', { hint: ['a', 'b'] }));
    expect(readStatus(paths.out, name)).toMatchObject({
      error: { kind: 'archive-mismatch', message: 'one\nHINTS of\nmore', hints: ['a', 'b'] },
    });
    writeOk(paths.out, name, 'w');
    expect(readStatus(paths.out, name)).toMatchObject({ kind: 'ok', note: { code: 0, message: 'w' } });
  });

  test('an error that fits into no status is cut, and can be read', () => {
    writeError(paths.out, name, new BackstopError('command', 'x'.repeat(1_000_000)));
    expect(readStatus(paths.out, name)).toMatchObject({ kind: 'error', error: { code: 104 } });
  });

  test.each(['5', '5\n', '5\n \n', 'x\ny', '-1\ny', '\ny', '9999\nz'])('%j is no status', content => {
    put(`${name}.ok`, content);
    expect(() => readStatus(paths.out, name)).toThrow(expect.objectContaining({ kind: 'format' }));
  });

  test.each(['', '0\nfine'])('%j is no error', content => {
    put(`${name}.error`, content);
    expect(() => readStatus(paths.out, name)).toThrow(expect.objectContaining({ kind: 'format' }));
  });

  test('a code that nobody knows is an unknown error', () => {
    put(`${name}.error`, '199\nfrom the future');
    expect(readStatus(paths.out, name)).toMatchObject({ error: { code: 125, message: 'from the future' } });
  });

  test('are not older than the file they speak of, though the clock was set back', () => {
    const future = Date.now() + 3_600_000;
    writeOk(paths.out, name, undefined, future);
    expect(statSync(join(paths.out, `${name}.ok`)).mtimeMs).toBeGreaterThanOrEqual(future);
  });

  test('an error that was made an .ok by hand is told', () => {
    expect(warningOf(name, { code: 55, message: 'gone' })).toBe(
      `WAL segment '${name}' was not pushed due to error [55] and was manually skipped: gone`,
    );
  });
});

describe('the cluster of a spool', () => {
  const mine = { systemId: 18_000_000_000_000_000_001n, version: '15' };

  test('one that says nothing may be of any, and becomes that of the first', () => {
    put(`${name}.ok`, '');
    expect(isSpoolOf(paths, mine)).toBe(true);
    expect(claimSpool(paths, mine)).toBe(false);
    expect(readdirSync(paths.out)).toEqual([`${name}.ok`]);
    expect(isSpoolOf(paths, mine)).toBe(true);
    for (const other of [
      { ...mine, systemId: mine.systemId + 1n },
      { ...mine, version: '16' },
    ])
      expect(isSpoolOf(paths, other)).toBe(false);
  });

  test('what is of another is removed, and only then', () => {
    claimSpool(paths, { ...mine, version: '14' });
    put(`${name}.ok`, '');
    writeFileSync(join(paths.root, 'dropped.json'), '{}');
    expect(claimSpool(paths, mine)).toBe(true);
    expect(readdirSync(paths.out)).toEqual([]);
    expect(readdirSync(paths.root).sort()).toEqual(['cluster', 'out']);
    put(`${name}.ok`, '');
    utimesSync(join(paths.root, 'cluster'), 1, 1);
    expect(claimSpool(paths, mine)).toBe(false);
    expect(readdirSync(paths.out)).toEqual([`${name}.ok`]);
  });
});
