/** archive.info, backup.info and manifests that pgBackRest 2.59.1 wrote: read, and written again to the byte. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decodeArchiveInfo, encodeArchiveInfo } from '../../src/repo/archive-info.ts';
import { decodeBackupInfo, encodeBackupInfo } from '../../src/repo/backup-info.ts';
import { entryOf } from '../../src/repo/entry.ts';
import type { Manifest } from '../../src/repo/manifest/manifest.ts';
import { ManifestReader } from '../../src/repo/manifest/read.ts';
import { checkFinalManifest } from '../../src/repo/manifest/validate.ts';
import { writeManifest } from '../../src/repo/manifest/write.ts';

const folder = join(import.meta.dirname, '../fixture/info-repo');
const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
const manifests = readdirSync(folder).filter(name => name.endsWith('.manifest.gz'));
const manifestText = (name: string): string => gunzipSync(readFileSync(join(folder, name))).toString();

function readManifest(bytes: Buffer, size = 1 << 16): Manifest {
  const reader = new ManifestReader();
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
  return reader.end();
}

function written(manifest: Manifest, version: string): string {
  let result = '';
  writeManifest(manifest, version, part => {
    result += part;
  });
  return result;
}

describe('archive.info', () => {
  it('is written as it was read', () => {
    const golden = text('archive.info');
    const info = decodeArchiveInfo(Buffer.from(golden));
    expect(info.history[0]?.systemId).toBeTypeOf('bigint');
    expect(Buffer.from(encodeArchiveInfo(info, '2.59.1')).toString()).toBe(golden);
  });

  it('keeps its passphrase and all clusters that it had', () => {
    const info = {
      cipherPass: 'a"b\\c=;#',
      currentId: 2,
      history: [
        { id: 1, version: '9.6', systemId: 6569239123849665679n },
        { id: 2, version: '18', systemId: 2n ** 64n - 1n },
      ],
    };
    expect(decodeArchiveInfo(encodeArchiveInfo(info, '1'))).toEqual(info);
  });

  it('without its current cluster is refused', () => {
    const broken = { currentId: 1, history: [{ id: 1, version: '15', systemId: 1n }] };
    expect(() => encodeArchiveInfo({ ...broken, currentId: 2 }, '1')).toThrow('without current database');
  });
});

describe('backup.info', () => {
  const golden = text('backup.info');

  it('is written as it was read', () => {
    const info = decodeBackupInfo(Buffer.from(golden));
    expect(info.backups.map(({ type }) => type)).toEqual(['full', 'diff', 'incr']);
    expect(Buffer.from(encodeBackupInfo(info, '2.59.1')).toString()).toBe(golden);
  });

  it('has for each backup what its manifest says', () => {
    const info = decodeBackupInfo(Buffer.from(golden));
    expect(manifests).toHaveLength(info.backups.length);
    for (const entry of info.backups) {
      const manifest = readManifest(Buffer.from(manifestText(`${entry.label}.manifest.gz`)));
      expect(entryOf(manifest)).toEqual(entry);
    }
  });

  it('keeps what newer versions alone have, and backups older than them', () => {
    const info = decodeBackupInfo(Buffer.from(golden));
    const [first] = info.backups;
    if (first === undefined) throw new Error('no backup');
    const { error: _, lsnStart: __, lsnStop: ___, ...old } = first;
    const changed = {
      ...info,
      backups: [{ ...old, archiveStart: null, archiveStop: null, repoSizeMap: 5, repoSizeMapDelta: 3 }],
    };
    expect(decodeBackupInfo(encodeBackupInfo(changed, '1'))).toEqual(changed);
  });
});

describe.each(manifests)('%s', name => {
  const golden = manifestText(name);

  it('is written as it was read, whatever the size of the pieces', () => {
    for (const size of [1, 1000, 1 << 20]) {
      const manifest = readManifest(Buffer.from(golden), size);
      expect(written(manifest, manifest.header.toolVersion ?? '')).toBe(golden);
    }
  });

  it('is fit to be final', () => {
    checkFinalManifest(readManifest(Buffer.from(golden)));
  });

  it('cut off at any line is refused', () => {
    const lines = golden.split('\n');
    for (let count = 0; count < lines.length - 2; count += 7) {
      expect(() => readManifest(Buffer.from(lines.slice(0, count).join('\n')))).toThrow();
    }
  });
});
