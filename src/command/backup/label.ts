/** The label of a new backup: unique, and greater than all before it (format, section 1.2). */
import { BackstopError } from '../../base/error.ts';
import { compareBytes } from '../../base/json.ts';
import { type BackupLabel, type BackupType, formatLabel, fullLabelOf, isBackupLabel } from '../../repo/label.ts';
import { backupPath, historyPath } from '../../repo/layout.ts';
import { begun } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';

/** Every label that the repository knows of: backup directories and the newest year of the history. */
export async function knownLabels(repo: StanzaRepo): Promise<BackupLabel[]> {
  const listing = begun(repo.storage.names(historyPath(repo.stanza)));
  const labels = (await repo.storage.names(backupPath(repo.stanza))).filter(isBackupLabel);
  const years = (await listing).filter(name => /^\d{4}$/.test(name)).sort();
  const newest = years.at(-1);
  if (newest !== undefined) {
    for (const name of await repo.storage.names(`${historyPath(repo.stanza)}/${newest}`)) {
      const label = name.replace(/\.manifest\.gz$/, '');
      if (label !== name && isBackupLabel(label)) labels.push(label);
    }
  }
  return labels;
}

/**
 * Chooses the label for a start time, a second later when that second is taken.
 * @param seconds start of the backup since the epoch
 * @param full label of the set's full backup, for diff and incr
 * @throws clock when a newer label exists: the clock went back, or the time zone changed
 */
export function chooseLabel(
  type: BackupType,
  seconds: number,
  known: readonly BackupLabel[],
  full?: BackupLabel,
): { readonly label: BackupLabel; readonly seconds: number } {
  const rivals = full === undefined ? known : known.filter(label => fullLabelOf(label) === full);
  const newest = [...rivals].sort(compareBytes).at(-1);
  for (const candidate of [seconds, seconds + 1]) {
    const label = formatLabel(type, candidate, full);
    if (newest === undefined || compareBytes(label, newest) > 0) return { label, seconds: candidate };
  }
  throw new BackstopError(
    'clock',
    `new backup label '${formatLabel(type, seconds, full)}' is not later than latest backup label '${newest}'`,
    {
      hint: ['has the timezone changed?', 'is there clock skew?'],
    },
  );
}
