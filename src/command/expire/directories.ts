/**
 * The backup directories of a repository, and in which of them a backup may be being made.
 *
 * Locks hold for one host only, so a backup may run on another one while we expire here. It is seen by its directory,
 * which has no `backup.manifest` yet. The reference keeps the newest directory with a `backup.manifest.copy`. Beyond it we
 * keep
 * - the newest directory without any manifest: with resume=n there is none until the end;
 * - one that is not the newest, but still changes: another host's backup may have ended after it began;
 * - every backup that these depend on, as far as their `backup.manifest.copy` or their label tells.
 * An aborted backup looks the same; it and what it depends on stay until the next backup has cleared it away.
 */
import { isBackstopError } from '../../base/error.ts';
import { compareBytes } from '../../base/json.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import { type BackupLabel, fullLabelOf, isBackupLabel, typeOfLabel } from '../../repo/label.ts';
import { backupPath, copySuffix, historyFile, labelPath, manifestFile } from '../../repo/layout.ts';
import { pgDataTarget } from '../../repo/manifest/manifest.ts';
import { forAll, isObjectStore } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';

/** Labels of the backup directories, oldest first. */
export async function listBackups(repo: StanzaRepo): Promise<BackupLabel[]> {
  return (await repo.storage.names(backupPath(repo.stanza))).filter(isBackupLabel).sort(compareBytes);
}

/** Seconds without a change after which a directory that is not the newest is taken for that of an aborted backup. */
const quietTime = 3600;

/**
 * @param now seconds since the epoch
 * @returns the directories that a backup may be being made in, or may be resumed in
 */
export async function findUnfinished(
  repo: StanzaRepo,
  info: BackupInfo,
  directories: readonly BackupLabel[],
  now: number,
): Promise<BackupLabel[]> {
  const listed = new Set<string>(info.backups.map(({ label }) => label));
  const newest = directories.at(-1);
  const unlisted = directories.filter(label => !listed.has(label));
  const unfinished = await forAll(unlisted, async label => {
    const manifests = await manifestsOf(repo, label);
    if (manifests.has('backup.manifest')) return false;
    const hasCopy = manifests.has(`backup.manifest${copySuffix}`);
    // what was complete once, and went, is in the history
    if (!hasCopy && (await repo.storage.info(historyFile(repo.stanza, label))) !== undefined) return false;
    return label === newest || (await lastChange(repo, label)) > now - quietTime;
  });
  return unlisted.filter((_, index) => unfinished[index]);
}

export async function hasManifest(repo: StanzaRepo, label: BackupLabel): Promise<boolean> {
  return (await manifestsOf(repo, label)).has('backup.manifest');
}

const manifestsOf = async (repo: StanzaRepo, label: BackupLabel): Promise<ReadonlySet<string>> =>
  new Set(await repo.storage.names(labelPath(repo.stanza, label), { prefix: 'backup.manifest' }));

/** Time of the newest change that is seen without walking the whole backup, in seconds since the epoch. */
async function lastChange(repo: StanzaRepo, label: BackupLabel): Promise<number> {
  const base = labelPath(repo.stanza, label);
  const directories = [base, `${base}/${pgDataTarget}`, `${base}/bundle`];
  const found = isObjectStore(repo.storage)
    ? // no directory has a time there, but what lies in one has
      (await forAll(directories, path => repo.storage.list(path))).flat()
    : await forAll([...directories, manifestFile(repo.stanza, label) + copySuffix], path => repo.storage.info(path));
  return found.reduce((newest, info) => Math.max(newest, info?.mtime ?? 0), 0);
}

/**
 * The backups that unfinished ones depend on, each with the label of one of these.
 * @param warn told when only its label says what a backup may depend on
 */
export async function findInUse(
  repo: StanzaRepo,
  info: BackupInfo,
  unfinished: readonly BackupLabel[],
  warn: (message: string) => void,
): Promise<ReadonlyMap<BackupLabel, BackupLabel>> {
  const inUse = new Map<BackupLabel, BackupLabel>();
  for (const user of unfinished) {
    if (typeOfLabel(user) === 'full') continue;
    const needed = (await readNeeds(repo, info, user, warn)) ?? olderOfSet(info, user);
    for (const label of withAncestors(info, needed)) inUse.set(label, user);
  }
  return inUse;
}

/** A diff or incr that cannot tell may depend on any older backup of its set. */
function olderOfSet(info: BackupInfo, user: BackupLabel): BackupLabel[] {
  const full = fullLabelOf(user);
  return info.backups.map(({ label }) => label).filter(label => fullLabelOf(label) === full && label < user);
}

async function readNeeds(
  repo: StanzaRepo,
  info: BackupInfo,
  user: BackupLabel,
  warn: (message: string) => void,
): Promise<BackupLabel[] | undefined> {
  const path = manifestFile(repo.stanza, user) + copySuffix;
  if ((await repo.storage.info(path)) === undefined) return undefined;
  try {
    const { header } = await repo.readManifest(path, info.cipherPass);
    const needed = new Set<BackupLabel>(header.references);
    if (header.prior !== undefined) needed.add(header.prior);
    needed.delete(user);
    return [...needed];
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    warn(`${repo.name}: the manifest of unfinished backup ${user} cannot be read: ${error.message}`);
    return undefined;
  }
}

/** These backups and all that they depend on in turn. */
function withAncestors(info: BackupInfo, labels: readonly BackupLabel[]): Set<BackupLabel> {
  const byLabel = new Map(info.backups.map(backup => [backup.label, backup]));
  const found = new Set<BackupLabel>(labels);
  for (const label of found) {
    const backup = byLabel.get(label);
    if (backup === undefined) continue;
    for (const needed of backup.reference) found.add(needed);
    if (backup.prior !== undefined) found.add(backup.prior);
  }
  return found;
}
