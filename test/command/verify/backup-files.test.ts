import { describe, expect, test } from 'vitest';
import {
  nothingToDo,
  placeOf,
  queueFiles,
  readAlone,
  readFromBundle,
  taskOf,
} from '../../../src/command/verify/backup-files.ts';
import type { BackupLabel } from '../../../src/repo/label.ts';
import type { NewManifestFile } from '../../../src/repo/manifest/file-table.ts';
import { emptyManifest, type Manifest, type ManifestHeader } from '../../../src/repo/manifest/manifest.ts';

const label = '20261121-020932F' as BackupLabel;
const [sha, repoSha] = ['a'.repeat(40), 'b'.repeat(40)];

function manifestOf(files: readonly Partial<NewManifestFile>[], header: Partial<ManifestHeader> = {}): Manifest {
  const options = { compressType: 'gz' } as ManifestHeader['options'];
  const manifest = emptyManifest({ label, options, bundleRaw: false, ...header } as ManifestHeader);
  for (const [index, file] of files.entries()) {
    manifest.files.add({
      name: `pg_data/${String(index).padStart(4, '0')}`,
      size: 10,
      sizeOriginal: 10,
      sizeRepo: 5,
      timestamp: 0,
      checksum: sha,
      bundleId: 0,
      bundleOffset: 0,
      blockSize: 0,
      blockChecksumSize: 0,
      blockMapSize: 0,
      ...file,
    });
  }
  return manifest;
}

describe('jobs', () => {
  test('large files alone, then bundles in their order, then small files together', () => {
    const large = 5 * 1024 * 1024;
    const manifest = manifestOf([
      { sizeRepo: 3 },
      { bundleId: 2, bundleOffset: 20 },
      { sizeRepo: large },
      { bundleId: 1, bundleOffset: 0 },
      { bundleId: 2, bundleOffset: 10 },
      { sizeRepo: 4 },
      { sizeRepo: 7 },
      { bundleId: 2, bundleOffset: 5, reference: '20261120-020932F' },
    ]);
    const work = Uint8Array.from([
      readAlone,
      readFromBundle,
      readAlone,
      readFromBundle,
      readFromBundle,
      nothingToDo,
      readAlone,
      readFromBundle,
    ]);
    expect([...queueFiles(manifest, work)]).toEqual([[2], [4, 1, 3, 7], [0, 6]]);
  });

  test('hold up to 64 files and 4 MiB, and every file once', () => {
    const sizes = Array.from({ length: 1000 }, (_, index) => ({ sizeRepo: (index * 7919) % 300_000 }));
    const manifest = manifestOf(sizes);
    const jobs = [...queueFiles(manifest, new Uint8Array(1000).fill(readAlone))];
    expect(jobs.flat().sort((a, b) => a - b)).toEqual(sizes.map((_, index) => index));
    for (const job of jobs) {
      expect(job.length).toBeLessThanOrEqual(64);
      expect(job.reduce((sum, index) => sum + manifest.files.get(index).sizeRepo, 0)).toBeLessThanOrEqual(
        4 * 1024 * 1024,
      );
    }
    expect(jobs.length).toBeLessThan(60);
  });
});

describe('what is read', () => {
  const task = (file: Partial<NewManifestFile>, header: Partial<ManifestHeader> = {}) => {
    const manifest = manifestOf([file], header);
    return taskOf('demo', manifest, manifest.files.get(0));
  };

  test('stored bytes where their checksum is known, decoded ones elsewhere', () => {
    expect(task({ checksumRepo: repoSha })).toEqual({
      path: `/backup/demo/${label}/pg_data/0000.gz`,
      storedSize: 5,
      checksum: repoSha,
      size: 5,
    });
    expect(task({})).toEqual({
      path: `/backup/demo/${label}/pg_data/0000.gz`,
      storedSize: 5,
      checksum: sha,
      size: 10,
      decode: { compression: 'gz', raw: false },
    });
    expect(task({ bundleId: 3, bundleOffset: 7 }, { bundleRaw: true, cipherPass: 'x' })).toEqual({
      path: `/backup/demo/${label}/bundle/3`,
      part: { offset: 7, length: 5 },
      checksum: sha,
      size: 10,
      decode: { compression: 'gz', passphrase: 'x', raw: true },
    });
  });

  test('an empty file has the checksum of nothing', () => {
    const { checksum: _, ...empty } = { ...manifestOf([{}]).files.get(0), size: 0 };
    const manifest = manifestOf([]);
    manifest.files.add(empty);
    expect(taskOf('demo', manifest, manifest.files.get(0)).checksum).toBe('da39a3ee5e6b4b0d3255bfef95601890afd80709');
  });

  test('where it is stored: in the backup that a reference names, with the ending of its kind', () => {
    const place = (file: Partial<NewManifestFile>) => {
      const manifest = manifestOf([file]);
      return placeOf('demo', manifest, manifest.files.get(0));
    };
    expect(place({ reference: '20261120-020932F' })).toBe('/backup/demo/20261120-020932F/pg_data/0000.gz');
    expect(place({ blockSize: 8192, blockMapSize: 20 })).toBe(`/backup/demo/${label}/pg_data/0000.pgbi`);
    expect(() => place({ reference: '../../etc' })).toThrow(/no backup/);
  });
});
