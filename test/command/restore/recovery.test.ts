import { expect, it } from 'vitest';
import { mergeAutoConf } from '../../../src/command/restore/recovery.ts';

it('postgresql.auto.conf keeps its bytes, whatever the encoding of the server is', () => {
  const old = Buffer.from("search_path = 'caf\xe9'\n# \xe0\xa0", 'latin1');
  const merged = mergeAutoConf(old, new Map([['restore_command', 'é %f']]), 0);
  expect(merged.subarray(0, old.length).equals(old)).toBe(true);
  expect(merged.subarray(old.length).toString()).toMatch(/^\n\n# Recovery settings .*\nrestore_command = 'é %f'\n$/);
});

it('without settings it is what it was, but for old targets and blank ends', () => {
  const merged = mergeAutoConf(Buffer.from("\n\na = '1'\nrecovery_target_time='x'\n\n"), undefined, 0);
  expect(merged.toString()).toMatch(/^a = '1'\n# Removed by pgBackRest restore on .* # recovery_target_time='x'\n$/);
  expect(mergeAutoConf(Buffer.from(' \n'), undefined, 0)).toHaveLength(0);
});
