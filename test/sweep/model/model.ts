/** What a repository should hold, written from the documentation (behaviour, section 5.4) and not from the program. */

export type BackupType = 'full' | 'diff' | 'incr';

export interface ModelBackup {
  readonly label: string;
  readonly type: BackupType;
  /** Every backup that it needs. */
  readonly needs: readonly string[];
  readonly dbId: number;
  /** WAL from and to; absent: made offline. */
  readonly wal?: readonly [string, string];
  /** Seconds since the epoch. */
  readonly stop: number;
  /** Files of the cluster, as a restore must bring them back. */
  readonly content: Readonly<Record<string, string>>;
  readonly notes: ReadonlyMap<string, string>;
}

export interface Retention {
  readonly full?: number | undefined;
  readonly fullType: 'count' | 'time';
  readonly diff?: number | undefined;
  readonly archive?: number | undefined;
  readonly archiveType: BackupType;
  readonly history?: number | undefined;
}

export interface ModelDb {
  readonly id: number;
  readonly version: string;
}

export interface ModelRepo {
  readonly retention: Retention;
  /** In label order. */
  readonly backups: readonly ModelBackup[];
  /** Names of archived files, by archive id. */
  readonly archive: ReadonlyMap<string, ReadonlySet<string>>;
  /** Labels whose manifests are in the history. */
  readonly history: ReadonlySet<string>;
  /** Oldest first. */
  readonly dbs: readonly ModelDb[];
}

export interface ExpireWish {
  readonly set?: string | undefined;
  readonly oldest?: boolean;
  readonly before?: string | undefined;
  /** Seconds since the epoch. */
  readonly now: number;
  /** What unfinished backups need. */
  readonly inUse: ReadonlySet<string>;
  /** `20261121-020956`, local time. */
  readonly formatTime: (seconds: number) => string;
}

const day = 86_400;
const rank = { full: 0, diff: 1, incr: 2 } as const;

/** @returns what is left, or 'refused' for a set that must stay */
export function expire(repo: ModelRepo, wish: ExpireWish): ModelRepo | 'refused' {
  const fulls = repo.backups.filter(({ type }) => type === 'full').length;
  const oldest = wish.oldest === true && fulls > 1;
  const retention: Retention = oldest
    ? { ...repo.retention, full: fulls - 1, fullType: 'count', archive: fulls - 1, archiveType: 'full' }
    : repo.retention;
  const chosen = chooseBackups(repo, retention, wish);
  if (chosen === 'refused') return chosen;
  const left = { ...repo, backups: chosen.backups };
  const archive = chosen.keepWal === undefined ? repo.archive : expireWal(left, retention, chosen.keepWal, wish.before);
  return { ...left, archive, history: expireHistory(left, retention, wish) };
}

interface Chosen {
  readonly backups: readonly ModelBackup[];
  /** For so many backups all WAL is kept; absent: no WAL goes. */
  readonly keepWal: number | undefined;
}

function chooseBackups(repo: ModelRepo, retention: Retention, wish: ExpireWish): Chosen | 'refused' {
  let backups = repo.backups;
  const of = (...types: BackupType[]) => backups.filter(({ type }) => types.includes(type));
  const dependents = (label: string) =>
    backups.filter(backup => backup.label === label || backup.needs.includes(label));
  const remove = (label: string): boolean => {
    const set = dependents(label);
    if (set.some(backup => wish.inUse.has(backup.label))) return false;
    backups = backups.filter(backup => !set.includes(backup));
    return true;
  };
  const keepWal = keptWal(retention);
  if (wish.set !== undefined) {
    if (!backups.some(({ label }) => label === wish.set)) return { backups, keepWal };
    const [newest, before] = of('full').reverse();
    if (wish.set === newest?.label && before?.dbId !== newest.dbId) return 'refused';
    return remove(wish.set) ? { backups, keepWal } : 'refused';
  }
  let forTime: number | undefined;
  if (retention.full !== undefined && retention.fullType === 'count') {
    for (const { label } of of('full').slice(0, -retention.full)) remove(label);
  } else if (retention.full !== undefined) {
    const limit = wish.now - retention.full * day;
    const base = of('full').findLast(({ stop }) => stop < limit);
    if (base !== undefined) {
      for (const { label } of of('full')) if (label < base.label) remove(label);
      forTime = of('full').filter(({ label }) => label >= base.label).length;
    }
  }
  if (retention.diff !== undefined) {
    for (const { label, type } of of('full', 'diff').slice(0, -retention.diff)) if (type === 'diff') remove(label);
  }
  const isTime = retention.fullType === 'time' && retention.archive === undefined && retention.archiveType === 'full';
  return { backups, keepWal: isTime && retention.full !== undefined ? forTime : keepWal };
}

/** The number that holds where none was given. */
function keptWal({ archive, archiveType, fullType, full, diff }: Retention): number | undefined {
  if (archive !== undefined) return archive;
  if (archiveType === 'full' && fullType === 'count') return full;
  return archiveType === 'diff' ? diff : undefined;
}

function expireWal(
  { backups, archive, dbs }: ModelRepo,
  { archiveType }: Retention,
  keep: number,
  before: string | undefined,
): ReadonlyMap<string, ReadonlySet<string>> {
  const counted = backups.filter(({ type }) => rank[type] <= rank[archiveType]);
  if (before === undefined && (counted.length === 0 || counted.length < keep)) return archive;
  const result = new Map(archive);
  const newest = new Set(counted.slice(-keep));
  const current = dbs.at(-1)?.id;
  for (const { id, version } of dbs) {
    const archiveId = `${version}-${id}`;
    const files = archive.get(archiveId);
    if (files === undefined) continue;
    const own = counted.filter(({ dbId }) => dbId === id);
    if (own.length === 0 && id !== current) {
      result.delete(archiveId);
      continue;
    }
    const base = own.find(backup => newest.has(backup)) ?? own.at(-1);
    const ranges: [string, string][] = [];
    let from = base?.wal?.[0] ?? before;
    // a backup without WAL tells nothing
    if (from === undefined || (base !== undefined && base.wal === undefined)) continue;
    for (const { label, wal, dbId } of backups) {
      if (wal === undefined || dbId !== id || base === undefined) continue;
      if (label < base.label) ranges.push([wal[0], wal[1]]);
      // beyond the reference: a newer one on an older timeline
      else if (wal[0] < from) from = wal[0];
    }
    if (before !== undefined && before < from) from = before;
    const start = from;
    const stays = (name: string): boolean => {
      if (name.endsWith('.history')) return base === undefined || name.slice(0, 8) >= start.slice(0, 8);
      const segment = name.slice(0, 24);
      return segment >= start || ranges.some(([first, last]) => segment >= first && segment <= last);
    };
    result.set(archiveId, new Set([...files].filter(stays)));
  }
  return result;
}

function expireHistory({ backups, history }: ModelRepo, { history: days }: Retention, wish: ExpireWish): Set<string> {
  if (days === undefined) return new Set(history);
  const limit = `${wish.formatTime(wish.now - days * day)}F`;
  const current = new Set(backups.map(({ label }) => label));
  const year = (label: string): string => label.slice(0, 4);
  return new Set(
    [...history].filter(
      label => year(label) > year(limit) || (year(label) === year(limit) && (label >= limit || current.has(label))),
    ),
  );
}
