/** A stanza's history as plain data, and what expire leaves of it: to try the pure plans on. */
import { planArchive, planRemoval, planTimelines, sortDirectories } from '../../../src/command/expire/archive.ts';
import { planRetention, type RetainedBackup, type RetentionOptions } from '../../../src/command/expire/retention.ts';
import { formatWalName } from '../../../src/postgres/wal.ts';
import type { DbHistory } from '../../../src/repo/history.ts';
import { type BackupLabel, type BackupType, formatLabel, fullLabelOf } from '../../../src/repo/label.ts';

export interface Stanza {
  readonly history: readonly DbHistory[];
  readonly backups: readonly RetainedBackup[];
  /** Archive id -> `directory/segment-checksum` and history files. */
  readonly archive: ReadonlyMap<string, readonly string[]>;
  /** Seconds since the epoch, after all that happened. */
  readonly now: number;
}

/** What happens to a stanza, one after the other. */
export type Event =
  | { readonly kind: 'backup'; readonly type: BackupType; readonly online: boolean; readonly segments: number }
  | { readonly kind: 'wal'; readonly segments: number }
  /** A promotion after a restore: a new timeline that leaves the old one some segments ago. */
  | { readonly kind: 'promote'; readonly back: number }
  /** The cluster of the timeline before is taken back into service. */
  | { readonly kind: 'return' }
  | { readonly kind: 'upgrade' }
  | { readonly kind: 'wait'; readonly hours: number };

const segmentsPerLog = 256;

export function happen(events: readonly Event[]): Stanza {
  const history: DbHistory[] = [{ id: 1, version: '14', systemId: 1001n }];
  const backups: RetainedBackup[] = [];
  const archive = new Map<string, string[]>();
  let now = Date.UTC(2026, 0, 1) / 1000;
  let timeline = 1;
  // near the end of a log, so that directories change soon
  let segment = 250;

  const db = (): DbHistory => history.at(-1) as DbHistory;
  const wal = (): string =>
    formatWalName({ timeline, log: Math.floor(segment / segmentsPerLog), segment: segment % segmentsPerLog });
  const files = (): string[] => {
    const id = `${db().version}-${db().id}`;
    const list = archive.get(id) ?? [];
    archive.set(id, list);
    return list;
  };
  const push = (count: number): void => {
    for (let i = 0; i < count; i++, segment++) {
      const name = wal();
      files().push(`${name.slice(0, 16)}/${name}-${'0'.repeat(40)}.gz`);
    }
  };

  for (const event of events) {
    now += 60;
    switch (event.kind) {
      case 'wait':
        now += event.hours * 3600;
        break;
      case 'wal':
        push(event.segments);
        break;
      case 'promote': {
        const switched = wal();
        segment = Math.max(0, segment - event.back);
        files().push(`${switched.slice(0, 16)}/${switched}.partial-${'1'.repeat(40)}`);
        timeline++;
        files().push(`${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`);
        break;
      }
      case 'return':
        timeline = Math.max(1, timeline - 1);
        break;
      case 'upgrade':
        push(1);
        history.push({ id: db().id + 1, version: String(14 + db().id), systemId: BigInt(1001 + db().id) });
        timeline = 1;
        segment = 1;
        break;
      case 'backup': {
        const own = backups.filter(backup => backup.dbId === db().id);
        const prior = own.findLast(({ type }) => event.type === 'incr' || type === 'full');
        const type = prior === undefined ? 'full' : event.type;
        const label = formatLabel(type, now, prior === undefined ? undefined : fullLabelOf(prior.label));
        const start = wal();
        push(event.segments);
        const stop = wal();
        push(1);
        now += 30;
        backups.push({
          label,
          type,
          dbId: db().id,
          reference: type === 'full' || prior === undefined ? [] : [...prior.reference, prior.label],
          ...(type === 'full' || prior === undefined ? {} : { prior: prior.label }),
          archiveStart: event.online ? start : null,
          archiveStop: event.online ? stop : null,
          timestampStop: now,
        });
      }
    }
  }
  // backup.info is in label order
  backups.sort((a, b) => (a.label < b.label ? -1 : 1));
  return { history, backups, archive, now };
}

export interface ExpireOptions {
  readonly retention: RetentionOptions;
  readonly set?: BackupLabel | undefined;
  readonly expireBefore?: string | undefined;
  readonly inUse?: ReadonlyMap<BackupLabel, BackupLabel>;
}

/** What is left. */
export function expire(stanza: Stanza, options: ExpireOptions): Stanza {
  const { history, now } = stanza;
  const { remaining, archive: retention } = planRetention({
    backups: stanza.backups,
    options: options.retention,
    now,
    inUse: options.inUse ?? new Map(),
    set: options.set,
    repo: 'repo1',
  });
  const archive = new Map(stanza.archive);
  const currentId = history.at(-1)?.id ?? 0;
  const plans =
    retention === undefined
      ? undefined
      : planArchive({
          backups: remaining,
          type: options.retention.archiveType,
          retention,
          expireBefore: options.expireBefore,
          archive: { currentId, history },
          history,
        });
  for (const plan of plans ?? []) {
    const files = archive.get(plan.archiveId);
    if (files === undefined || plan.remove === 'none') continue;
    if (plan.remove === 'all') {
      archive.delete(plan.archiveId);
      continue;
    }
    const names = [...new Set(files.map(file => file.split('/')[0] ?? ''))];
    const directories = sortDirectories(names, plan.ranges);
    const inside = new Map(
      directories.parts.map(directory => [
        directory,
        files.filter(file => file.startsWith(`${directory}/`)).map(file => file.slice(17)),
      ]),
    );
    const gone = new Set([
      ...planRemoval(names, directories, inside, plan.ranges).paths,
      ...planTimelines(names, plan.firstTimeline),
    ]);
    archive.set(
      plan.archiveId,
      files.filter(file => !gone.has(file) && !gone.has(file.split('/')[0] ?? '')),
    );
  }
  return { history, backups: remaining, archive, now };
}

/** Names of the segments, complete or not, of one archive id. */
export const segmentsOf = (stanza: Stanza, archiveId: string): string[] =>
  (stanza.archive.get(archiveId) ?? []).filter(file => file.includes('/')).map(file => file.slice(17, 41));

export const timelinesOf = (stanza: Stanza, archiveId: string): string[] =>
  (stanza.archive.get(archiveId) ?? []).filter(file => !file.includes('/'));
