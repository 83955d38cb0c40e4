/** expire: the story of one clean-up, repository by repository (behaviour, section 5.4). */
import { asBackstopError, BackstopError } from '../../base/error.ts';
import { isWalName } from '../../postgres/wal.ts';
import { type BackupLabel, isBackupLabel } from '../../repo/label.ts';
import type { RepoSettings } from '../../storage/drivers.ts';
import { openRepo, repoSettings } from '../open.ts';
import type { Session } from '../session.ts';
import { checkStopFile } from '../stop-file.ts';
import { expireArchive } from './expire-archive.ts';
import { expireBackups } from './expire-backups.ts';
import { expireHistory } from './expire-history.ts';
import { expireUploads } from './expire-uploads.ts';
import { ExpiringRepo } from './expiring-repo.ts';
import type { RetentionOptions } from './retention.ts';

export async function run(session: Session<'expire'>): Promise<undefined> {
  const { log } = session;
  checkStopFile(session);
  const set = checkOptions(session);
  let found = false;
  let failures = 0;
  for (const settings of repoSettings(session)) {
    try {
      found = (await expireRepo(session, settings, set)) || found;
    } catch (thrown) {
      const error = asBackstopError(thrown);
      log.error(
        new BackstopError(error.kind, `repo${settings.key}: ${error.message}`, { hint: error.hints, cause: thrown }),
      );
      failures++;
    }
  }
  if (failures > 0) {
    throw new BackstopError(
      'command',
      `expire command encountered ${failures} error(s), check the log file for details`,
    );
  }
  if (set !== undefined && !found) {
    log.warn(`backup ${set} does not exist\nHINT: run the info command and confirm the backup is listed`);
  }
}

/** @returns the backup that was asked for, if one was */
function checkOptions({ settings }: Session<'expire'>): BackupLabel | undefined {
  const { set, oldest, 'archive-expire-before': before } = settings.values;
  if (set !== undefined) {
    if (oldest === true) throw new BackstopError('option-invalid', '--oldest and --set cannot be used together');
    if (!isBackupLabel(set)) {
      throw new BackstopError('option-invalid-value', `'${set}' is not a valid backup label format`);
    }
  }
  if (before !== undefined && !isWalName(before)) {
    throw new BackstopError(
      'option-invalid-value',
      `'${before}' is not a valid WAL segment name for option '--archive-expire-before'`,
    );
  }
  return set;
}

/** @returns whether the backup that was asked for is in this repository */
async function expireRepo(
  session: Session<'expire'>,
  settings: RepoSettings,
  set: BackupLabel | undefined,
): Promise<boolean> {
  const { values } = session.settings;
  const repo = new ExpiringRepo(session, await openRepo(session, settings), retentionOf(session, settings.key));
  try {
    const result = await expireBackups(repo, set, values.oldest === true);
    await expireArchive(repo, result, values['archive-expire-before']);
    await expireHistory(repo, result.info);
    await expireUploads(repo);
    repo.tellKept();
    return set !== undefined && result.found;
  } finally {
    await repo.storage.close();
  }
}

function retentionOf({ settings }: Session<'expire'>, key: number): RetentionOptions {
  const values = settings.repos.find(repo => repo.key === key)?.values;
  if (values === undefined) throw new BackstopError('assert', `no settings of repo${key}`);
  return {
    full: values['retention-full'],
    fullType: values['retention-full-type'],
    diff: values['retention-diff'],
    archive: values['retention-archive'],
    archiveType: values['retention-archive-type'],
    history: values['retention-history'],
  };
}
