/** The report as JSON (behaviour, section 7.2): keys in byte order, times in seconds, sizes in bytes. */
import { formatJson, type Json, type JsonObject } from '../../base/json.ts';
import { repositoryFormat } from '../../repo/info-text.ts';
import type { ArchiveReport, BackupReport, LockReport, RepoReport, SetReport, StanzaReport } from './report.ts';

/** One line without an end: readers of the real tool's output may rely on either. */
export function formatReportJson(reports: readonly StanzaReport[]): string {
  // the format of repositories keeps control characters as they are, other readers of JSON refuse them
  return formatJson(reports.map(stanzaJson)).replace(
    control,
    c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is the point
const control = /[\u0000-\u001f]/g;

function stanzaJson({ name, status, backupLock, restoreLock, details }: StanzaReport): JsonObject {
  return {
    name,
    status: { ...status, lock: { backup: lockJson(backupLock), restore: lockJson(restoreLock) } },
    ...(details === undefined
      ? {}
      : {
          archive: details.archives.map(archiveJson),
          backup: details.backups.map(backupJson),
          cipher: details.cipher,
          db: details.databases.map(({ repoKey, db }) => ({
            id: db.id,
            'repo-key': repoKey,
            'system-id': db.systemId,
            version: db.version,
          })),
          repo: details.repos.map(repoJson),
        }),
  };
}

function lockJson({ held, progress, repos }: LockReport): JsonObject {
  return {
    held,
    ...(progress === undefined ? {} : { size: progress.size, 'size-cplt': progress.sizeComplete }),
    ...(repos.length === 0
      ? {}
      : { repo: repos.map(({ key, size, sizeComplete }) => ({ key, size, 'size-cplt': sizeComplete })) }),
  };
}

const archiveJson = ({ repoKey, dbId, archiveId, wal }: ArchiveReport): JsonObject => ({
  database: { id: dbId, 'repo-key': repoKey },
  id: archiveId,
  max: wal?.max ?? null,
  min: wal?.min ?? null,
});

function repoJson({ key, cipher, status, lag, gaps }: RepoReport): JsonObject {
  return {
    cipher,
    key,
    status: { ...status },
    ...(lag === undefined ? {} : { lag: { ...lag, oldest: lag.oldest ?? null } }),
    ...(gaps.length === 0 ? {} : { dropped: gaps.map(gap => ({ ...gap })) }),
  };
}

function backupJson({ repoKey, entry, set }: BackupReport): JsonObject {
  const hasErrors = set !== undefined && set.errorFiles.length > 0 ? true : entry.error;
  return {
    ...(entry.annotations.size === 0 ? {} : { annotation: Object.fromEntries(entry.annotations) }),
    archive: { start: entry.archiveStart, stop: entry.archiveStop },
    backrest: { format: repositoryFormat, version: entry.version },
    database: { id: entry.dbId, 'repo-key': repoKey },
    ...(hasErrors === undefined ? {} : { error: hasErrors }),
    info: { delta: entry.sizeDelta, repository: repositorySizes(entry), size: entry.size },
    label: entry.label,
    ...(entry.lsnStart === undefined || entry.lsnStop === undefined
      ? {}
      : { lsn: { start: entry.lsnStart, stop: entry.lsnStop } }),
    prior: entry.prior ?? null,
    reference: entry.reference.length === 0 ? null : entry.reference,
    timestamp: { start: entry.timestampStart, stop: entry.timestampStop },
    type: entry.type,
    ...(set === undefined ? {} : setJson(set)),
  };
}

/** Block-incremental backups have no set size: which blocks of other backups they need is not counted. */
function repositorySizes(entry: BackupReport['entry']): JsonObject {
  if (entry.repoSizeMap === undefined) return { delta: entry.repoSizeDelta, size: entry.repoSize };
  return {
    delta: entry.repoSizeDelta,
    'delta-map': entry.repoSizeMapDelta ?? null,
    'size-map': entry.repoSizeMap,
  };
}

const orNull = (list: readonly Json[]): Json => (list.length === 0 ? null : list);

const setJson = (set: SetReport): JsonObject => ({
  'database-ref': set.databases.map(database => ({ ...database })),
  link: orNull(set.links.map(link => ({ ...link }))),
  tablespace: orNull(set.tablespaces.map(tablespace => ({ ...tablespace }))),
  ...(set.errorFiles.length === 0 ? {} : { 'error-list': set.errorFiles }),
});
