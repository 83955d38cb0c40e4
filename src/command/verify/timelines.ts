/**
 * Timeline history files in the archive. Nothing says what should be in one, but it has a form, and it begins with the history of
 * the timeline that was left: most damage is seen in one of the two. The reference does not look at them.
 */
import { BackstopError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { historyFileName, parseTimelineHistory, type TimelineFork } from '../../postgres/timeline.ts';
import { isHistoryFile } from '../../postgres/wal.ts';
import type { ArchiveId } from '../../repo/history.ts';
import { archiveIdPath } from '../../repo/layout.ts';
import { forAll } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { readStored } from '../../repo/stored.ts';
import { attempt } from './info.ts';
import type { Told } from './tell.ts';

export interface TimelineRequest {
  readonly repo: StanzaRepo;
  /** cipher-pass of archive.info. */
  readonly passphrase?: string;
  readonly told: Told;
  readonly log: Log;
}

/** A line for each timeline: thousands of them are far below. */
const historyLimit = 16 * 1024 * 1024;

/** @param names what lies below the archive id */
export async function verifyTimelines(
  { repo, passphrase, told, log }: TimelineRequest,
  archiveId: ArchiveId,
  names: readonly string[],
): Promise<void> {
  const base = archiveIdPath(repo.stanza, archiveId);
  const files = names.filter(isHistoryFile).sort();
  const found = await forAll(files, name =>
    attempt(repo, `${base}/${name}`, log, async () => {
      const bytes = await readStored(repo.storage, `${base}/${name}`, passphrase, historyLimit);
      return parseTimelineHistory(bytes.toString('latin1'));
    }),
  );
  const histories = new Map<number, readonly TimelineFork[]>();
  for (const [index, name] of files.entries()) {
    const timeline = Number.parseInt(name, 16);
    const result = found[index];
    if (result === undefined) continue;
    const problem = 'error' in result ? result.error : findProblem(timeline, result.value, histories);
    // expire may have removed it meanwhile
    if (problem?.kind === 'file-missing') continue;
    if (problem === undefined) {
      if ('value' in result) histories.set(timeline, result.value);
    } else told.fault({ code: problem.code, message: problem.message }, `${archiveId}/${name}`, 0);
  }
}

/**
 * Positions need not be in order: a recovery that aims at the latest timeline and ends before that one began leaves it there
 * (PostgreSQL: writeTimeLineHistory).
 * @param others histories of earlier timelines that are sound as far as anybody knows
 */
export function findProblem(
  timeline: number,
  forks: readonly TimelineFork[],
  others: ReadonlyMap<number, readonly TimelineFork[]>,
): BackstopError | undefined {
  const left = forks.at(-1);
  const problem = (text: string) => new BackstopError('format', text);
  if (left === undefined) return problem('it tells of no timeline that was left');
  for (const [index, fork] of forks.entries()) {
    const before = forks[index - 1];
    if (fork.timeline >= timeline || (before !== undefined && fork.timeline <= before.timeline)) {
      return problem(`timeline ${fork.timeline} is not in order`);
    }
  }
  const expected = others.get(left.timeline);
  if (expected === undefined) return undefined;
  const earlier = forks.slice(0, -1);
  const isSame =
    earlier.length === expected.length &&
    earlier.every((fork, index) => fork.timeline === expected[index]?.timeline && fork.lsn === expected[index]?.lsn);
  return isSame ? undefined : problem(`it does not go on where ${historyFileName(left.timeline)} ends`);
}
