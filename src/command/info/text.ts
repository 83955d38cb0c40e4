/** The report as text (behaviour, section 7.1). */
import { formatTimeZone } from '../../base/clock.ts';
import { formatPercent, formatSize } from '../../base/units.ts';
import { typeOfLabel } from '../../repo/label.ts';
import { gapRange } from '../archive-gap.ts';
import {
  type BackupReport,
  type DatabaseGroup,
  groupByDatabase,
  type LockReport,
  type RepoReport,
  type SetReport,
  type StanzaDetails,
  type StanzaReport,
} from './report.ts';

/** @param set label that was asked for: its backup is then shown in full */
export function formatReportText(reports: readonly StanzaReport[], set: string | undefined): string {
  if (reports.length === 0) return 'No stanzas exist in the repository.\n';
  return reports.map(report => `${stanzaLines(report, set).join('\n')}\n`).join('\n');
}

function stanzaLines(report: StanzaReport, set: string | undefined): string[] {
  const { name, status, backupLock, details } = report;
  const lines = [`stanza: ${name}`, `    status: ${statusText(report)}`];
  if (backupLock.repos.length > 1) {
    for (const { key, size, sizeComplete } of backupLock.repos) {
      lines.push(`        repo${key} backup: ${formatPercent(sizeComplete, size)} complete`);
    }
  }
  if (details === undefined) return lines;
  if (status.code === 4 || status.code === 5 || status.code === 99) lines.push(...repoLines(details.repos));
  if (status.code !== 1) lines.push(...cipherLines(details));
  lines.push(...lagLines(details.repos), ...gapLines(details.repos));
  for (const group of groupByDatabase(details, set)) lines.push(...databaseLines(group, set !== undefined));
  return lines;
}

function statusText({ status, backupLock, restoreLock, details }: StanzaReport): string {
  const parts: string[] = [];
  // what differs is said for each repository below, unless only progress was asked for
  const isError = status.code !== 0 && (details === undefined || status.code !== 4);
  if (isError) parts.push(status.message);
  if (backupLock.held) parts.push(`backup/expire running${percentText(backupLock)}`);
  if (restoreLock.held) parts.push(`restore running${percentText(restoreLock)}`);
  const word = status.code === 0 ? 'ok' : isError ? 'error' : 'mixed';
  return parts.length === 0 ? word : `${word} (${parts.join(', ')})`;
}

function percentText({ progress, percentComplete }: LockReport): string {
  if (progress !== undefined) return ` - ${formatPercent(progress.sizeComplete, progress.size)} complete`;
  return percentComplete === undefined ? '' : ` - ${formatPercent(percentComplete, 10000)} complete`;
}

function repoLines(repos: readonly RepoReport[]): string[] {
  const several = repos.length > 1;
  return repos.flatMap(({ key, status }) => {
    const head = several ? `        repo${key}: ` : '';
    if (status.code === 0) return [`${head}ok`];
    if (status.code !== 99) return [`${head}error (${status.message})`];
    const indent = several ? ' '.repeat(15) : ' '.repeat(12);
    return [...(several ? [`${head}error (other)`] : []), ...status.message.split('\n').map(line => indent + line)];
  });
}

function cipherLines({ cipher, repos }: StanzaDetails): string[] {
  const lines = [`    cipher: ${cipher}`];
  if (cipher === 'mixed') lines.push(...repos.map(repo => `        repo${repo.key}: ${repo.cipher}`));
  return lines;
}

/** Only when something waits: pgBackRest has no such lines. */
function lagLines(repos: readonly RepoReport[]): string[] {
  const lines = repos.flatMap(({ key, lag }) => {
    if (lag?.oldest === undefined) return [];
    const { segments, bytes, seconds, oldest } = lag;
    return [`        repo${key}: ${countOf(segments)} (${formatSize(bytes)}), oldest ${oldest} for ${seconds}s`];
  });
  return lines.length === 0 ? [] : ['    wal waiting to be archived:', ...lines];
}

const countOf = (segments: number): string => `${segments} segment${segments === 1 ? '' : 's'}`;

function gapLines(repos: readonly RepoReport[]): string[] {
  const lines = repos.flatMap(({ key, gaps }) =>
    gaps.map(gap => {
      const times = `${formatTimeZone(gap.start)} / ${formatTimeZone(gap.stop)}`;
      return `        repo${key}: ${countOf(gap.segments)} (${formatSize(gap.bytes)}), ${gapRange(gap)}, ${times}`;
    }),
  );
  if (lines.length === 0) return [];
  return [
    '    wal dropped by archive-push-queue-max:',
    ...lines,
    '        older backups cannot be recovered beyond it: make a new one',
  ];
}

function databaseLines({ db, isCurrent, wal, backups }: DatabaseGroup, full: boolean): string[] {
  const range = wal === undefined ? 'none present' : `${wal.min}/${wal.max}`;
  return [
    '',
    `    db (${isCurrent ? 'current' : 'prior'})`,
    `        wal archive min/max (${db.version}): ${range}`,
    ...backups.flatMap(backup => ['', ...backupLines(backup, full)]),
  ];
}

function backupLines(backup: BackupReport, full: boolean): string[] {
  const { entry, repoKey, set } = backup;
  const lines = [
    `timestamp start/stop: ${formatTimeZone(entry.timestampStart)} / ${formatTimeZone(entry.timestampStop)}`,
    `wal start/stop: ${entry.archiveStart === null || entry.archiveStop === null ? 'n/a' : `${entry.archiveStart} / ${entry.archiveStop}`}`,
  ];
  if (full && entry.lsnStart !== undefined && entry.lsnStop !== undefined) {
    lines.push(`lsn start/stop: ${entry.lsnStart} / ${entry.lsnStop}`);
  }
  lines.push(
    `database size: ${formatSize(entry.size)}, database backup size: ${formatSize(entry.sizeDelta)}`,
    `repo${repoKey}: ${entry.repoSizeMap === undefined ? `backup set size: ${formatSize(entry.repoSize)}, ` : ''}backup size: ${formatSize(entry.repoSizeDelta)}`,
  );
  if (entry.reference.length > 0) {
    lines.push(
      full ? `backup reference list: ${entry.reference.join(', ')}` : `backup reference total: ${countTypes(entry)}`,
    );
  }
  if (set !== undefined) lines.push(...setLines(set));
  if (set !== undefined && set.errorFiles.length > 0) lines.push(`error list: ${set.errorFiles.join(', ')}`);
  else if (entry.error === true) lines.push('error(s) detected during backup');
  if (full && entry.annotations.size > 0) {
    lines.push('annotation(s)', ...[...entry.annotations].map(([key, value]) => `    ${key}: ${value}`));
  }
  return [`        ${entry.type} backup: ${entry.label}`, ...lines.map(line => `            ${line}`)];
}

/** `1 full, 1 diff`: there is always a full one. */
function countTypes({ reference }: BackupReport['entry']): string {
  const count = (type: string) => reference.filter(label => typeOfLabel(label) === type).length;
  const [diff, incr] = [count('diff'), count('incr')];
  return `${count('full')} full${diff === 0 ? '' : `, ${diff} diff`}${incr === 0 ? '' : `, ${incr} incr`}`;
}

function setLines({ databases, links, tablespaces }: SetReport): string[] {
  const names = databases.length === 0 ? 'none' : databases.map(({ name, oid }) => `${name} (${oid})`).join(', ');
  const lines = [`database list: ${names}`];
  if (links.length > 0) {
    lines.push('symlinks:', ...links.map(({ name, destination }) => `    ${name} => ${destination}`));
  }
  if (tablespaces.length > 0) {
    lines.push(
      'tablespaces:',
      ...tablespaces.map(({ name, oid, destination }) => `    ${name} (${oid}) => ${destination}`),
    );
  }
  return lines;
}
