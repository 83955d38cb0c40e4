/**
 * `verify`: reads what a repository holds for a stanza and compares it with what it should be (behaviour, section 5.5).
 * What is found is the answer; only what keeps it from looking is an error.
 */
import { isBackstopError } from '../../base/error.ts';
import { WorkerPool } from '../../parallel/pool.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import { type ArchiveId, archiveIdOf } from '../../repo/history.ts';
import { type BackupLabel, isBackupLabel } from '../../repo/label.ts';
import { manifestFile } from '../../repo/layout.ts';
import { begun } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { forcedVersion, openRepo, repoSettings } from '../open.ts';
import type { Session } from '../session.ts';
import { archiveJobs, listArchiveIds, type WalFilter } from './archive.ts';
import { backupJobs, listBackups } from './backup.ts';
import { compareHistories, findInfos } from './info.ts';
import type { VerifyThreadData } from './job.ts';
import type { ArchiveOutcome, BackupOutcome } from './outcome.ts';
import { formatOutcomes } from './report.ts';
import { type allDone, runJobs, type VerifyJob, type VerifyPool } from './run-jobs.ts';
import { Told } from './tell.ts';

export async function run(session: Session<'verify'>): Promise<undefined> {
  const { settings, log } = session;
  const { verbose, output, stanza } = settings.values;
  // the configuration always has a repository; like the other commands that look at one, verify takes the first
  const [first] = repoSettings(session);
  const repo = await openRepo(session, first as NonNullable<typeof first>);
  const told = new Told(log);
  try {
    const text = await verify(session, repo, told);
    if (!verbose && told.errors === 0) return;
    const report = `stanza: ${stanza}\nstatus: ${told.errors > 0 ? 'error' : 'ok'}${text}`;
    log.info(report);
    if (output === 'text') session.print(`${report}\n`);
  } finally {
    await repo.storage.close();
  }
}

/** @returns the report below its status */
async function verify(session: Session<'verify'>, repo: StanzaRepo, told: Told): Promise<string> {
  const { log, settings } = session;
  const problems: string[] = [];
  const { backup, archive } = await findInfos(repo, log);
  if (backup === undefined) problems.push('  No usable backup.info file');
  if (archive === undefined) problems.push('  No usable archive.info file');
  if (backup === undefined || archive === undefined) {
    told.errors += problems.length;
    return problems.map(line => `\n${line}`).join('');
  }
  const difference = compareHistories(archive, backup);
  if (difference !== undefined) {
    told.errors++;
    return `\n${difference}`;
  }
  const { set } = settings.values;
  const listing = begun(listArchiveIds(repo));
  const scope = set === undefined ? await wholeStanza(session, repo, backup) : await oneSet(repo, backup, set, told);
  if (typeof scope === 'string') return scope;
  const archiveIds = await listing;
  if (archiveIds.length === 0 && scope.labels.length === 0) return '\n    no archives or backups exist in the repo';
  if (archiveIds.length === 0 || scope.labels.length === 0) {
    log.detail(`no ${archiveIds.length === 0 ? 'archives' : 'backups'} exist in the repo`);
  }
  checkArchiveIds(session, archive, archiveIds, told);
  return await verifyFiles(session, repo, { archive, backup, archiveIds, scope, told });
}

/** What is to be looked at. */
interface Scope {
  /** In order. */
  readonly labels: readonly BackupLabel[];
  /** Labels that are on disk but not in backup.info. */
  readonly unlisted: readonly BackupLabel[];
  readonly filter?: WalFilter | 'nothing';
}

async function wholeStanza({ log }: Session<'verify'>, repo: StanzaRepo, backup: BackupInfo): Promise<Scope> {
  const onDisk = await listBackups(repo);
  const listed = new Set<string>(backup.backups.map(entry => entry.label));
  const unlisted = onDisk.filter(label => !listed.has(label));
  for (const label of unlisted) log.warn(`backup '${label}' found in the repository but not in backup.info`);
  const present = new Set<string>(onDisk);
  const gone = backup.backups.map(entry => entry.label).filter(label => !present.has(label));
  for (const label of gone) log.warn(`backup '${label}' found in backup.info but not in the repository`);
  return { labels: [...onDisk, ...gone].sort(), unlisted };
}

/** @returns what to report when there is no such set */
async function oneSet(repo: StanzaRepo, backup: BackupInfo, set: string, told: Told): Promise<Scope | string> {
  if (!isBackupLabel(set)) {
    told.errors++;
    return `\n  '${set}' is not a valid backup label format`;
  }
  if (!(await listBackups(repo)).includes(set)) {
    told.errors++;
    return `\n  backup set ${set} is not valid`;
  }
  const unlisted = backup.backups.some(entry => entry.label === set) ? [] : [set];
  try {
    const { files, header } = await repo.readManifest(manifestFile(repo.stanza, set), backup.cipherPass);
    let hasBlocks = false;
    for (let index = 0; !hasBlocks && index < files.length; index++) hasBlocks = files.blockMapSize(index) > 0;
    const { archiveStart: start, archiveStop: stop } = header;
    return {
      // any block may lie in any of the backups that the set refers to
      labels: hasBlocks ? [...new Set([...header.references, set])].sort() : [set],
      unlisted,
      filter: start === undefined || stop === undefined ? 'nothing' : { start, stop },
    };
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    // what is wrong with the manifest is told when its turn comes
    return { labels: [set], unlisted, filter: 'nothing' };
  }
}

function checkArchiveIds(
  { log }: Session<'verify'>,
  archive: ArchiveInfo,
  archiveIds: readonly ArchiveId[],
  told: Told,
): void {
  const known = new Set<string>(archive.history.map(archiveIdOf));
  const unknown = archiveIds.filter(id => !known.has(id));
  if (unknown.length === 0) return;
  told.errors++;
  log.info(`archiveIds '${unknown.join(', ')}' are not in the archive.info history list`);
}

interface FilesRequest {
  readonly archive: ArchiveInfo;
  readonly backup: BackupInfo;
  readonly archiveIds: readonly ArchiveId[];
  readonly scope: Scope;
  readonly told: Told;
}

async function verifyFiles(
  session: Session<'verify'>,
  repo: StanzaRepo,
  { archive, backup, archiveIds, scope, told }: FilesRequest,
): Promise<string> {
  const { log, settings } = session;
  const { values } = settings;
  const data: VerifyThreadData = {
    command: 'verify',
    repo: repo.settings,
    bufferSize: values['buffer-size'],
    retry: { count: values['job-retry'], interval: values['job-retry-interval'] },
  };
  const pool: VerifyPool = new WorkerPool({ threadFile: session.threadFile, size: values['process-max'], data });
  const archives: ArchiveOutcome[] = [];
  const backups: BackupOutcome[] = [];
  const { filter, labels } = scope;
  const newest = labels.at(-1);
  const common = { repo, told, log };
  async function* jobs(): AsyncGenerator<VerifyJob | typeof allDone> {
    yield* archiveJobs(
      {
        ...common,
        ...(archive.cipherPass === undefined ? {} : { passphrase: archive.cipherPass }),
        ...(filter === undefined ? {} : { filter }),
        forcedVersion: forcedVersion(session),
      },
      archiveIds,
      archives,
    );
    yield* backupJobs(
      {
        ...common,
        ...(backup.cipherPass === undefined ? {} : { passphrase: backup.cipherPass }),
        history: archive.history,
        listed: new Set(backup.backups.map(entry => entry.label)),
        ...(newest !== undefined && scope.unlisted.includes(newest) ? { newest } : {}),
        archives,
        workers: values['process-max'],
      },
      labels,
      backups,
    );
  }
  try {
    await runJobs(pool, values['process-max'], jobs());
  } finally {
    await pool.close();
  }
  for (const { archiveId, ranges } of archives) {
    for (const { start, stop } of ranges) {
      log.detail(`archiveId: ${archiveId}, wal start: ${start}, wal stop: ${stop}`);
    }
  }
  return formatOutcomes(archives, backups, values.verbose);
}
