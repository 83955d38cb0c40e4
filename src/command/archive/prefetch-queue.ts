/** Which segments are fetched ahead: those that recovery asks for next, as many as archive-get-queue-max has room for. */
import { lstatSync } from 'node:fs';
import { systemError } from '../../base/error.ts';
import {
  fitsSegmentSize,
  formatWalName,
  isWalName,
  parseWalName,
  segmentsPerLog,
  type WalName,
  walNamesFrom,
} from '../../postgres/wal.ts';
import { okSuffix, removeSpoolFile, spoolNames } from '../spool.ts';

/** Nobody has room for more; the names of so many take some megabytes. */
const longestQueue = 99_999;

/** Segments that the queue holds. @param queueMax archive-get-queue-max, bytes */
export function queueLength(queueMax: number, segmentSize: number): number {
  return Math.min(Math.max(2, Math.floor(queueMax / segmentSize)), longestQueue);
}

/**
 * The segment that is there while the queue is at least half full: segments come in order, so one look tells.
 * @param first of the queue  @param length of the queue
 */
export function halfwayOf(first: WalName, length: number, segmentSize: number): WalName {
  return after(first, middleOf(length) - 1, segmentSize);
}

/** Which one of the queue is in its middle, from 1 on: while it is there half of the queue is. */
export const middleOf = (length: number): number => Math.ceil(length / 2);

function after(name: WalName, count: number, segmentSize: number): WalName {
  const { timeline, log, segment } = parseWalName(name);
  const perLog = segmentsPerLog(segmentSize);
  const at = segment + count;
  // beyond the end of WAL there is nothing, and nobody looks for it
  return formatWalName({ timeline, log: Math.min(log + Math.floor(at / perLog), 0xffffffff), segment: at % perLog });
}

/** What a spool holds for a queue. */
export interface QueueState {
  /** Segments of the queue that are not there, in the order in which recovery needs them. */
  readonly wanted: readonly WalName[];
  /** How many of the queue are there. */
  readonly present: number;
  /**
   * Segments of other timelines that recovery may still ask for, the one it needs last first: at a switch PostgreSQL asks
   * for a segment on the newest timeline and then on the older ones.
   */
  readonly others: readonly WalName[];
}

/**
 * Removes from the spool what the queue does not need: segments of the past, what was not fetched whole, status files,
 * and whatever else is there. Only for who holds the archive lock.
 * @param folder `in` of the spool
 */
export function tidyQueue(folder: string, queue: Iterable<WalName>, segmentSize: number): QueueState {
  const names = [...queue];
  const [first] = names;
  if (first === undefined) return { wanted: [], present: 0, others: [] };
  const needed = new Set<string>(names);
  const present = new Set<string>();
  const others: WalName[] = [];
  const notes: string[] = [];
  for (const entry of spoolNames(folder)) {
    const path = `${folder}/${entry}`;
    if (isWalName(entry) && isWhole(path, segmentSize) && fitsSegmentSize(entry, segmentSize)) {
      if (needed.has(entry)) present.add(entry);
      else if (entry.slice(0, 8) !== first.slice(0, 8) && entry.slice(8) >= first.slice(8)) others.push(entry);
      else removeSpoolFile(path);
    } else if (entry.endsWith(okSuffix)) notes.push(entry);
    else removeSpoolFile(path);
  }
  // beside its segment it holds warnings; alone it says that the archive did not have the segment when it was written
  for (const note of notes) {
    if (!present.has(note.slice(0, -okSuffix.length))) removeSpoolFile(`${folder}/${note}`);
  }
  others.sort((a, b) => (a.slice(8) < b.slice(8) ? 1 : -1));
  const excess = Math.max(0, others.length - (names.length - present.size));
  for (const name of others.splice(0, excess)) removeSpoolFile(`${folder}/${name}`);
  return { wanted: names.filter(name => !present.has(name)), present: present.size, others };
}

function isWhole(path: string, segmentSize: number): boolean {
  try {
    const info = lstatSync(path, { throwIfNoEntry: false });
    return info?.isFile() === true && info.size === segmentSize;
  } catch (error) {
    throw systemError(error, { other: 'file-open' }, `unable to get info for path/file '${path}'`);
  }
}

/** The parameters of the background process that stand for a queue: a list of names could be longer than a command line. */
export function queueParameters(first: WalName, length: number): [string, string] {
  return [first, String(length)];
}

/**
 * The queue that the parameters stand for: the first segment and a number, or, as pgBackRest gives them, all names.
 * @returns undefined when they are neither
 */
export function queueOfParameters(params: readonly string[], segmentSize: number): readonly WalName[] | undefined {
  const [first, second] = params;
  if (first === undefined || !isWalName(first) || !fitsSegmentSize(first, segmentSize)) return undefined;
  if (params.length === 2 && second !== undefined && /^[1-9]\d{0,4}$/.test(second)) {
    return [...walNamesFrom(first, Number(second), segmentSize)];
  }
  return params.every(name => isWalName(name) && fitsSegmentSize(name, segmentSize))
    ? (params as WalName[])
    : undefined;
}
