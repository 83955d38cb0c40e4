/** Which servers take a failing restore_command for the end of WAL. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { endsRecoveryOnFailure } from '../../src/postgres/recovery-mode.ts';

const running = { 'postmaster.pid': '1' };
test.each<[string, Record<string, string>, boolean]>([
  ['no server', { 'recovery.signal': '' }, false],
  ['archive recovery', { ...running, 'recovery.signal': '' }, true],
  ['a standby', { ...running, 'standby.signal': '' }, false],
  ['both: a standby', { ...running, 'recovery.signal': '', 'standby.signal': '' }, false],
  ['crash recovery', running, false],
  ['before 12', { ...running, 'recovery.conf': "restore_command = 'x'\n#standby_mode = on\n" }, true],
  ['a standby before 12', { ...running, 'recovery.conf': "standby_mode = off\n standby_mode='on'\n" }, false],
  ['no standby before 12', { ...running, 'recovery.conf': 'standby_mode = off\n' }, true],
])('%s', (_, files, expected) => {
  const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-recovery-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    expect(endsRecoveryOnFailure(folder)).toBe(expected);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe('where a look fails', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pgbackstop-recovery-'));
    writeFileSync(join(folder, 'postmaster.pid'), '1');
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  /** A link to itself: no look at it tells anything. */
  const spoil = (name: string): void => symlinkSync(name, join(folder, name));

  it('a recovery may be under way', () => {
    spoil('recovery.signal');
    expect(endsRecoveryOnFailure(folder)).toBe(true);
  });

  it('nothing says that it is a standby', () => {
    writeFileSync(join(folder, 'recovery.signal'), '');
    spoil('standby.signal');
    expect(endsRecoveryOnFailure(folder)).toBe(true);
  });

  it('nor does a recovery.conf that cannot be read', () => {
    mkdirSync(join(folder, 'recovery.conf'));
    expect(endsRecoveryOnFailure(folder)).toBe(true);
  });

  it('a path that is no directory is no server', () => {
    expect(endsRecoveryOnFailure(join(folder, 'postmaster.pid'))).toBe(false);
  });
});
