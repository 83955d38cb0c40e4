/** Gaps that archive-push-queue-max left in an archive, as long as somebody could want to recover across them. */
import { fitsSegmentSize, isWalName, walNamesBetween } from '../postgres/wal.ts';
import type { ArchiveListing } from '../repo/archive-listing.ts';
import type { BackupInfo } from '../repo/backup-info.ts';
import { archivedSegments, directoryOf } from './archive-lag.ts';
import type { DroppedWal } from './dropped-wal.ts';

/** WAL that a repository lacks for good. */
export interface ArchiveGap {
  readonly first: string;
  readonly last: string;
  readonly segments: number;
  readonly bytes: number;
  /** When the first and the last of it was given up: seconds since the epoch. */
  readonly start: number;
  readonly stop: number;
}

/** More directories than this are not looked into for one gap: what lies there counts as missing. */
const mostDirectories = 16;

/** What a repository has of the cluster from which WAL was dropped. */
export interface GapContext {
  readonly listing: ArchiveListing;
  /** Of this cluster only. */
  readonly backups: BackupInfo['backups'];
  /** Bytes of a segment. */
  readonly segmentSize: number;
}

/**
 * What of the dropped WAL a repository lacks, while it holds a backup or WAL from before it: later backups need nothing of
 * it. Another repository may have had the segments, and somebody may have brought them in later.
 */
export async function archiveGaps(dropped: readonly DroppedWal[], context: GapContext): Promise<ArchiveGap[]> {
  if (dropped.length === 0) return [];
  const [firstDirectory] = await context.listing.directories();
  const gaps: ArchiveGap[] = [];
  for (const range of dropped) {
    const isOlder = context.backups.some(({ archiveStart }) => archiveStart !== null && archiveStart <= range.last);
    const hasOlderWal = firstDirectory !== undefined && firstDirectory < directoryOf(range.first);
    if (!isOlder && !hasOlderWal && !(await hasSegmentBefore(context.listing, range.first))) continue;
    const missing = await missingOf(range, context);
    if (missing !== undefined) gaps.push(missing);
  }
  return gaps;
}

async function hasSegmentBefore(listing: ArchiveListing, segment: string): Promise<boolean> {
  const names = await archivedSegments(listing, directoryOf(segment));
  for (const name of names) if (name < segment) return true;
  return false;
}

/** @returns undefined when the repository has all of it */
async function missingOf(
  { first, last, count, size, start, stop }: DroppedWal,
  { listing, segmentSize }: GapContext,
): Promise<ArchiveGap | undefined> {
  const whole = { first, last, segments: count, bytes: size, start, stop };
  if (!isRange(first, last, segmentSize)) return whole;
  const missing: string[] = [];
  const directories = new Map<string, ReadonlySet<string>>();
  for (const name of walNamesBetween(first, last, segmentSize)) {
    const directory = directoryOf(name);
    const known = directories.get(directory) ?? (await archivedSegments(listing, directory));
    directories.set(directory, known);
    if (directories.size > mostDirectories) return whole;
    if (!known.has(name)) missing.push(name);
  }
  const [from, to] = [missing[0], missing.at(-1)];
  if (from === undefined || to === undefined) return undefined;
  return { first: from, last: to, segments: missing.length, bytes: missing.length * segmentSize, start, stop };
}

/** Names that do not lead from one to the other: the record is damaged, or of a cluster with segments of another size. */
function isRange(first: string, last: string, segmentSize: number): boolean {
  if (!isWalName(first) || !isWalName(last) || first.slice(0, 8) !== last.slice(0, 8) || first > last) return false;
  return fitsSegmentSize(first, segmentSize) && fitsSegmentSize(last, segmentSize);
}

/** `000000010000000000000004 to 000000010000000000000007`, or the only one. */
export const gapRange = ({ first, last }: ArchiveGap): string => (first === last ? first : `${first} to ${last}`);
