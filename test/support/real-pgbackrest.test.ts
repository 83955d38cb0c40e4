import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findRealPgbackrest, isSince, requireCompat } from './real-pgbackrest.ts';

/** An executable that answers to `version` with the given line. */
function install(folder: string, name: string, line: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\necho '${line}'\n`);
  chmodSync(path, 0o755);
  return path;
}

describe('the search for the real pgBackRest', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pgbackstop-real-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('finds it on PATH with its version', () => {
    const path = install(folder, 'pgbackrest', 'pgBackRest 2.45');
    expect(findRealPgbackrest({ PATH: `/nonexistent:${folder}` })).toEqual({ path, version: '2.45' });
  });

  test('passes over our own executable of that name', () => {
    install(folder, 'pgbackrest', 'pgBackRest 2.59.1 (pgbackstop 0.1.0)');
    expect(findRealPgbackrest({ PATH: folder })).toBeUndefined();
  });

  test('takes the one that is named', () => {
    const path = install(folder, 'other', 'pgBackRest 2.59.1');
    expect(findRealPgbackrest({ PATH: '', PGBACKSTOP_REAL_PGBACKREST: path })).toEqual({ path, version: '2.59.1' });
  });

  test.each([
    ['2.45', '2.45', true],
    ['2.45', '2.46', false],
    ['2.59.1', '2.59', true],
    ['2.59.1', '2.6', true],
    ['2.60', '2.59.1', true],
    ['2.59', '2.59.1', false],
    ['2.59dev', '2.46', true],
  ])('%s is since %s: %s', (version, level, expected) => {
    expect(isSince({ path: '/x', version }, level)).toBe(expected);
    expect(isSince(undefined, level)).toBe(false);
  });

  test('lets a suite be skipped, unless that is forbidden', () => {
    expect(requireCompat({ PATH: folder })).toBeUndefined();
    expect(() => requireCompat({ PATH: folder, PGBACKSTOP_REQUIRE_COMPAT: '1' })).toThrow(/PGBACKSTOP_REQUIRE_COMPAT/);
  });
});
