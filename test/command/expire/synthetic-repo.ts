/**
 * A repository as a clean-up meets it: info files, backup directories, WAL and history of sizes and ages that no real
 * cluster could make in a test. Names and info files are real, contents are a few bytes.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { BackupEntry } from '../../../src/repo/backup-info.ts';
import type { DbHistory } from '../../../src/repo/history.ts';
import { type BackupLabel, formatLabel, fullLabelOf, isBackupLabel, typeOfLabel } from '../../../src/repo/label.ts';
import { backupPath, historyFile, labelPath } from '../../../src/repo/layout.ts';
import { emptyManifest, type Manifest } from '../../../src/repo/manifest/manifest.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openRepoStorage } from '../../../src/storage/drivers.ts';
import type { Stanza } from './history-model.ts';

export interface SyntheticBackup {
  readonly label: BackupLabel;
  readonly dbId?: number;
  /** First and last WAL segment; absent: made offline. */
  readonly wal?: readonly [start: string, stop: string];
  /** Seconds since the epoch; absent: some old time. */
  readonly stop?: number;
  readonly prior?: BackupLabel;
}

/** Label of a full backup, so many days ago. */
export const fullLabel = (daysAgo: number): BackupLabel =>
  formatLabel('full', Math.floor(Date.now() / 1000) - daysAgo * 86_400);

export const label = (text: string): BackupLabel => {
  if (!isBackupLabel(text)) throw new TypeError(`'${text}' is not a label`);
  return text;
};

export const cluster15: DbHistory = {
  id: 1,
  version: '15',
  systemId: 7710459850167362506n,
  catalogVersion: 202209061,
  controlVersion: 1300,
};

export class SyntheticRepo {
  readonly root: string;
  readonly #repo: StanzaRepo;
  /** Passphrase of the manifests, in an encrypted repository. */
  readonly #manifestPass: string | undefined;

  constructor(root: string, repo: StanzaRepo) {
    this.root = root;
    this.#repo = repo;
    this.#manifestPass = repo.isEncrypted ? 'of the manifests' : undefined;
  }

  /** @param cipherPass of an encrypted repository */
  static async open(root: string, cipherPass?: string): Promise<SyntheticRepo> {
    const settings = {
      key: 1,
      type: 'posix',
      path: root,
      ...(cipherPass === undefined ? {} : { cipherPass }),
    } as const;
    return new SyntheticRepo(root, new StanzaRepo(settings, await openRepoStorage(settings), 'demo'));
  }

  /** Writes the info files, and a directory, a manifest and a history entry for each backup. */
  async write(backups: readonly SyntheticBackup[], history: readonly DbHistory[] = [cluster15]): Promise<void> {
    const currentId = history.at(-1)?.id ?? 0;
    const entries: BackupEntry[] = [];
    for (const backup of backups) entries.push(this.#entry(backup, entries));
    const pass = this.#manifestPass === undefined ? {} : { cipherPass: this.#manifestPass };
    await this.#repo.saveArchiveInfo({ currentId, history, ...pass }, '2.45');
    await this.#repo.saveBackupInfo({ currentId, history, backups: entries, ...pass }, '2.45');
    for (const entry of entries) {
      this.put(`${labelPath('demo', entry.label)}/backup.manifest`, 'manifest', true);
      this.put(`${labelPath('demo', entry.label)}/pg_data/PG_VERSION.gz`, '15');
      this.put(historyFile('demo', entry.label), 'history');
    }
    const latest = entries.at(-1)?.label;
    if (latest !== undefined) symlinkSync(latest, join(this.root, backupPath('demo'), 'latest'));
  }

  #entry(backup: SyntheticBackup, before: readonly BackupEntry[]): BackupEntry {
    const { label } = backup;
    const type = typeOfLabel(label);
    const full = fullLabelOf(label);
    const prior =
      backup.prior ??
      (type === 'diff' ? full : (before.findLast(entry => fullLabelOf(entry.label) === full)?.label ?? full));
    const priorEntry = before.find(entry => entry.label === prior);
    const stop = backup.stop ?? Date.UTC(2020, 0, 1) / 1000 + before.length * 60;
    return {
      label,
      version: '2.45',
      type,
      dbId: backup.dbId ?? 1,
      annotations: new Map(),
      archiveStart: backup.wal?.[0] ?? null,
      archiveStop: backup.wal?.[1] ?? null,
      error: false,
      size: 2,
      sizeDelta: 2,
      repoSize: 2,
      repoSizeDelta: 2,
      ...(type === 'full' ? {} : { prior }),
      reference: type === 'full' ? [] : [...(priorEntry?.reference ?? []), prior],
      timestampStart: stop - 10,
      timestampStop: stop,
      archiveCheck: true,
      archiveCopy: false,
      backupStandby: false,
      checksumPage: true,
      compress: true,
      hardlink: false,
      online: backup.wal !== undefined,
    };
  }

  /** A stanza of the model. */
  async writeModel(stanza: Stanza): Promise<void> {
    const history = stanza.history.map(db => ({ ...db, catalogVersion: 202209061, controlVersion: 1300 }));
    await this.write(
      stanza.backups.map(({ label, dbId, archiveStart, archiveStop, timestampStop, prior }) => ({
        label,
        dbId,
        stop: timestampStop,
        ...(archiveStart === null || archiveStop === null ? {} : { wal: [archiveStart, archiveStop] as const }),
        ...(prior === undefined ? {} : { prior }),
      })),
      history,
    );
    for (const [archiveId, files] of stanza.archive) for (const file of files) this.archive(archiveId, file);
  }

  archive(archiveId: string, ...files: readonly string[]): void {
    for (const file of files) this.put(`archive/demo/${archiveId}/${file}`, 'wal');
  }

  /** Archives segments `first`..`last` (numbers of the segment on a timeline, 256 to a directory). */
  segments(archiveId: string, timeline: number, first: number, last: number): void {
    for (let at = first; at <= last; at++) {
      const name = segmentName(timeline, at);
      this.archive(archiveId, `${name.slice(0, 16)}/${name}-${'a'.repeat(40)}.gz`);
    }
  }

  /**
   * A backup that is under way, or was aborted.
   * @param copy whether it has saved its manifest yet
   */
  async begin(
    label: BackupLabel,
    prior?: BackupLabel,
    references: readonly BackupLabel[] = [],
    copy = true,
  ): Promise<void> {
    const path = `${labelPath('demo', label)}`;
    this.put(`${path}/pg_data/PG_VERSION.gz`, '15');
    if (!copy) return;
    await this.#repo.writeManifest(
      this.#manifest(label, prior, references),
      `${path}/backup.manifest.copy`,
      this.#manifestPass,
      '2.45',
    );
  }

  /** Ends a backup that was begun, as its process would: manifest first, backup.info last. */
  async finishManifest(
    label: BackupLabel,
    prior: BackupLabel | undefined,
    references: readonly BackupLabel[],
  ): Promise<void> {
    const manifest = this.#manifest(label, prior, references);
    for (const name of ['backup.manifest', 'backup.manifest.copy']) {
      await this.#repo.writeManifest(manifest, `${labelPath('demo', label)}/${name}`, this.#manifestPass, '2.45');
    }
  }

  #manifest(label: BackupLabel, prior: BackupLabel | undefined, references: readonly BackupLabel[]): Manifest {
    const manifest = emptyManifest({
      label,
      type: typeOfLabel(label),
      ...(prior === undefined ? {} : { prior }),
      references: [...references, label],
      timestampStart: 1_600_000_000,
      timestampCopyStart: 1_600_000_000,
      timestampStop: 1_600_000_001,
      bundle: false,
      bundleRaw: false,
      blockIncremental: false,
      dbId: cluster15.id,
      systemId: cluster15.systemId,
      pgVersion: '15',
      catalogVersion: 202209061,
      controlVersion: 1300,
      options: {
        archiveCheck: true,
        archiveCopy: false,
        checksumPage: true,
        compressType: 'gz',
        delta: false,
        hardlink: false,
        online: false,
      },
      annotations: new Map(),
    });
    manifest.targets.push({ name: 'pg_data', type: 'path', path: '/data' });
    manifest.paths.push({ name: 'pg_data', mode: 0o700, user: 'postgres', group: 'postgres' });
    return manifest;
  }

  put(path: string, content: string | Uint8Array, twice = false): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    if (twice) writeFileSync(`${file}.copy`, content);
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true });
  }

  /** Lets everything in a directory look as if it had not changed for so many seconds. */
  age(path: string, seconds: number): void {
    const at = Date.now() / 1000 - seconds;
    const base = join(this.root, path);
    for (const name of ['', ...readdirSync(base, { recursive: true, encoding: 'utf8' })])
      utimesSync(join(base, name), at, at);
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  /** Labels in backup.info. */
  async labels(): Promise<string[]> {
    return (await this.#repo.loadBackupInfo()).backups.map(backup => backup.label);
  }

  /** Labels of the directories. */
  directories(): string[] {
    return readdirSync(join(this.root, backupPath('demo')))
      .filter(isBackupLabel)
      .sort();
  }

  /** Everything below the archive id: `0000000100000000/000000010000000000000001`, `00000002.history`. */
  wal(archiveId: string): string[] {
    const base = join(this.root, 'archive/demo', archiveId);
    if (!existsSync(base)) return [];
    return readdirSync(base, { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.history') || name.includes('/'))
      .map(name => name.replace(/-[0-9a-f]{40}.*$/, ''))
      .sort();
  }
}

export const segmentName = (timeline: number, at: number): string =>
  [timeline, Math.floor(at / 256), at % 256].map(part => part.toString(16).toUpperCase().padStart(8, '0')).join('');
