/**
 * Which backups retention lets go (behaviour, section 5.4), as a pure function: from the backups of one repository and its
 * options to decisions with their reasons. Nothing is read or removed here.
 */
import { BackstopError } from '../../base/error.ts';
import type { BackupEntry } from '../../repo/backup-info.ts';
import type { BackupLabel, BackupType } from '../../repo/label.ts';

/** The retention options of one repository. Absent: no limit of that kind. */
export interface RetentionOptions {
  /** Backups or days, as fullType says. */
  readonly full?: number | undefined;
  readonly fullType: 'count' | 'time';
  readonly diff?: number | undefined;
  readonly archive?: number | undefined;
  readonly archiveType: BackupType;
  /** Days that the manifests of expired backups are kept. */
  readonly history?: number | undefined;
}

/** What retention looks at in a backup. */
export type RetainedBackup = Pick<
  BackupEntry,
  'label' | 'type' | 'dbId' | 'prior' | 'reference' | 'archiveStart' | 'archiveStop' | 'timestampStop'
>;

export interface RetentionRequest<B extends RetainedBackup = RetainedBackup> {
  /** In label order. */
  readonly backups: readonly B[];
  readonly options: RetentionOptions;
  /** Seconds since the epoch. */
  readonly now: number;
  /** Backups that one which is being made depends on, each with the label of that one: they stay. */
  readonly inUse: ReadonlyMap<BackupLabel, BackupLabel>;
  /** The backup that was asked for by name; it and its dependents go, whatever retention says. */
  readonly set?: BackupLabel | undefined;
  /** Name of the repository, which the names of its options start with: `repo1`. */
  readonly repo: string;
}

/** Backups that go together: one, and those that cannot live without it. */
export interface ExpiredSet {
  readonly kind: 'full' | 'diff' | 'time-based' | 'adhoc';
  /** In label order. */
  readonly labels: readonly BackupLabel[];
  readonly reason: string;
}

export interface KeptBackup {
  readonly label: BackupLabel;
  readonly reason: string;
  /** Retention would have let it go, but this backup, which is being made, depends on it. */
  readonly inUseBy?: BackupLabel;
}

export interface RetentionPlan<B extends RetainedBackup = RetainedBackup> {
  /** In the order in which they go. */
  readonly expired: readonly ExpiredSet[];
  readonly kept: readonly KeptBackup[];
  /** The backups that are kept, in label order. */
  readonly remaining: readonly B[];
  /** How many backups of the archive type keep WAL for point-in-time recovery; undefined: no WAL is to go. */
  readonly archive: number | undefined;
}

const secondsPerDay = 86_400;

/**
 * @throws backup-set-invalid when the set that was asked for is the last full backup of its cluster, or when a backup
 * that is being made depends on it
 */
export function planRetention<B extends RetainedBackup>(request: RetentionRequest<B>): RetentionPlan<B> {
  const { options } = request;
  const selection = new Selection(request);
  let archive = options.archive;
  if (request.set !== undefined) {
    expireSet(selection, request.set);
  } else {
    if (options.full !== undefined) {
      if (options.fullType === 'count') expireByCount(selection, options.full);
      else archive = expireByTime(selection, options.full) ?? archive;
    }
    if (options.diff !== undefined) expireDiffs(selection, options.diff);
  }
  return selection.plan(archive);
}

/** Backups leave it one set at a time, as decisions are made. */
class Selection<B extends RetainedBackup> {
  readonly request: RetentionRequest<B>;
  readonly #dependents = new Map<BackupLabel, BackupLabel[]>();
  readonly #reasons = new Map<BackupLabel, KeptBackup>();
  readonly #expired: ExpiredSet[] = [];
  #left: readonly B[];

  constructor(request: RetentionRequest<B>) {
    this.request = request;
    this.#left = request.backups;
    for (const backup of request.backups) {
      // the prior is one of the references in any sound backup.info; both are looked at for the unsound ones
      for (const needed of new Set([...backup.reference, ...(backup.prior === undefined ? [] : [backup.prior])])) {
        const list = this.#dependents.get(needed);
        if (list === undefined) this.#dependents.set(needed, [backup.label]);
        else list.push(backup.label);
      }
    }
  }

  of(...types: readonly BackupType[]): B[] {
    return this.#left.filter(backup => types.includes(backup.type));
  }

  /** The backup and all that depend on it, in label order, as far as they are left. */
  withDependents(label: BackupLabel): BackupLabel[] {
    const found = new Set<BackupLabel>([label]);
    for (const member of found) for (const dependent of this.#dependents.get(member) ?? []) found.add(dependent);
    return this.#left.flatMap(backup => (found.has(backup.label) ? [backup.label] : []));
  }

  keep(label: BackupLabel, reason: string, inUseBy?: BackupLabel): void {
    this.#reasons.set(label, { label, reason, ...(inUseBy === undefined ? {} : { inUseBy }) });
  }

  /** @returns false when the set stays because a backup that is being made depends on a part of it */
  expire(kind: ExpiredSet['kind'], label: BackupLabel, reason: string): boolean {
    const labels = this.withDependents(label);
    // it went with another one
    if (labels.length === 0) return false;
    const user = this.userOf(labels);
    if (user !== undefined) {
      this.keep(label, `${reason}, but backup ${user}, which is being made, depends on it`, user);
      return false;
    }
    const gone = new Set<string>(labels);
    this.#left = this.#left.filter(backup => !gone.has(backup.label));
    this.#expired.push({ kind, labels, reason });
    return true;
  }

  /** The backup that is being made and depends on one of these, if there is one. */
  userOf(labels: readonly BackupLabel[]): BackupLabel | undefined {
    for (const label of labels) {
      const user = this.request.inUse.get(label);
      if (user !== undefined) return user;
    }
    return undefined;
  }

  plan(archive: number | undefined): RetentionPlan<B> {
    return {
      expired: this.#expired,
      kept: this.#left.map(
        ({ label }) => this.#reasons.get(label) ?? { label, reason: 'nothing that it depends on goes' },
      ),
      remaining: this.#left,
      archive,
    };
  }
}

/** The oldest fulls beyond the number go. */
function expireByCount(selection: Selection<RetainedBackup>, limit: number): void {
  const option = `${selection.request.repo}-retention-full=${limit}`;
  const fulls = selection.of('full');
  fulls.forEach(({ label }, index) => {
    const rank = fulls.length - index;
    if (rank > limit)
      selection.expire('full', label, `it is number ${rank} from the newest full backup, beyond ${option}`);
    else selection.keep(label, `it is number ${rank} from the newest full backup, within ${option}`);
  });
}

/**
 * All before the newest full that is older than the limit go; that one stays, so that every moment within the limit can
 * be restored.
 * @returns how many fulls keep WAL when no option says it: those that remain; undefined when no full is old enough
 */
function expireByTime(selection: Selection<RetainedBackup>, days: number): number | undefined {
  const { now, options, repo } = selection.request;
  const option = `${repo}-retention-full=${days} days`;
  const fulls = selection.of('full');
  const limit = now - days * secondsPerDay;
  const base = fulls.findLast(backup => backup.timestampStop < limit);
  for (const { label } of fulls) {
    if (base === undefined) selection.keep(label, `no full backup is older than ${option}`);
    else if (label < base.label)
      selection.expire('time-based', label, `a newer full backup, ${base.label}, is older than ${option}, too`);
    else if (label === base.label) selection.keep(label, `it is the newest full backup that is older than ${option}`);
    else selection.keep(label, `it is within ${option}`);
  }
  if (base === undefined || options.archiveType !== 'full' || options.archive !== undefined) return undefined;
  // fulls that stay only because they are in use do not count: WAL before the base is not kept for their sake
  return fulls.filter(({ label }) => label >= base.label).length;
}

/** Fulls count as diffs, so that retention-diff=2 keeps two points to restore, but only diffs go. */
function expireDiffs(selection: Selection<RetainedBackup>, limit: number): void {
  const option = `${selection.request.repo}-retention-diff=${limit}`;
  const list = selection.of('full', 'diff');
  list.forEach(({ label, type }, index) => {
    const rank = list.length - index;
    if (type !== 'diff') return;
    const place = `it is number ${rank} from the newest full or diff backup`;
    if (rank > limit) selection.expire('diff', label, `${place}, beyond ${option}`);
    else selection.keep(label, `${place}, within ${option}`);
  });
}

function expireSet(selection: Selection<RetainedBackup>, label: BackupLabel): void {
  const [newest, before] = selection.of('full').reverse();
  if (label === newest?.label && before?.dbId !== newest.dbId) {
    throw new BackstopError(
      'backup-set-invalid',
      `full backup ${label} cannot be expired until another full backup has been created on this repo`,
    );
  }
  const user = selection.userOf(selection.withDependents(label));
  if (user !== undefined) {
    throw new BackstopError(
      'backup-set-invalid',
      `backup ${label} cannot be expired while backup ${user} is being made`,
      {
        hint: [
          `backup ${user} depends on it, and may be running on another host.`,
          `if it was aborted, the next backup will clear it away.`,
        ],
      },
    );
  }
  selection.expire('adhoc', label, 'it was asked for with --set');
}

/** The options for one run with `--oldest`: one full fewer than there are, with WAL accordingly. */
export function oldestOptions(options: RetentionOptions, fulls: number): RetentionOptions {
  return { ...options, full: fulls - 1, fullType: 'count', archive: fulls - 1, archiveType: 'full' };
}
