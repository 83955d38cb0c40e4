/**
 * The WAL of a cluster that no server runs on, with its timelines, and backups that take the cluster for a running one: they
 * have a start and a stop in WAL, and wait for it as all online backups do.
 */
import type { BackupCluster } from '../../../src/command/backup/database.ts';
import type { Session } from '../../../src/command/session.ts';
import { formatWalName, type WalName } from '../../../src/postgres/wal.ts';
import type { FakeClock } from './fake-clock.ts';

export const segmentSize = 1024 * 1024;
const segmentsPerLog = 0x1_0000_0000 / segmentSize;

/** Where the server is in its WAL. */
export class WalPosition {
  timeline = 1;
  #highest = 1;
  /** Number of the segment that is being written. */
  segment: number;
  /** The forks on the way to the timeline. */
  #forks: { readonly timeline: number; readonly segment: number; readonly lsn: string }[] = [];

  /** @param segment near the end of a log, so that directories change soon */
  constructor(segment: number) {
    this.segment = segment;
  }

  name(segment = this.segment): WalName {
    const { timeline } = this;
    return formatWalName({
      timeline,
      log: Math.floor(segment / segmentsPerLog),
      segment: segment % segmentsPerLog,
    });
  }

  lsn(offset = 0x28): string {
    const position = BigInt(this.segment) * BigInt(segmentSize) + BigInt(offset);
    return `${(position >> 32n).toString(16).toUpperCase()}/${(position & 0xffffffffn).toString(16).toUpperCase()}`;
  }

  /** A promotion so many segments ago. @returns the history file of the new timeline */
  promote(back: number): { readonly name: string; readonly text: string } {
    this.segment = Math.max(1, this.segment - back);
    // before the timeline began its WAL is that of the one it left
    for (let last = this.#forks.at(-1); last !== undefined && last.segment > this.segment; last = this.#forks.at(-1)) {
      this.timeline = last.timeline;
      this.#forks.pop();
    }
    this.#forks.push({ timeline: this.timeline, segment: this.segment, lsn: this.lsn(0x100) });
    this.timeline = ++this.#highest;
    const name = `${this.timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
    const lines = this.#forks.map(({ timeline, lsn }) => `${timeline}\t${lsn}\tno recovery target specified\n`);
    return { name, text: lines.join('\n') };
  }
}

export interface OnlineBackup {
  readonly position: WalPosition;
  readonly clock: FakeClock;
  /** Segments that are written while the backup runs. */
  readonly segments: number;
  /** Seconds that it takes. */
  readonly seconds: number;
  /** Archives the segment that is being written, and goes on to the next. */
  readonly switchWal: () => Promise<void>;
}

/** A backup of files, that speaks as one of a running server. @param open as the program has it */
export async function openOnline(
  open: (session: Session<'backup'>) => Promise<BackupCluster>,
  session: Session<'backup'>,
  { position, clock, segments, seconds, switchWal }: OnlineBackup,
): Promise<BackupCluster> {
  const offline = await open(offlineSession(session));
  let start: WalName | undefined;
  return Object.assign(Object.create(offline) as BackupCluster, {
    isOnline: true,
    start: async () => {
      start = position.name();
      return { lsn: position.lsn(), walName: start };
    },
    stop: async () => {
      clock.seconds += seconds;
      for (let count = 0; count < segments; count++) await switchWal();
      const stop = {
        lsn: position.lsn(0x100),
        walName: position.name(),
        backupLabel: `START WAL LOCATION: ${start}\n`,
      };
      await switchWal();
      return stop;
    },
    tablespaceNames: async () => new Map([[16400, 'space']]),
  });
}

/** The settings read their own private fields, so that none can be put before them but by a proxy. */
function offlineSession(session: Session<'backup'>): Session<'backup'> {
  const values = { ...session.settings.values, online: false };
  const settings = new Proxy(session.settings, {
    get: (target, key) => (key === 'values' ? values : Reflect.get(target, key, target)),
  });
  return { ...session, settings };
}
