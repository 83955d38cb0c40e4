/**
 * Which archived WAL may go (behaviour, section 5.4), as pure functions: from the backups that remain to the ranges of WAL
 * that they need, and from these and a listing to what is removed.
 *
 * Segments are compared by name, as the reference does: a later timeline sorts after an earlier one.
 */
import { BackstopError } from '../../base/error.ts';
import { type ArchiveId, archiveIdOf, type DbHistory, isSameDb } from '../../repo/history.ts';
import type { BackupType } from '../../repo/label.ts';
import type { RetainedBackup } from './retention.ts';

/** WAL that stays, first and last segment included; without a last one, all from the first on. */
export interface WalRange {
  readonly start: string;
  readonly stop?: string;
}

export interface ArchiveRequest {
  /** The backups that remain, in label order. */
  readonly backups: readonly RetainedBackup[];
  readonly type: BackupType;
  /** How many backups of the type keep all WAL from their start on. */
  readonly retention: number;
  /** Segment from which on nothing goes. */
  readonly expireBefore?: string | undefined;
  readonly archive: { readonly currentId: number; readonly history: readonly DbHistory[] };
  /** History of backup.info. */
  readonly history: readonly DbHistory[];
}

/** What is to be done with the WAL of one cluster of the stanza's history. */
export interface ArchivePlan {
  readonly archiveId: ArchiveId;
  /** 'all': no backup needs it and no cluster archives there. 'none': it stays as it is. */
  readonly remove: 'all' | 'none' | 'outside';
  readonly reason: string;
  /** WAL that stays, when what is outside goes. */
  readonly ranges: readonly WalRange[];
  /** One line for each backup that has a range. */
  readonly details: readonly string[];
  /** History files of timelines before this one go (8 hex digits). */
  readonly firstTimeline?: string;
}

/**
 * @returns a plan for each cluster of the history, oldest first; undefined while there are fewer backups than are to keep WAL
 * @throws format when archive.info and backup.info tell of different clusters
 */
export function planArchive(request: ArchiveRequest): ArchivePlan[] | undefined {
  const { backups, type, retention, expireBefore } = request;
  const counted = backups.filter(backup => countsAs(backup.type, type));
  if (expireBefore === undefined && (counted.length === 0 || counted.length < retention)) return undefined;
  checkHistories(request);
  const retained = new Set<string>(counted.slice(-retention).map(backup => backup.label));
  return request.archive.history.map(db => planCluster(request, db, counted, retained));
}

/** A full counts as a diff, and both count as an incr. */
function countsAs(type: BackupType, wanted: BackupType): boolean {
  const order: readonly BackupType[] = ['full', 'diff', 'incr'];
  return order.indexOf(type) <= order.indexOf(wanted);
}

/** archive.info may have forgotten the oldest clusters, but what it knows must be what backup.info knows. */
function checkHistories({ archive, history }: ArchiveRequest): void {
  const known = history.slice(-archive.history.length);
  const same =
    known.length === archive.history.length &&
    archive.history.every((db, index) => {
      const other = known[index];
      return other !== undefined && db.id === other.id && isSameDb(db, other);
    });
  if (!same) {
    throw new BackstopError(
      'format',
      'archive expiration cannot continue - archive and backup history lists do not match',
      { hint: 'has a stanza-upgrade been performed?' },
    );
  }
}

function planCluster(
  request: ArchiveRequest,
  db: DbHistory,
  counted: readonly RetainedBackup[],
  retained: ReadonlySet<string>,
): ArchivePlan {
  const { expireBefore, archive } = request;
  const archiveId = archiveIdOf(db);
  const nothing = (reason: string): ArchivePlan => ({ archiveId, remove: 'none', reason, ranges: [], details: [] });
  const own = counted.filter(backup => backup.dbId === db.id);
  const newest = own.at(-1);
  if (newest === undefined) {
    if (db.id !== archive.currentId) {
      return { ...nothing('no backup of that cluster is left, and another one is the current one'), remove: 'all' };
    }
    if (expireBefore === undefined) return nothing('no backup of the current cluster tells what may go');
    const reason = `WAL before ${expireBefore} goes as asked for`;
    return { ...nothing(reason), remove: 'outside', ranges: [{ start: expireBefore }] };
  }
  // where retention holds none of its backups, its newest one still can be restored to the end of its WAL
  const retention = own.find(backup => retained.has(backup.label)) ?? newest;
  if (retention.archiveStart === null) return nothing(`backup ${retention.label} was made without WAL`);
  return planRanges(request, db, retention, retention.archiveStart);
}

function planRanges(
  request: ArchiveRequest,
  db: DbHistory,
  retention: RetainedBackup,
  retentionStart: string,
): ArchivePlan {
  const { backups, expireBefore } = request;
  const archiveId = archiveIdOf(db);
  const ranges: WalRange[] = [];
  const details: string[] = [];
  // all from here on stays
  let start = retentionStart;
  for (const backup of backups) {
    if (backup.dbId !== db.id || backup.archiveStart === null) continue;
    if (backup.label < retention.label) {
      // older than what WAL is kept for: it needs its own WAL, to become consistent
      ranges.push({
        start: backup.archiveStart,
        ...(backup.archiveStop === null ? {} : { stop: backup.archiveStop }),
      });
      details.push(detail(backup, backup.archiveStart, backup.archiveStop));
    } else if (backup === retention) {
      details.push(detail(backup, retentionStart, null));
    } else if (backup.archiveStart < start) {
      // beyond the reference: a newer backup on an older timeline must not lose its WAL either
      start = backup.archiveStart;
      details.push(detail(backup, start, null));
    }
  }
  if (expireBefore !== undefined && expireBefore < start) start = expireBefore;
  ranges.push({ start });
  return {
    archiveId,
    remove: 'outside',
    reason: `point-in-time recovery is kept from backup ${retention.label} on`,
    ranges,
    details,
    firstTimeline: start.slice(0, 8),
  };
}

const detail = (backup: RetainedBackup, start: string, stop: string | null): string =>
  `archive retention on backup ${backup.label}, start = ${start}${stop === null ? '' : `, stop = ${stop}`}`;

/** The directories of an archive id, by what the ranges say of them. */
export interface SortedDirectories {
  /** Nothing in them is needed. */
  readonly whole: readonly string[];
  /** Some of their segments may be needed, some not: their files must be looked at. */
  readonly parts: readonly string[];
}

const directoryPattern = /^[0-9A-F]{16}$/;
const segmentLength = 24;

/** @param names what lies below an archive id, in any order */
export function sortDirectories(names: readonly string[], ranges: readonly WalRange[]): SortedDirectories {
  const whole: string[] = [];
  const parts: string[] = [];
  for (const name of names) {
    if (!directoryPattern.test(name)) continue;
    const [first, last] = [`${name}00000000`, `${name}FFFFFFFF`];
    if (!ranges.some(range => touches(range, name))) whole.push(name);
    // a directory that one range covers holds nothing that may go: it need not be listed
    else if (!ranges.some(range => contains(range, first) && contains(range, last))) parts.push(name);
  }
  return { whole: whole.sort(), parts: parts.sort() };
}

const touches = ({ start, stop }: WalRange, directory: string): boolean =>
  directory >= start.slice(0, 16) && (stop === undefined || directory <= stop.slice(0, 16));

const contains = ({ start, stop }: WalRange, segment: string): boolean =>
  segment >= start && (stop === undefined || segment <= stop);

export interface RemovedWal {
  /** `directory` or `directory/file` below the archive id, in order. */
  readonly paths: readonly string[];
  /** Runs of removed WAL with nothing in between that stays: names of segments or directories. */
  readonly runs: readonly { readonly start: string; readonly stop: string }[];
}

/** @param files the files of each directory that only parts of are needed */
export function planRemoval(
  names: readonly string[],
  directories: SortedDirectories,
  files: ReadonlyMap<string, readonly string[]>,
  ranges: readonly WalRange[],
): RemovedWal {
  const paths: string[] = [];
  const runs: { start: string; stop: string }[] = [];
  const whole = new Set(directories.whole);
  let open: { start: string; stop: string } | undefined;
  const remove = (path: string, name: string): void => {
    paths.push(path);
    if (open === undefined) {
      open = { start: name, stop: name };
      runs.push(open);
    } else {
      open.stop = name;
    }
  };
  for (const directory of names.filter(name => directoryPattern.test(name)).sort()) {
    if (whole.has(directory)) {
      remove(directory, directory);
      continue;
    }
    const listed = files.get(directory);
    if (listed === undefined) open = undefined;
    for (const file of [...(listed ?? [])].sort()) {
      const segment = file.slice(0, segmentLength);
      // whatever else lies there was not put there by us
      if (!/^[0-9A-F]{24}$/.test(segment)) continue;
      if (ranges.some(range => contains(range, segment))) open = undefined;
      else remove(`${directory}/${file}`, segment);
    }
  }
  return { paths, runs };
}

/** Timeline history files that no kept WAL leads to. */
export function planTimelines(names: readonly string[], firstTimeline: string | undefined): string[] {
  if (firstTimeline === undefined) return [];
  return names.filter(name => /^[0-9A-F]{8}\.history$/.test(name) && name.slice(0, 8) < firstTimeline).sort();
}
