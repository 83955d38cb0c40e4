/** The backups' part of verify: manifests, and every stored file once. */
import { BackstopError, isKind } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { archiveIdOf, type DbHistory } from '../../repo/history.ts';
import { type BackupLabel, isBackupLabel } from '../../repo/label.ts';
import { backupPath, copySuffix, manifestFile } from '../../repo/layout.ts';
import type { ManifestFile } from '../../repo/manifest/file-table.ts';
import type { Manifest, ManifestHeader } from '../../repo/manifest/manifest.ts';
import { ManifestReader } from '../../repo/manifest/read.ts';
import { isObjectStore } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { readStoredThrough } from '../../repo/stored.ts';
import { nothingToDo, placeOf, queueFiles, readAlone, readFromBundle, taskOf } from './backup-files.ts';
import { attempt, beginCompareCopy, warnOfCopy } from './info.ts';
import { verdictAt } from './job.ts';
import { type ArchiveOutcome, type BackupOutcome, newBackupOutcome } from './outcome.ts';
import { allDone, type VerifyJob } from './run-jobs.ts';
import type { Told } from './tell.ts';

export interface BackupRequest {
  readonly repo: StanzaRepo;
  /** cipher-pass of backup.info. */
  readonly passphrase?: string;
  readonly history: readonly DbHistory[];
  /** Labels that backup.info has. */
  readonly listed: ReadonlySet<string>;
  /** The newest backup on disk when backup.info does not have it: it may be in progress. */
  readonly newest?: BackupLabel;
  readonly archives: readonly ArchiveOutcome[];
  readonly workers: number;
  readonly told: Told;
  readonly log: Log;
}

/** Backups that have a directory, in order. */
export async function listBackups(repo: StanzaRepo): Promise<BackupLabel[]> {
  return (await repo.storage.names(backupPath(repo.stanza))).filter(isBackupLabel).sort();
}

/**
 * Jobs for all files of these backups. `outcomes` gets one for each backup, which is complete when the jobs are done.
 * @param labels in order, so that a backup comes after those it refers to
 */
export async function* backupJobs(
  request: BackupRequest,
  labels: readonly BackupLabel[],
  outcomes: BackupOutcome[],
): AsyncGenerator<VerifyJob | typeof allDone> {
  const earlier = new Map<string, BackupOutcome>();
  for (const label of labels) {
    const outcome = newBackupOutcome(label);
    outcomes.push(outcome);
    const manifest = await findManifest(request, outcome);
    if (manifest === undefined) continue;
    yield* manifestJobs(request, manifest, outcome, earlier);
    // the next backup may refer to this one
    yield allDone;
    earlier.set(label, outcome);
    checkWal(request, manifest.header);
  }
}

async function* manifestJobs(
  { repo, told, log, workers }: BackupRequest,
  manifest: Manifest,
  outcome: BackupOutcome,
  earlier: ReadonlyMap<string, BackupOutcome>,
): AsyncGenerator<VerifyJob> {
  const { files, header } = manifest;
  outcome.total = files.length;
  if (files.length === 0) {
    log.info(`backup '${header.label}' manifest does not contain any target files to verify`);
    told.errors++;
    outcome.status = 'invalid';
    return;
  }
  const work = new Uint8Array(files.length);
  for (let index = 0; index < files.length; index++) {
    const reference = files.reference(index);
    const prior = reference === undefined ? undefined : earlier.get(reference);
    if (files.size(index) === 0 && header.bundle) {
      // nothing is stored for it
      outcome.valid++;
    } else if (prior !== undefined) {
      const key = prior.bad.size === 0 ? '' : keyOf(repo.stanza, manifest, files.get(index));
      const fault = prior.bad.get(key);
      if (fault === undefined) {
        outcome.valid++;
      } else {
        outcome.faults[fault]++;
        outcome.status = 'invalid';
        outcome.bad.set(key, fault);
      }
    } else {
      work[index] = files.bundleId(index) > 0 ? readFromBundle : readAlone;
      continue;
    }
    work[index] = nothingToDo;
  }
  const base = `${backupPath(repo.stanza)}/`;
  for (const indexes of queueFiles(manifest, work, isObjectStore(repo.storage) ? workers : undefined)) {
    const tasks = indexes.map(index => taskOf(repo.stanza, manifest, files.get(index)));
    yield {
      tasks,
      done(verdicts, worker) {
        for (const [at, index] of indexes.entries()) {
          const verdict = verdictAt(verdicts, at);
          if (verdict === 'valid') {
            outcome.valid++;
            continue;
          }
          const file = files.get(index);
          const fault = told.fault(verdict, placeOf(repo.stanza, manifest, file).slice(base.length), worker);
          if (file.bundleId > 0) log.detail(`the bundle holds '${file.name}' at ${file.bundleOffset}`);
          outcome.faults[fault]++;
          outcome.status = 'invalid';
          outcome.bad.set(keyOf(repo.stanza, manifest, file), fault);
        }
      },
    };
  }
}

/** The same for every backup that refers to the same stored bytes. */
function keyOf(stanza: string, manifest: Manifest, file: ManifestFile): string {
  const place = placeOf(stanza, manifest, file);
  return file.bundleId > 0 ? `${place}@${file.bundleOffset}` : place;
}

/** @returns undefined when there is no usable manifest; the outcome then says so */
async function findManifest(request: BackupRequest, outcome: BackupOutcome): Promise<Manifest | undefined> {
  const { repo, passphrase, log, told } = request;
  const { label } = outcome;
  const path = manifestFile(repo.stanza, label);
  const isSame = beginCompareCopy(repo, path, passphrase, log);
  const main = await loadManifest(request, path);
  if ('value' in main) {
    if (!(await isSame(main.checksum))) {
      log.detail(`backup '${label}' manifest${copySuffix} does not match manifest`);
      const difference = new BackstopError('checksum', 'the copies differ');
      warnOfCopy(repo, path + copySuffix, difference, log, hintFor(repo, path));
    }
    return checkHistory(request, main.value, outcome);
  }
  const isMissing = isKind(main.error, 'file-missing');
  if (isMissing && request.newest === label) {
    log.info(`backup '${label}' appears to be in progress, skipping`);
    outcome.status = 'in-progress';
    return undefined;
  }
  const copy = await loadManifest(request, path + copySuffix);
  if ('value' in copy) {
    log.detail(`${label}/backup.manifest is missing or unusable, using copy`);
    warnOfCopy(repo, path, main.error, log, hintFor(repo, path + copySuffix));
    return checkHistory(request, copy.value, outcome);
  }
  if (isMissing && isKind(copy.error, 'file-missing')) {
    log.detail(`manifest missing for '${label}' - backup may have expired`);
    if (request.listed.has(label)) {
      log.warn(`backup '${label}' is in backup.info but has no manifest, so it cannot be restored`);
    }
    outcome.status = 'manifest missing';
    return undefined;
  }
  outcome.status = 'invalid';
  told.errors++;
  return undefined;
}

/** A manifest is never written again. */
const hintFor = (repo: StanzaRepo, sound: string): string =>
  `copy '${repo.fullPath(sound)}' over it, or make a new backup.`;

function loadManifest({ repo, passphrase, log }: BackupRequest, path: string) {
  return attempt(repo, path, log, async hash => {
    const reader = new ManifestReader();
    await readStoredThrough(repo.storage, path, passphrase, chunk => {
      hash(chunk);
      reader.push(chunk);
    });
    return reader.end();
  });
}

/** A backup of a cluster that the stanza does not know: what WAL it needs cannot be told. */
function checkHistory(
  { history, log, told }: BackupRequest,
  manifest: Manifest,
  outcome: BackupOutcome,
): Manifest | undefined {
  const { dbId, pgVersion, systemId } = manifest.header;
  if (history.some(db => db.id === dbId && db.systemId === systemId && db.version === pgVersion)) return manifest;
  log.info(
    `'${outcome.label}' may not be recoverable - PG data (id ${dbId}, version ${pgVersion}, system-id ${systemId}) is not in the backup.info history, skipping`,
  );
  outcome.status = 'invalid';
  told.errors++;
  return undefined;
}

/** Without the WAL of its time an online backup cannot be made consistent. */
function checkWal({ archives, log }: BackupRequest, header: ManifestHeader): void {
  const { archiveStart, archiveStop, label } = header;
  if (archiveStart === undefined || archiveStop === undefined || header.options.archiveCopy) return;
  const archiveId = archiveIdOf({ id: header.dbId, version: header.pgVersion });
  const ranges = archives.find(archive => archive.archiveId === archiveId)?.ranges ?? [];
  if (ranges.some(({ start, stop }) => start <= archiveStart && stop >= archiveStop)) return;
  log.warn(
    `backup '${label}' needs WAL ${archiveStart} to ${archiveStop}, but archive '${archiveId}' lacks some of it`,
  );
}
