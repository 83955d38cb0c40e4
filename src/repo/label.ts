/** Backup labels: `20261121-020956F`, `20261121-020956F_20261121-030000I` (format, section 1.2). */
import { formatLabelTime } from '../base/clock.ts';

export type BackupType = 'full' | 'diff' | 'incr';

/** A checked backup label. */
export type BackupLabel = string & { readonly __brand: 'BackupLabel' };

const pattern = /^\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?$/;

export function isBackupLabel(text: string): text is BackupLabel {
  return pattern.test(text);
}

/** Label of the full backup that the set of this backup starts with. */
export function fullLabelOf(label: BackupLabel): BackupLabel {
  return label.slice(0, 16) as BackupLabel;
}

/** @param seconds start of the backup since the epoch; labels hold local time */
export function formatLabel(type: BackupType, seconds: number, full?: BackupLabel): BackupLabel {
  const time = formatLabelTime(seconds);
  if (type === 'full') return `${time}F` as BackupLabel;
  return `${full}_${time}${type === 'diff' ? 'D' : 'I'}` as BackupLabel;
}

export function typeOfLabel(label: BackupLabel): BackupType {
  if (label.length === 16) return 'full';
  return label.endsWith('D') ? 'diff' : 'incr';
}
