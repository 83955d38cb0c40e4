import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes } from '../../src/base/json.ts';
import { type BackupLabel, formatLabel, fullLabelOf, isBackupLabel, typeOfLabel } from '../../src/repo/label.ts';

const seconds = fc.integer({ min: 0, max: 4102444800 });

describe('labels', () => {
  it.each<[string, boolean]>([
    ['20261121-020956F', true],
    ['20261121-020956F_20261121-030000D', true],
    ['20261121-020956F_20261121-030000I', true],
    ['20261121-020956F_20261121-030000F', false],
    ['20261121-020956D', false],
    ['20261121-020956F/..', false],
    ['20261121-020956F\n', false],
    [' 20261121-020956F', false],
    ['latest', false],
    ['', false],
  ])('%j: %s', (text, is) => {
    expect(isBackupLabel(text)).toBe(is);
  });

  it('tell their type and their full backup', () => {
    fc.assert(
      fc.property(seconds, seconds, (start, later) => {
        const full = formatLabel('full', start);
        expect([isBackupLabel(full), typeOfLabel(full), fullLabelOf(full)]).toEqual([true, 'full', full]);
        for (const type of ['diff', 'incr'] as const) {
          const label = formatLabel(type, later, full);
          expect([isBackupLabel(label), typeOfLabel(label), fullLabelOf(label)]).toEqual([true, type, full]);
        }
      }),
    );
  });

  it('sort by time, and a full backup before what builds on it', () => {
    // local time goes back once a year; two days apart it cannot
    fc.assert(
      fc.property(seconds, fc.integer({ min: 172800, max: 10_000_000 }), (start, apart) => {
        const [a, b] = [formatLabel('full', start), formatLabel('full', start + apart)];
        expect(compareBytes(a, b)).toBeLessThan(0);
        const builds: BackupLabel = formatLabel('incr', start + apart, a);
        expect(compareBytes(a, builds)).toBeLessThan(0);
        expect(compareBytes(builds, b)).toBeLessThan(0);
      }),
    );
  });
});
