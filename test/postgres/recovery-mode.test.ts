/** Which servers take a failing restore_command for the end of WAL. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
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
