/** Concludes from findings what `info` says: status, order, what belongs together. Pure. */
import type { BackupEntry } from '../../repo/backup-info.ts';
import type { ArchiveId, DbHistory } from '../../repo/history.ts';
import { isSameDb } from '../../repo/history.ts';
import type { BackupType } from '../../repo/label.ts';
import type { Manifest } from '../../repo/manifest/manifest.ts';
import type { ArchiveGap } from '../archive-gap.ts';
import type { ArchiveLag } from '../archive-lag.ts';
import type { Cipher, DatabaseFinding, RepoFinding, StanzaFinding, WalRange } from './finding.ts';

/** The codes that scripts read (behaviour, section 7). */
export const statusMessages = {
  0: 'ok',
  1: 'missing stanza path',
  2: 'no valid backups',
  3: 'missing stanza data',
  4: 'different across repos',
  5: 'database mismatch across repos',
  6: 'requested backup not found',
  99: 'other',
} as const;

export type StatusCode = keyof typeof statusMessages;

export interface Status {
  readonly code: StatusCode;
  readonly message: string;
}

export interface RepoReport {
  readonly key: number;
  readonly cipher: Cipher;
  readonly status: Status;
  /** Absent when it is not known. */
  readonly lag?: ArchiveLag;
  readonly gaps: readonly ArchiveGap[];
}

export interface DatabaseReport {
  readonly repoKey: number;
  readonly db: DbHistory;
}

export interface ArchiveReport {
  readonly repoKey: number;
  readonly dbId: number;
  readonly archiveId: ArchiveId;
  readonly wal?: WalRange;
}

/** What only the manifest tells. */
export interface SetReport {
  readonly databases: readonly { readonly name: string; readonly oid: number }[];
  readonly links: readonly { readonly name: string; readonly destination: string }[];
  readonly tablespaces: readonly { readonly name: string; readonly oid: number; readonly destination: string }[];
  /** Files with page checksum errors, relative to PGDATA. */
  readonly errorFiles: readonly string[];
}

export interface BackupReport {
  readonly repoKey: number;
  readonly entry: BackupEntry;
  /** Present when the backup was asked for by its label. */
  readonly set?: SetReport;
}

export interface Bytes {
  readonly size: number;
  readonly sizeComplete: number;
}

export interface LockReport {
  readonly held: boolean;
  readonly progress?: Bytes;
  /** Percent done times 100, when only that is known. */
  readonly percentComplete?: number;
  /** Parts of the progress, where it has several. */
  readonly repos: readonly (Bytes & { readonly key: number })[];
}

export interface StanzaReport {
  readonly name: string;
  readonly status: Status;
  readonly backupLock: LockReport;
  readonly restoreLock: LockReport;
  /** Absent when only progress was asked for. */
  readonly details?: StanzaDetails;
}

export interface StanzaDetails {
  readonly cipher: Cipher | 'mixed';
  readonly repos: readonly RepoReport[];
  readonly databases: readonly DatabaseReport[];
  readonly archives: readonly ArchiveReport[];
  /** Oldest first, over all repositories. */
  readonly backups: readonly BackupReport[];
  /** The cluster that the stanza has now. */
  readonly current?: DbHistory;
}

export interface ReportRequest {
  readonly progressOnly: boolean;
  readonly type?: BackupType;
  readonly set?: string;
}

export function makeReport(finding: StanzaFinding, request: ReportRequest): StanzaReport {
  const { name, repos } = finding;
  const locks = {
    backupLock: combineLocks(repos.map(repo => ({ key: repo.key, ...repo.backupLock }))),
    restoreLock: { ...combineLocks(repos.map(repo => ({ key: repo.key, ...repo.restoreLock }))), repos: [] },
  };
  if (request.progressOnly) {
    return { name, status: combineStatuses(repos.map(progressStatus)), ...locks };
  }
  const setMissing = request.set !== undefined && !repos.some(repo => repo.manifest !== undefined);
  // a set that is nowhere takes the rest of the answer with it
  const shown = repos.map(repo => (setMissing && repo.state === 'found' ? withoutData(repo) : repo));
  const reports = shown.map(
    (repo): RepoReport => ({
      key: repo.key,
      cipher: repo.cipher,
      status: setMissing && repo.state === 'found' ? statusOf(6) : repoStatus(repo),
      ...(repo.lag === undefined ? {} : { lag: repo.lag }),
      gaps: repo.gaps ?? [],
    }),
  );
  const current = repos.find(repo => repo.current !== undefined)?.current;
  const differs = shown.some(
    repo => repo.state === 'found' && repo.current && current && !isSameDb(repo.current, current),
  );
  const ciphers = new Set(repos.map(repo => repo.cipher));
  const [cipher = 'none'] = ciphers;
  return {
    name,
    status: differs ? statusOf(5) : combineStatuses(reports.map(repo => repo.status)),
    ...locks,
    details: {
      cipher: ciphers.size > 1 ? 'mixed' : cipher,
      repos: reports,
      databases: shown.flatMap(repo => repo.databases.map(({ db }) => ({ repoKey: repo.key, db }))),
      archives: shown.flatMap(archivesOf),
      backups: backupsOf(shown, request),
      ...(current === undefined ? {} : { current }),
    },
  };
}

const statusOf = (code: StatusCode): Status => ({ code, message: statusMessages[code] });

function repoStatus(repo: RepoFinding): Status {
  switch (repo.state) {
    case 'found':
      return statusOf(repo.backups.length === 0 ? 2 : 0);
    case 'path-missing':
    case 'unread':
      return statusOf(1);
    case 'data-missing':
      return statusOf(3);
    case 'failed':
      return { code: 99, message: repo.error ?? statusMessages[99] };
  }
}

/** Without its info files there is not much to say about a stanza. */
function progressStatus(repo: RepoFinding): Status {
  return repo.state === 'unread' ? statusOf(0) : repoStatus(repo);
}

function combineStatuses(statuses: readonly Status[]): Status {
  const [first] = statuses;
  if (first === undefined) return statusOf(0);
  return statusOf(statuses.every(status => status.code === first.code) ? first.code : 4);
}

const withoutData = (repo: RepoFinding): RepoFinding => ({ ...repo, databases: [], backups: [] });

/** An archive without WAL is only of interest when WAL should come in now. */
function archivesOf(repo: RepoFinding): ArchiveReport[] {
  const newest = repo.state === 'failed' ? undefined : repo.databases.at(-1);
  return repo.databases
    .filter(database => database.wal !== undefined || database === newest)
    .map(({ db, archiveId, wal }: DatabaseFinding) => ({
      repoKey: repo.key,
      dbId: db.id,
      archiveId,
      ...(wal === undefined ? {} : { wal }),
    }));
}

/** Merges the lists of the repositories, which are in label order, by the time the backups ended. */
function backupsOf(repos: readonly RepoFinding[], request: ReportRequest): BackupReport[] {
  const queues = repos.map(repo => ({ repo, next: 0 }));
  const merged: BackupReport[] = [];
  for (;;) {
    let first: (typeof queues)[number] | undefined;
    for (const queue of queues) {
      const stop = queue.repo.backups[queue.next]?.timestampStop;
      const best = first?.repo.backups[first.next]?.timestampStop;
      if (stop !== undefined && (best === undefined || stop < best)) first = queue;
    }
    const entry = first?.repo.backups[first.next];
    if (first === undefined || entry === undefined) break;
    first.next++;
    if (request.set !== undefined && entry.label !== request.set) continue;
    if (request.type !== undefined && entry.type !== request.type) continue;
    const { key, manifest } = first.repo;
    merged.push({
      repoKey: key,
      entry,
      ...(request.set === undefined || manifest === undefined ? {} : { set: describeSet(manifest) }),
    });
  }
  return merged;
}

const templates: ReadonlySet<string> = new Set(['template0', 'template1']);

function describeSet(manifest: Manifest): SetReport {
  const links: SetReport['links'][number][] = [];
  const tablespaces: SetReport['tablespaces'][number][] = [];
  for (const target of manifest.targets) {
    if (target.type !== 'link') continue;
    if (target.tablespaceName !== undefined) {
      tablespaces.push({ name: target.tablespaceName, oid: target.tablespaceId ?? 0, destination: target.path });
    } else if (target.file !== undefined) {
      links.push({ name: target.file, destination: `${target.path}/${target.file}` });
    } else {
      links.push({ name: withoutPgData(target.name), destination: target.path });
    }
  }
  const errorFiles: string[] = [];
  const { files } = manifest;
  for (let index = 0; index < files.length; index++) {
    const { checksumPage, name } = files.get(index);
    if (checksumPage === false) errorFiles.push(withoutPgData(name));
  }
  return {
    databases: manifest.databases.filter(db => !templates.has(db.name)).map(({ name, id }) => ({ name, oid: id })),
    links,
    tablespaces,
    errorFiles,
  };
}

const withoutPgData = (name: string): string => (name.startsWith('pg_data/') ? name.slice('pg_data/'.length) : name);

/** Adds up the progress of all repositories; each stays visible. */
function combineLocks(locks: readonly (RepoFinding['backupLock'] & { readonly key: number })[]): LockReport {
  const held = locks.filter(lock => lock.held);
  const repos = held.flatMap(({ key, progress }) => (progress === undefined ? [] : [{ key, ...progress }]));
  const percentComplete = held.find(lock => lock.percentComplete !== undefined)?.percentComplete;
  const sum = (pick: (part: Bytes) => number) => repos.reduce((total, part) => total + pick(part), 0);
  return {
    held: held.length > 0,
    ...(repos.length === 0
      ? {}
      : { progress: { size: sum(part => part.size), sizeComplete: sum(part => part.sizeComplete) } }),
    ...(percentComplete === undefined ? {} : { percentComplete }),
    repos,
  };
}

/** The backups and WAL of one cluster, from whatever repositories. */
export interface DatabaseGroup {
  readonly db: DbHistory;
  readonly isCurrent: boolean;
  readonly wal?: WalRange;
  readonly backups: readonly BackupReport[];
}

/**
 * Brings together what belongs to one version and system id, prior clusters first. Prior ones that left nothing are not
 * among them; when a set was asked for and is there, only its own group is.
 */
export function groupByDatabase(details: StanzaDetails, set: string | undefined): DatabaseGroup[] {
  const groups: DatabaseGroup[] = [];
  for (const { db } of details.databases) {
    if (groups.some(group => isSameDb(group.db, db))) continue;
    const own = new Set(
      details.databases.filter(other => isSameDb(other.db, db)).map(({ repoKey, db: { id } }) => `${repoKey}-${id}`),
    );
    const ranges = details.archives.flatMap(({ repoKey, dbId, wal }) =>
      wal !== undefined && own.has(`${repoKey}-${dbId}`) ? [wal] : [],
    );
    const [min, max] = [
      ranges.map(range => range.min).sort()[0],
      ranges
        .map(range => range.max)
        .sort()
        .at(-1),
    ];
    groups.push({
      db,
      isCurrent: details.current !== undefined && isSameDb(details.current, db),
      ...(min === undefined || max === undefined ? {} : { wal: { min, max } }),
      backups: details.backups.filter(({ repoKey, entry }) => own.has(`${repoKey}-${entry.dbId}`)),
    });
  }
  const withBackups = groups.filter(group => group.backups.length > 0);
  const shown =
    set !== undefined && withBackups.length > 0
      ? withBackups
      : groups.filter(group => group.isCurrent || group.wal !== undefined || group.backups.length > 0);
  return [...shown.filter(group => !group.isCurrent), ...shown.filter(group => group.isCurrent)];
}
