import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { numberBundles, queueFiles, queueSources, widestBundle } from '../../../src/command/backup/queue.ts';
import { queueRestore } from '../../../src/command/restore/queue.ts';
import { FileTable, type NewManifestFile } from '../../../src/repo/manifest/file-table.ts';
import { emptyManifest, type ManifestHeader } from '../../../src/repo/manifest/manifest.ts';

const mebibyte = 1024 * 1024;

const plain = (index: number, fields: Partial<NewManifestFile>): NewManifestFile => ({
  name: `pg_data/base/1/${index}`,
  size: 0,
  sizeOriginal: 0,
  sizeRepo: 0,
  timestamp: 1,
  bundleId: 0,
  bundleOffset: 0,
  blockSize: 0,
  blockChecksumSize: 0,
  blockMapSize: 0,
  ...fields,
});

function tableOf(files: readonly Partial<NewManifestFile>[]): FileTable {
  const table = new FileTable();
  for (const [index, fields] of files.entries()) table.add(plain(index, fields));
  table.sort();
  return table;
}

const files = fc.array(
  fc.record({
    size: fc.oneof(fc.nat(20_000), fc.nat(30 * mebibyte)),
    timestamp: fc.nat(1000),
  }),
  { maxLength: 300 },
);
const all = (table: FileTable): number[] => Array.from({ length: table.length }, (_, index) => index);
const sum = (table: FileTable, indexes: readonly number[]): number =>
  indexes.reduce((bytes, index) => bytes + table.size(index), 0);

describe('the jobs of a backup', () => {
  it('hold each file once', () => {
    fc.assert(
      fc.property(
        files,
        fc.option(fc.constant({ size: 20 * mebibyte, limit: 2 * mebibyte }), { nil: undefined }),
        (list, bundle) => {
          const table = tableOf(list);
          const copy = all(table).filter(index => index % 3 !== 0);
          const queued = queueFiles(table, copy, bundle).flatMap(job => job.files);
          expect([...queued].sort((a, b) => a - b)).toEqual(copy);
        },
      ),
    );
  });

  it('start with the largest files, and small ones share a job of bounded size', () => {
    fc.assert(
      fc.property(files, list => {
        const table = tableOf(list);
        const jobs = queueFiles(table, all(table), undefined);
        const sizes = jobs.flatMap(job => job.files.map(index => table.size(index)));
        expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
        for (const job of jobs) {
          expect(job.files.length).toBeGreaterThan(0);
          expect(job.files.length).toBeLessThanOrEqual(64);
          if (job.files.length > 1) expect(sum(table, job.files)).toBeLessThanOrEqual(4 * mebibyte);
        }
      }),
    );
  });

  it('with bundles: files above the limit stand alone, the others fill numbered bundles, oldest first', () => {
    const bundle = { size: 5 * mebibyte, limit: mebibyte };
    fc.assert(
      fc.property(files, list => {
        const table = tableOf(list);
        const jobs = queueFiles(table, all(table), bundle);
        const numbers = numberBundles(table, jobs, bundle, () => true);
        const bundles = jobs.filter(job => job.files.some(index => numbers[index] !== 0));
        expect(bundles.map(job => [...new Set(job.files.map(index => numbers[index]))])).toEqual(
          bundles.map((_, at) => [at + 1]),
        );
        for (const job of jobs) {
          const sizes = job.files.map(index => table.size(index));
          if (!bundles.includes(job)) {
            expect(sizes).toHaveLength(1);
            expect(sizes[0]).toBeGreaterThan(bundle.limit);
          } else {
            expect(Math.max(...sizes)).toBeLessThanOrEqual(bundle.limit);
            // only the last file may go beyond
            expect(sum(table, job.files.slice(0, -1))).toBeLessThan(bundle.size);
          }
        }
        for (const job of bundles.slice(0, -1)) expect(sum(table, job.files)).toBeGreaterThanOrEqual(bundle.size);
        const times = bundles.flatMap(job => job.files.map(index => table.timestamp(index)));
        expect(times).toEqual([...times].sort((a, b) => a - b));
      }),
    );
  });
});

describe('the jobs of a backup from a standby', () => {
  it('read each file from its side, and number the bundles of both as one', () => {
    const bundle = { size: 5 * mebibyte, limit: mebibyte };
    fc.assert(
      fc.property(files, list => {
        const table = tableOf(list);
        const onStandby = (index: number) => index % 3 !== 0;
        const { primary, standby } = queueSources(table, all(table), bundle, onStandby);
        for (const job of primary) expect(job.files.some(onStandby)).toBe(false);
        for (const job of standby) expect(job.files.every(onStandby)).toBe(true);
        const jobs = [...primary, ...standby];
        expect(jobs.flatMap(job => job.files).sort((a, b) => a - b)).toEqual(all(table));
        const numbers = numberBundles(table, jobs, bundle, () => true);
        const ids = [...new Set(jobs.flatMap(job => job.files.map(index => numbers[index] ?? 0)))].filter(id => id > 0);
        expect(ids).toEqual(ids.map((_, at) => at + 1));
      }),
    );
  });
});

describe('the jobs of a backup to several repositories', () => {
  it('have room for the bundles of each, which keep to their own options', () => {
    const options = [{ size: 5 * mebibyte, limit: mebibyte }, undefined, { size: 2 * mebibyte, limit: 3 * mebibyte }];
    const widest = widestBundle(options);
    expect(widest).toEqual({ size: 5 * mebibyte, limit: 3 * mebibyte });
    expect(widestBundle([undefined])).toBeUndefined();
    fc.assert(
      fc.property(files, list => {
        const table = tableOf(list);
        const jobs = queueFiles(table, all(table), widest);
        for (const [repo, bundle] of options.entries()) {
          const takes = (index: number) => index % 4 !== repo;
          const numbers = numberBundles(table, jobs, bundle, takes);
          const bundles = new Map<number, number[]>();
          for (const [job, { files: indexes }] of jobs.entries()) {
            for (const index of indexes) {
              const isSmall = bundle !== undefined && table.size(index) <= bundle.limit;
              expect(numbers[index] !== 0).toBe(isSmall && takes(index));
              if (numbers[index] === 0) continue;
              const key = (numbers[index] ?? 0) * 1000 + job;
              bundles.set(key, [...(bundles.get(key) ?? []), index]);
            }
          }
          // numbered without a gap in the order in which they are written, none in two jobs
          expect([...bundles.keys()].map(key => Math.floor(key / 1000))).toEqual([...bundles].map((_, at) => at + 1));
          for (const indexes of bundles.values()) {
            expect(sum(table, indexes.slice(0, -1))).toBeLessThan(bundle?.size ?? 0);
          }
        }
      }),
    );
  });
});

describe('the jobs of a restore', () => {
  it('hold each file once, and members of a bundle together in the order in which they lie there', () => {
    const bundled = fc.array(
      fc.record({
        size: fc.nat(mebibyte),
        bundleId: fc.nat(3),
        bundleOffset: fc.nat(10_000_000),
        reference: fc.constantFrom('20261120-000000F', '20261119-000000F'),
      }),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(bundled, fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }), (list, workers) => {
        const manifest = { ...emptyManifest({} as ManifestHeader), files: tableOf(list) };
        const jobs = queueRestore(manifest, workers);
        expect(jobs.flat().sort((a, b) => a - b)).toEqual(all(manifest.files));
        for (const job of jobs) {
          const members = job.map(index => manifest.files.get(index));
          expect(
            new Set(members.map(file => (file.bundleId === 0 ? '' : `${file.reference}/${file.bundleId}`))).size,
          ).toBe(1);
          if (members[0]?.bundleId === 0) continue;
          const offsets = members.map(file => file.bundleOffset);
          expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
        }
      }),
    );
  });
});
