/** `annotate`: sets and removes notes of a backup in every repository that holds it (behaviour, section 5.6). */
import { asBackstopError, BackstopError, isBackstopError } from '../../base/error.ts';
import type { BackupEntry } from '../../repo/backup-info.ts';
import { type BackupLabel, isBackupLabel } from '../../repo/label.ts';
import { reconcileBackupInfo } from '../../repo/reconcile.ts';
import { openRepo, repoSettings } from '../open.ts';
import type { Session } from '../session.ts';

export async function run(session: Session<'annotate'>): Promise<undefined> {
  const { log, settings } = session;
  const { set } = settings.values;
  if (!isBackupLabel(set)) {
    throw new BackstopError('option-invalid-value', `'${set}' is not a valid backup label format`);
  }
  let found = 0;
  let errors = 0;
  for (const repoConfig of repoSettings(session)) {
    try {
      if (await annotateInRepo(session, repoConfig, set)) found++;
    } catch (error) {
      // one repository that is out of reach must not keep the others from their note
      if (!isBackstopError(error)) throw error;
      const { kind, message, hints } = asBackstopError(error);
      log.error(new BackstopError(kind, `repo${repoConfig.key}: ${message}`, { hint: hints, cause: error }));
      errors++;
    }
  }
  if (errors > 0) {
    throw new BackstopError(
      'command',
      `annotate command encountered ${errors} error(s), check the log file for details`,
    );
  }
  if (found === 0) {
    throw new BackstopError('backup-set-invalid', 'no backup set to annotate found', {
      hint: 'info lists the backups of each repository.',
    });
  }
}

/** @returns whether the repository holds the backup */
async function annotateInRepo(
  session: Session<'annotate'>,
  repoConfig: ReturnType<typeof repoSettings>[number],
  label: BackupLabel,
): Promise<boolean> {
  const { log, version, settings } = session;
  const repo = await openRepo(session, repoConfig);
  try {
    const info = await reconcileBackupInfo(repo, await repo.loadBackupInfo(), {
      version,
      warn: message => log.warn(`${repo.name}: ${message}`),
    });
    const entry = info.backups.find(backup => backup.label === label);
    if (entry === undefined) return false;
    log.info(`backup set '${label}' to annotate found in ${repo.name}`);
    const changed = { ...entry, annotations: annotate(entry, settings.values.annotation) };
    const backups = info.backups.map(backup => (backup === entry ? changed : backup));
    await repo.saveBackupInfo({ ...info, backups }, version);
    return true;
  } finally {
    await repo.storage.close();
  }
}

/** A note without text is no note: its key goes. */
function annotate(entry: BackupEntry, notes: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const result = new Map(entry.annotations);
  for (const [key, value] of notes) {
    if (value === '') result.delete(key);
    else result.set(key, value);
  }
  return result;
}
