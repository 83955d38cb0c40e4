/** Chooses the backup that a restore starts from (behaviour, section 5.3). Pure but for loading the info files. */
import { BackstopError, isBackstopError } from '../../base/error.ts';
import { parseTimestamp, timestampForm } from '../../base/parse-time.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import type { BackupEntry, BackupInfo } from '../../repo/backup-info.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';

export interface RestoreTarget {
  /** The option set: a label, or `latest`. */
  readonly set: string;
  readonly type: string;
  readonly target?: string;
}

/** A repository that is being opened. */
export interface OpeningRepo {
  readonly key: number;
  readonly opening: Promise<StanzaRepo>;
}

export interface ChosenSet {
  readonly repo: StanzaRepo;
  readonly info: BackupInfo;
  readonly entry: BackupEntry;
}

/**
 * Looks through the repositories in key order.
 * @throws backup-set-invalid when no backup fits, format when a time cannot be read
 */
export async function chooseSet(
  repos: readonly OpeningRepo[],
  target: RestoreTarget,
  warn: (message: string) => void,
): Promise<ChosenSet> {
  // a time that cannot be read is the user's mistake in every repository
  const fits = target.set === 'latest' ? fitting(target) : (entry: BackupEntry) => entry.label === target.set;
  let sawBackups = false;
  let unreadable = false;
  for (const { key, opening } of repos) {
    let repo: StanzaRepo;
    let info: BackupInfo;
    try {
      repo = await opening;
      info = await repo.loadBackupInfo();
    } catch (error) {
      if (!isBackstopError(error)) throw error;
      // as the reference does even for an only repository: scripts know the code of "no backup set"
      unreadable = true;
      warn(`repo${key}: [${error.name}] ${error.text}`);
      continue;
    }
    if (info.backups.length === 0) {
      warn(`${repo.name}: [BackupSetInvalidError] no backup sets to restore`);
      continue;
    }
    sawBackups = true;
    const entry = info.backups.filter(fits).at(-1);
    if (entry === undefined) continue;
    if (target.set === 'latest' && entry.dbId !== info.currentId) {
      throw new BackstopError(
        'backup-set-invalid',
        `the latest backup set found '${entry.label}' is from a prior version of PostgreSQL`,
        {
          hint: [
            'was a backup created after the stanza-upgrade?',
            'specify --set to restore from a prior version of PostgreSQL.',
          ],
        },
      );
    }
    return { repo, info, entry };
  }
  throw noSet(target, sawBackups, unreadable);
}

function fitting({ type, target }: RestoreTarget): (entry: BackupEntry) => boolean {
  if (type === 'time' && target !== undefined) {
    const seconds = parseTargetTime(target);
    return entry => entry.timestampStop < seconds;
  }
  if (type === 'lsn' && target !== undefined) {
    const lsn = parseLsn(target);
    return entry => entry.lsnStop !== undefined && parseLsn(entry.lsnStop) <= lsn;
  }
  return () => true;
}

const unreadableHint = 'a repository could not be read: see the warning before this error.';

function noSet({ set, type, target }: RestoreTarget, sawBackups: boolean, unreadable: boolean): BackstopError {
  if (set !== 'latest') {
    return new BackstopError('backup-set-invalid', `backup set ${set} is not valid`, {
      hint: unreadable ? unreadableHint : 'info lists the backups that can be restored.',
    });
  }
  if (!sawBackups) {
    return new BackstopError('backup-set-invalid', 'no backup set found to restore', {
      hint: unreadable ? unreadableHint : 'has a backup been made for this stanza?',
    });
  }
  const condition = type === 'time' ? `stop time less than '${target}'` : `lsn less than or equal to '${target}'`;
  return new BackstopError('backup-set-invalid', `unable to find backup set with ${condition}`, {
    hint: 'info lists the backups with their times and positions.',
  });
}

/**
 * A recovery target time as PostgreSQL writes it: `2026-11-21 02:09:56.074+00`. Without an offset it is local time.
 * @returns seconds since the epoch, with fraction
 */
export function parseTargetTime(text: string): number {
  const seconds = parseTimestamp(text);
  if (seconds === undefined) {
    throw new BackstopError(
      'format',
      `automatic backup set selection cannot be performed with provided time '${text}'`,
      { hint: timestampForm },
    );
  }
  return seconds;
}
