/** backup.info is brought in line with the backups that are really there. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { BackupInfo } from '../../src/repo/backup-info.ts';
import { entryOf } from '../../src/repo/entry.ts';
import type { BackupLabel } from '../../src/repo/label.ts';
import { emptyManifest, type Manifest } from '../../src/repo/manifest/manifest.ts';
import { reconcileBackupInfo } from '../../src/repo/reconcile.ts';
import { StanzaRepo } from '../../src/repo/stanza-repo.ts';
import { openPosixStorage } from '../../src/storage/posix/posix-storage.ts';

const systemId = 6569239123849665679n;
const full = '20261121-020956F' as BackupLabel;
const diff = `${full}_20261121-030000D` as BackupLabel;
const incr = `${full}_20261121-040000I` as BackupLabel;

let root: string;
let repo: StanzaRepo;
let warnings: string[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pgbackstop-reconcile-'));
  repo = new StanzaRepo(
    { key: 1, type: 'posix', path: root },
    openPosixStorage({ label: 'repo1', base: root }),
    'demo',
  );
  warnings = [];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function manifestOf(label: BackupLabel, prior?: BackupLabel, system = systemId): Manifest {
  const manifest = emptyManifest({
    label,
    type: label === full ? 'full' : label === diff ? 'diff' : 'incr',
    ...(prior === undefined ? {} : { prior }),
    references: prior === undefined ? [label] : [full, label],
    timestampStart: 1,
    timestampCopyStart: 2,
    timestampStop: 3,
    bundle: false,
    bundleRaw: false,
    blockIncremental: false,
    dbId: 1,
    systemId: system,
    pgVersion: '15',
    catalogVersion: 202209061,
    controlVersion: 1300,
    options: {
      archiveCheck: true,
      archiveCopy: false,
      backupStandby: false,
      checksumPage: true,
      compressType: 'gz',
      delta: false,
      hardlink: false,
      online: true,
    },
    annotations: new Map(),
    toolVersion: '2.59.1',
  });
  manifest.targets.push({ name: 'pg_data', type: 'path', path: '/data' });
  manifest.paths.push({ name: 'pg_data', mode: 0o700, user: 'postgres', group: 'postgres' });
  return manifest;
}

async function store(manifest: Manifest, copies = ['', '.copy']): Promise<void> {
  for (const copy of copies) {
    await repo.writeManifest(
      manifest,
      `/backup/demo/${manifest.header.label}/backup.manifest${copy}`,
      undefined,
      '2.59.1',
    );
  }
}

function infoOf(...manifests: Manifest[]): BackupInfo {
  return {
    currentId: 1,
    history: [{ id: 1, version: '15', systemId, catalogVersion: 202209061, controlVersion: 1300 }],
    backups: manifests.map(entryOf),
  };
}

async function reconcile(info: BackupInfo): Promise<string[]> {
  const result = await reconcileBackupInfo(repo, info, { warn: message => warnings.push(message), version: '1' });
  if (result !== info) expect(await repo.loadBackupInfo()).toEqual(result);
  return result.backups.map(({ label }) => label);
}

it('nothing is written when all is as it says', async () => {
  await store(manifestOf(full));
  const info = infoOf(manifestOf(full));
  expect(await reconcile(info)).toEqual([full]);
  expect(warnings).toEqual([]);
  await expect(repo.loadBackupInfo()).rejects.toThrow('backup.info');
});

it('a backup without its manifest goes, with all that build on it', async () => {
  await store(manifestOf(diff, full));
  await store(manifestOf(incr, diff));
  expect(await reconcile(infoOf(manifestOf(full), manifestOf(diff, full), manifestOf(incr, diff)))).toEqual([]);
  expect(warnings.join('\n')).toContain(`backup '${full}' missing manifest removed from backup.info`);
  expect(warnings.join('\n')).toContain(diff);
  expect(warnings.join('\n')).toContain(incr);
});

it('a complete backup that is not listed is added, with what builds on it', async () => {
  await store(manifestOf(full));
  await store(manifestOf(diff, full));
  expect(await reconcile(infoOf())).toEqual([full, diff]);
  expect(warnings).toContain(`backup '${full}' found in repository added to backup.info`);
});

it('what was interrupted is neither added nor said', async () => {
  mkdirSync(join(root, 'backup/demo/20261122-000000F'), { recursive: true });
  await store(manifestOf(full), ['.copy']);
  expect(await reconcile(infoOf())).toEqual([]);
  expect(warnings).toEqual([]);
});

it('a backup of another cluster is not added', async () => {
  await store(manifestOf(full, undefined, 1n));
  expect(await reconcile(infoOf())).toEqual([]);
  expect(warnings).toEqual([`invalid backup '${full}' cannot be added to current backups`]);
});

it('a manifest that cannot be read, or stands under another label, is not added', async () => {
  const base = join(root, 'backup/demo', full);
  mkdirSync(base, { recursive: true });
  const { writeFileSync } = await import('node:fs');
  writeFileSync(join(base, 'backup.manifest'), 'nonsense');
  expect(await reconcile(infoOf())).toEqual([]);
  expect(warnings[0]).toContain(`backup '${full}' cannot be added to backup.info`);
  rmSync(base, { recursive: true });
  warnings = [];
  await repo.writeManifest(manifestOf(full), '/backup/demo/20261123-000000F/backup.manifest', undefined, '1');
  expect(await reconcile(infoOf())).toEqual([]);
  expect(warnings).toEqual(["invalid backup '20261123-000000F' cannot be added to current backups"]);
});
