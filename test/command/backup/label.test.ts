import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes } from '../../../src/base/json.ts';
import { chooseLabel, knownLabels } from '../../../src/command/backup/label.ts';
import { type BackupLabel, formatLabel } from '../../../src/repo/label.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';

const start = 1795226996;
const full = formatLabel('full', start);

describe('the label of a new backup', () => {
  it('is its second, or the next one when that is taken', () => {
    expect(chooseLabel('full', start, [])).toEqual({ label: full, seconds: start });
    expect(chooseLabel('full', start, [full])).toEqual({ label: formatLabel('full', start + 1), seconds: start + 1 });
  });

  it('is refused when a newer one is there', () => {
    const newer = formatLabel('full', start + 2);
    expect(() => chooseLabel('full', start, [newer])).toThrow(
      `new backup label '${full}' is not later than latest backup label '${newer}'`,
    );
  });

  it('of a diff or incr is compared within its own set', () => {
    const other = formatLabel('full', start + 1000);
    const { label } = chooseLabel('incr', start + 10, [full, other], full);
    expect(label).toBe(formatLabel('incr', start + 10, full));
    const taken = formatLabel('diff', start + 20, full);
    expect(() => chooseLabel('incr', start + 10, [full, other, taken], full)).toThrow(taken);
  });

  it('is later than all that are known, or there is none', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 })), offsets => {
        const known = offsets.map(offset => formatLabel('full', start + offset));
        let label: BackupLabel | undefined;
        try {
          ({ label } = chooseLabel('full', start, known));
        } catch (error) {
          expect(error).toMatchObject({ kind: 'clock' });
          expect(Math.max(...offsets)).toBeGreaterThan(0);
        }
        for (const other of known) if (label !== undefined) expect(compareBytes(label, other)).toBeGreaterThan(0);
      }),
    );
  });
});

it('labels are known from directories and from the newest year of the history', async () => {
  const root = mkdtempSync(join(tmpdir(), 'pgbackstop-label-'));
  try {
    const base = join(root, 'backup/demo');
    for (const name of [
      '20261121-020956F',
      'latest',
      'backup.history/2025',
      'backup.history/2026',
      'backup.history/notes',
    ]) {
      mkdirSync(join(base, name), { recursive: true });
    }
    writeFileSync(join(base, 'backup.history/2025/20250101-000000F.manifest.gz'), '');
    writeFileSync(join(base, 'backup.history/2026/20260101-000000F.manifest.gz'), '');
    writeFileSync(join(base, 'backup.history/2026/20260101-000000F.manifest.gz.pgbackrest.tmp'), '');
    const repo = new StanzaRepo(
      { key: 1, type: 'posix', path: root },
      openPosixStorage({ label: 'repo1', base: root }),
      'demo',
    );
    expect((await knownLabels(repo)).sort()).toEqual(['20260101-000000F', '20261121-020956F']);
  } finally {
    rmSync(root, { recursive: true });
  }
});
