/** Lets backups go: first out of backup.info, then their directories. */
import { isBackstopError } from '../../base/error.ts';
import type { BackupEntry, BackupInfo } from '../../repo/backup-info.ts';
import type { BackupLabel } from '../../repo/label.ts';
import { copySuffix, labelPath, latestLink, manifestFile } from '../../repo/layout.ts';
import { begun, isObjectStore } from '../../repo/object-store.ts';
import { reconcileBackupInfo } from '../../repo/reconcile.ts';
import { describeLock, LockedError } from '../../storage/kept-files.ts';
import { findInUse, findUnfinished, hasManifest, listBackups } from './directories.ts';
import type { ExpiringRepo } from './expiring-repo.ts';
import { oldestOptions, planRetention, type RetentionOptions, type RetentionPlan } from './retention.ts';

/** What there is before anything goes. */
interface Found {
  readonly info: BackupInfo;
  readonly directories: readonly BackupLabel[];
  readonly unfinished: readonly BackupLabel[];
  readonly inUse: ReadonlyMap<BackupLabel, BackupLabel>;
}

export interface ExpiredBackups {
  /** backup.info without what went. */
  readonly info: BackupInfo;
  /** The options that held for this run. */
  readonly retention: RetentionOptions;
  /** How many backups of the archive type keep WAL; undefined: no WAL is to go. */
  readonly archive: number | undefined;
  /** Whether the backup that was asked for was there. */
  readonly found: boolean;
}

/** @param set the backup to let go, whatever retention says @param oldest one full fewer, whatever retention says */
export async function expireBackups(
  repo: ExpiringRepo,
  set: BackupLabel | undefined,
  oldest: boolean,
): Promise<ExpiredBackups> {
  for (;;) {
    const found = await look(repo);
    const retention = oldest ? withoutOldest(repo, found.info) : repo.retention;
    const isThere = set !== undefined && found.info.backups.some(({ label }) => label === set);
    const plan = planRetention({
      backups: found.info.backups,
      // a set that is not in this repository: nothing goes for retention's sake either
      options: set === undefined || isThere ? retention : { ...retention, full: undefined, diff: undefined },
      now: repo.now,
      inUse: found.inUse,
      set: isThere ? set : undefined,
      repo: repo.repo.name,
    });
    // a backup that began on another host meanwhile may depend on what is to go
    if (plan.expired.length > 0 && hasNew(await listBackups(repo.repo), found.directories)) continue;
    const info = await carryOut(repo, found, plan);
    return { info, retention, archive: plan.archive, found: isThere };
  }
}

/**
 * Looks at the directories before backup.info is reconciled with them, so that a backup which ends in between is either
 * unfinished or in backup.info.
 */
async function look({ repo, session, dryRun, now }: ExpiringRepo): Promise<Found> {
  const warn = (message: string) => session.log.warn(message);
  const listing = begun(listBackups(repo));
  const loaded = await repo.loadBackupInfo();
  const directories = await listing;
  const unfinished = await findUnfinished(repo, loaded, directories, now);
  const info = await reconcileBackupInfo(repo, loaded, { warn, version: session.version, dryRun });
  const listed = new Set<string>(info.backups.map(({ label }) => label));
  const open = unfinished.filter(label => !listed.has(label));
  return { info, directories, unfinished: open, inUse: await findInUse(repo, info, open, warn) };
}

function hasNew(labels: readonly BackupLabel[], known: readonly BackupLabel[]): boolean {
  const before = new Set<string>(known);
  return labels.some(label => !before.has(label));
}

function withoutOldest(repo: ExpiringRepo, info: BackupInfo): RetentionOptions {
  const fulls = info.backups.filter(({ type }) => type === 'full').length;
  if (fulls < 2) {
    repo.warn('expire oldest requested but no eligible full backup to expire');
    return repo.retention;
  }
  if (repo.retention.fullType === 'time') {
    repo.info('expire oldest overrides configured time-based retention with count-based retention for this execution');
  }
  const option = `${repo.repo.name}-retention`;
  repo.detail(
    `expire oldest enforcing ${option}-full-type=count, ${option}-full=${fulls - 1}, ${option}-archive-type=full, and ` +
      `${option}-archive=${fulls - 1} for this execution`,
  );
  return oldestOptions(repo.retention, fulls);
}

/**
 * The order lets both tools go on wherever we are stopped, and lists nothing that cannot be restored: a backup leaves
 * backup.info first, and is found again by the next run when nothing else of it was removed. Then the manifests go, after which it
 * is a directory that the next run removes. The newest goes first, so that no backup is found again that depends on one that
 * is gone; and of the two copies the one that alone would look like a backup that is being made.
 */
async function carryOut(repo: ExpiringRepo, found: Found, plan: RetentionPlan<BackupEntry>): Promise<BackupInfo> {
  tell(repo, plan);
  const wanted = new Set(plan.expired.flatMap(({ labels }) => labels));
  const expired = repo.dryRun ? wanted : await unlist(repo, found.info, wanted);
  const info = withoutBackups(found.info, expired);
  await keepLatest(
    repo,
    found.info,
    info,
    plan.expired.some(({ kind }) => kind === 'adhoc'),
  );
  await removeDirectories(repo, found, expired, info);
  return info;
}

const withoutBackups = (info: BackupInfo, labels: ReadonlySet<string>): BackupInfo => ({
  ...info,
  backups: info.backups.filter(({ label }) => !labels.has(label)),
});

/**
 * Takes backups out of backup.info, and their manifests away.
 * @returns those that are gone: what cannot be removed is in the list again
 */
async function unlist(
  repo: ExpiringRepo,
  info: BackupInfo,
  wanted: ReadonlySet<BackupLabel>,
): Promise<ReadonlySet<BackupLabel>> {
  const gone = new Set<BackupLabel>();
  if (wanted.size === 0) return gone;
  await repo.repo.saveBackupInfo(withoutBackups(info, wanted), repo.session.version);
  try {
    await removeManifests(repo, info, wanted, gone);
  } finally {
    if (gone.size < wanted.size) await repo.repo.saveBackupInfo(withoutBackups(info, gone), repo.session.version);
  }
  return gone;
}

/**
 * The final manifest of a backup is the last of its files that is locked: while it cannot be removed, the backup stays whole,
 * with all that it depends on.
 * @param gone is given the backups whose manifest was removed
 */
async function removeManifests(
  repo: ExpiringRepo,
  info: BackupInfo,
  expired: ReadonlySet<BackupLabel>,
  gone: Set<BackupLabel>,
): Promise<void> {
  const stay = new Set<BackupLabel>();
  for (const { label, prior, reference } of info.backups.toReversed()) {
    if (!expired.has(label)) continue;
    const file = manifestFile(repo.stanza, label);
    try {
      if (!stay.has(label)) {
        const folder = labelPath(repo.stanza, label);
        await repo.storage.remove(file + copySuffix);
        // were it alone there after a crash, the next run would keep all of it for a backup that goes on with it
        await repo.storage.paths?.sync(folder);
        await repo.storage.remove(file);
        // were it back after a crash, and the data not, the next run would list the backup again
        await repo.storage.paths?.sync(folder);
        gone.add(label);
        continue;
      }
    } catch (error) {
      if (!(error instanceof LockedError)) throw error;
      stay.add(label);
      repo.warn(`backup ${label} stays: it is locked ${describeLock(error.until)}`);
    }
    for (const needed of [...reference, ...(prior === undefined ? [] : [prior])]) stay.add(needed);
  }
}

function tell(repo: ExpiringRepo, plan: RetentionPlan): void {
  for (const { kind, labels, reason } of plan.expired) {
    const [first = ''] = labels;
    repo.info(`expire ${kind} backup ${labels.length > 1 ? 'set ' : ''}${labels.join(', ')}`);
    repo.detail(`backup ${first} expires: ${reason}`);
    for (const label of labels.slice(1)) repo.detail(`backup ${label} expires: it depends on one that does`);
  }
  for (const { label, reason, inUseBy } of plan.kept) {
    if (inUseBy !== undefined) repo.info(`keep backup ${label}: unfinished backup ${inUseBy} depends on it`);
    repo.detail(`backup ${label} stays: ${reason}`);
  }
}

/** Lets the link `latest` name the newest backup that is left. */
async function keepLatest(repo: ExpiringRepo, before: BackupInfo, after: BackupInfo, asked: boolean): Promise<void> {
  const [old, now] = [before.backups.at(-1)?.label, after.backups.at(-1)?.label];
  if (old === now) return;
  if (asked) {
    const option = `${repo.repo.name}-retention-archive`;
    repo.warn(
      `expiring latest backup ${old} - the ability to perform point-in-time-recovery (PITR) may be affected\n` +
        `HINT: non-default settings for '${option}'/'${option}-type' (even in prior expires) can cause gaps in the WAL.`,
    );
  }
  // where there are no links nobody has made one
  if (repo.dryRun || isObjectStore(repo.storage)) return;
  const link = latestLink(repo.stanza);
  await repo.storage.remove(link);
  const values = repo.session.settings.repos.find(({ key }) => key === repo.repo.key)?.values;
  if (now !== undefined && values?.symlink !== false) await repo.storage.links?.symbolic(now, link);
}

/** Removes every directory that was there and is in backup.info no longer, newest first. */
async function removeDirectories(
  repo: ExpiringRepo,
  found: Found,
  expired: ReadonlySet<string>,
  info: BackupInfo,
): Promise<void> {
  const current = new Set<string>(info.backups.map(({ label }) => label));
  const unfinished = new Set<string>(found.unfinished);
  const paths: string[] = [];
  for (const label of found.directories.toReversed()) {
    if (current.has(label)) continue;
    if (unfinished.has(label)) {
      repo.detail(`backup ${label} stays: it is unfinished, and may be being made on another host or be resumed`);
      continue;
    }
    if (!expired.has(label) && !(await isOfNoUse(repo, found.info, label))) continue;
    repo.info(`remove expired backup ${label}`);
    paths.push(labelPath(repo.stanza, label));
  }
  await repo.removeTrees(paths);
}

/**
 * Whether a directory that backup.info does not know of holds nothing that could be restored. One whose manifest cannot
 * be read just now may hold a sound backup: it is for a person to look at.
 */
async function isOfNoUse(repo: ExpiringRepo, info: BackupInfo, label: BackupLabel): Promise<boolean> {
  if (!(await hasManifest(repo.repo, label))) return true;
  try {
    await repo.repo.loadManifest(label, info.cipherPass);
    return true;
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    repo.warn(`backup ${label} is not in backup.info and its manifest cannot be read: it is left alone`);
    return false;
  }
}
