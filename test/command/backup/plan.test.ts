import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planBackup } from '../../../src/command/backup/plan.ts';
import type { BackupLabel } from '../../../src/repo/label.ts';
import type { NewManifestFile } from '../../../src/repo/manifest/file-table.ts';
import {
  emptyChecksum,
  emptyManifest,
  type Manifest,
  type ManifestHeader,
} from '../../../src/repo/manifest/manifest.ts';

const full = '20261121-020956F' as BackupLabel;
const older = '20261120-020956F' as BackupLabel;
const incr = `${full}_20261122-020956I` as BackupLabel;
const sum = 'ab'.repeat(20);

function manifestOf(
  label: BackupLabel,
  files: readonly Partial<NewManifestFile>[],
  { bundle = false, backupStandby = false } = {},
): Manifest {
  const manifest = emptyManifest({ label, bundle, timestampStart: 100, options: { backupStandby } } as ManifestHeader);
  for (const fields of files) {
    const size = fields.size ?? 8192;
    manifest.files.add({
      name: 'pg_data/x',
      size,
      sizeOriginal: size,
      sizeRepo: size,
      timestamp: 100,
      bundleId: 0,
      bundleOffset: 0,
      blockSize: 0,
      blockChecksumSize: 0,
      blockMapSize: 0,
      mode: 0o600,
      user: 'postgres',
      group: 'postgres',
      ...fields,
    });
  }
  manifest.files.sort();
  return manifest;
}

describe('without a prior backup', () => {
  it('every file is copied', () => {
    const manifest = manifestOf(full, [{ name: 'pg_data/a' }, { name: 'pg_data/b', size: 0 }]);
    expect(planBackup(manifest, undefined, false)).toEqual({ copy: [0, 1], copySize: 8192, empty: [], references: [] });
  });

  it('and with bundles an empty file is in the manifest only', () => {
    const manifest = manifestOf(full, [{ name: 'pg_data/a' }, { name: 'pg_data/b', size: 0 }], { bundle: true });
    expect(planBackup(manifest, undefined, false)).toMatchObject({ copy: [0], empty: [1] });
    expect(manifest.files.get(1)).toMatchObject({ checksum: emptyChecksum, sizeRepo: 0 });
  });
});

describe('with a prior backup', () => {
  const before = { name: 'pg_data/a', checksum: sum, timestamp: 100 };
  it.each<
    [
      what: string,
      now: Partial<NewManifestFile>,
      prior: Omit<Partial<NewManifestFile>, 'checksum'> & { readonly checksum?: string | undefined },
      delta: boolean,
      stored: string | undefined,
    ]
  >([
    ['same size and time', {}, {}, false, full],
    ['another time', { timestamp: 101 }, {}, false, undefined],
    ['an older time', { timestamp: 99 }, {}, false, undefined],
    ['another size', { size: 16384 }, {}, false, undefined],
    ['same size and time, but delta', {}, {}, true, undefined],
    ['no checksum there', {}, { checksum: undefined }, false, undefined],
    ['stored in a backup before that', {}, { reference: older }, false, older],
    ['empty, at another time', { size: 0, timestamp: 101 }, { size: 0, checksum: emptyChecksum }, false, full],
  ])('%s', (_, now, prior, delta, stored) => {
    const manifest = manifestOf(incr, [{ name: 'pg_data/a', timestamp: 100, ...now }]);
    const { checksum, ...rest } = { ...before, ...prior };
    const priorManifest = manifestOf(full, [{ ...rest, ...(checksum === undefined ? {} : { checksum }) }]);
    const plan = planBackup(manifest, priorManifest, delta);
    if (stored === undefined) {
      expect(plan).toMatchObject({ copy: [0], references: [] });
      expect(manifest.files.get(0).reference).toBeUndefined();
    } else {
      expect(plan).toMatchObject({ copy: [], references: [{ index: 0, label: stored }] });
      expect(manifest.files.get(0).reference).toBe(stored);
    }
  });

  it.each<[what: string, name: string, timestamp: number, stored: string | undefined]>([
    ['written before the backup began', 'pg_data/base/1/2', 99, full],
    ['written since then, which may not have come to the standby', 'pg_data/base/1/2', 100, undefined],
    ['in a tablespace', 'pg_tblspc/16384/PG_15_202209061/5/6', 101, undefined],
    ['copied from the primary', 'pg_data/postgresql.conf', 101, full],
  ])('from a standby, a file %s', (_, name, timestamp, stored) => {
    const file = { name, timestamp, checksum: sum };
    const prior = manifestOf(full, [file], { backupStandby: true });
    const { references } = planBackup(manifestOf(incr, [{ name, timestamp }]), prior, false);
    expect(references).toEqual(stored === undefined ? [] : [{ index: 0, label: stored }]);
    const fromPrimary = planBackup(manifestOf(incr, [{ name, timestamp }]), manifestOf(full, [file]), false);
    expect(fromPrimary.references).toHaveLength(1);
  });

  it('what is taken over has its bytes of then, and its time, mode and owner of now', () => {
    const manifest = manifestOf(incr, [{ name: 'pg_data/a', mode: 0o640, user: 'new', group: false }]);
    const prior = manifestOf(full, [
      { ...before, sizeRepo: 77, checksumRepo: 'cd'.repeat(20), bundleId: 3, bundleOffset: 9, checksumPage: true },
    ]);
    planBackup(manifest, prior, false);
    expect(manifest.files.get(0)).toMatchObject({
      ...{
        sizeRepo: 77,
        checksum: sum,
        checksumRepo: 'cd'.repeat(20),
        bundleId: 3,
        bundleOffset: 9,
        checksumPage: true,
      },
      ...{ timestamp: 100, mode: 0o640, user: 'new', group: false, reference: full },
    });
  });

  it('every file is copied, empty, or has bytes in a backup that the prior one knows', () => {
    const file = fc.record({
      name: fc.nat(40).map(number => `pg_data/base/1/${number}`),
      size: fc.constantFrom(0, 8192, 16384),
      timestamp: fc.constantFrom(100, 101),
      checksum: fc.constantFrom(sum, 'cd'.repeat(20)),
      reference: fc.constantFrom(older, full),
    });
    const list = fc.uniqueArray(file, { selector: ({ name }) => name });
    fc.assert(
      fc.property(list, list, fc.boolean(), fc.boolean(), (now, prior, delta, bundle) => {
        const manifest = manifestOf(
          incr,
          now.map(({ checksum: _, reference: __, ...rest }) => rest),
          { bundle },
        );
        const priorManifest = manifestOf(
          full,
          prior.map(({ reference, ...rest }) => (reference === full ? rest : { ...rest, reference })),
        );
        const plan = planBackup(manifest, priorManifest, delta);
        const seen = [...plan.copy, ...plan.empty, ...plan.references.map(({ index }) => index)].sort((a, b) => a - b);
        expect(seen).toEqual(now.map((_, index) => index));
        expect(plan.copySize).toBe(plan.copy.reduce((bytes, index) => bytes + manifest.files.size(index), 0));
        for (const { index, label } of plan.references) {
          const then = prior.find(({ name }) => name === manifest.files.name(index));
          expect(label).toBe(then?.reference);
          expect(manifest.files.size(index)).toBe(then?.size);
        }
      }),
    );
  });
});
