/** Timelines: branches of a cluster's history, made by each promotion, and the `.history` files that tell of them. */
import { BackstopError } from '../base/error.ts';
import { formatLsn, type Lsn, parseLsn } from './lsn.ts';
import type { PostgresVersion } from './versions.ts';

/** One line of a history file: the timeline that was left, and where. */
export interface TimelineFork {
  readonly timeline: number;
  readonly lsn: Lsn;
}

/** `0000000A.history` */
export function historyFileName(timeline: number): string {
  return `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
}

/**
 * The forks on the way to a timeline, oldest first.
 * @throws format with the line that is not understood
 */
export function parseTimelineHistory(text: string): TimelineFork[] {
  const forks: TimelineFork[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const match = /^(\d{1,10})\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(\s|$)/.exec(line);
    const timeline = Number(match?.[1] ?? 0);
    const lsn = match?.[2] === undefined ? 0n : parseLsn(match[2]);
    if (timeline < 1 || timeline > 0xffffffff || lsn === 0n) {
      throw new BackstopError('format', `invalid history line format '${line.slice(0, 200)}'`);
    }
    forks.push({ timeline, lsn });
  }
  return forks;
}

export interface TargetTimelineQuestion {
  /** The option as the user gave it: `current`, `latest`, decimal, or hexadecimal after `0x`; undefined when not. */
  readonly option: string | undefined;
  readonly version: PostgresVersion;
  /** Recovery stops as soon as the backup is consistent. */
  readonly immediate: boolean;
  readonly backupTimeline: number;
  /** Names of all history files in the archive (other names are ignored). */
  readonly historyFiles: Iterable<string>;
}

/**
 * The timeline that recovery will follow. When it is not the backup's own, its history must lead through the backup:
 * see checkTimelineReachable.
 * @throws db-mismatch when the option is no timeline
 */
export function chooseTargetTimeline(question: TargetTimelineQuestion): number {
  const { version, immediate, backupTimeline } = question;
  // PostgreSQL's own default moved from current to latest together with the signal files; nothing is followed when
  // recovery stops at once, and then a broken latest timeline must not get in the way
  const option = question.option ?? (version.recovery === 'file' || immediate ? 'current' : 'latest');
  if (option === 'current') return backupTimeline;
  if (option === 'latest') {
    let latest = backupTimeline;
    for (const name of question.historyFiles) {
      const match = /^([0-9A-F]{8})\.history$/.exec(name);
      if (match?.[1] !== undefined) latest = Math.max(latest, Number.parseInt(match[1], 16));
    }
    return latest;
  }
  const digits = /^(?:0x([0-9A-Fa-f]{1,8})|(\d{1,10}))$/.exec(option);
  const timeline = digits?.[1] !== undefined ? Number.parseInt(digits[1], 16) : Number(digits?.[2] ?? 0);
  if (timeline < 1 || timeline > 0xffffffff) {
    throw new BackstopError('db-mismatch', `invalid target timeline '${option}'`, {
      hint: 'a timeline is current, latest, a number, or a hexadecimal number after 0x',
    });
  }
  return timeline;
}

/**
 * Checks that recovery from a backup can reach a timeline: the timeline must descend from the backup's, from a point
 * after the backup's start.
 * @param history of the target timeline
 * @throws db-mismatch
 */
export function checkTimelineReachable(
  target: number,
  history: readonly TimelineFork[],
  backup: { readonly timeline: number; readonly lsn: Lsn },
): void {
  if (target === backup.timeline) return;
  const fork = forkFrom(backup.timeline, history);
  if (fork !== undefined && backup.lsn < fork) return;
  const [targetText, backupText] = [target, backup.timeline].map(timeline => timeline.toString(16).toUpperCase());
  if (fork !== undefined) {
    throw new BackstopError(
      'db-mismatch',
      `target timeline ${targetText} forked from backup timeline ${backupText} at ${formatLsn(fork)} which is before backup lsn of ${formatLsn(backup.lsn)}`,
      {
        hint: [
          'was the target timeline created by accidentally promoting a standby?',
          'was the target timeline created by testing a restore without --archive-mode=off?',
          'was the backup made after the target timeline was created?',
        ],
      },
    );
  }
  throw new BackstopError(
    'db-mismatch',
    `backup timeline ${backupText}, lsn ${formatLsn(backup.lsn)} is not in the history of target timeline ${targetText}`,
    { hint: 'was the target timeline created by promoting from a timeline < latest?' },
  );
}

/**
 * Where a timeline was left for good. A recovery that aims at the latest timeline and ends before that one began makes its history
 * go back: what lies after the end belongs to the new timeline alone (PostgreSQL: tliOfPointInHistory). The reference does not
 * look at that, and PostgreSQL then refuses to start from what it has restored.
 */
function forkFrom(timeline: number, history: readonly TimelineFork[]): Lsn | undefined {
  const first = history.findIndex(fork => fork.timeline === timeline);
  if (first === -1) return undefined;
  return history
    .slice(first)
    .reduce<Lsn | undefined>((least, { lsn }) => (least === undefined || lsn < least ? lsn : least), undefined);
}
