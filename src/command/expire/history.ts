/** Which manifests of expired backups are too old to be remembered (behaviour, section 5.4 step 9). Pure. */
import { type BackupLabel, formatLabel, isBackupLabel } from '../../repo/label.ts';

const secondsPerDay = 86_400;

export interface HistoryLimit {
  /** Whole years before this one go. */
  readonly year: string;
  /** In that year, labels before this one go. */
  readonly label: BackupLabel;
}

/** @param now seconds since the epoch */
export function historyLimit(days: number, now: number): HistoryLimit {
  const label = formatLabel('full', now - days * secondsPerDay);
  return { year: label.slice(0, 4), label };
}

/** @param names what lies in backup.history */
export function expiredYears(names: readonly string[], { year }: HistoryLimit): string[] {
  return names.filter(name => /^2\d{3}$/.test(name) && name < year).sort();
}

/** @param names what lies in the directory of the limit's year @param current labels of backup.info, whose manifests stay */
export function expiredManifests(
  names: readonly string[],
  { label: limit }: HistoryLimit,
  current: ReadonlySet<string>,
): string[] {
  return names
    .filter(name => {
      const label = name.replace(/\.manifest\.gz$/, '');
      return label !== name && isBackupLabel(label) && label < limit && !current.has(label);
    })
    .sort()
    .reverse();
}
