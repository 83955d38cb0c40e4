/**
 * The record of WAL that archive-push-queue-max let go: whoever looks at the archive later must learn that it has a gap, and
 * why. It lies in the spool, beside the directories that pgBackRest clears.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { BackstopError, isKind, systemError } from '../base/error.ts';
import { formatJson } from '../base/json.ts';
import { JsonFields } from '../base/json-fields.ts';
import { isWalName, nextWalName } from '../postgres/wal.ts';
import { makeSpoolPath, temporarySuffix } from './spool.ts';

/** Files that were let go: one, or neighbours. */
export interface DroppedWal {
  /** Name of the first file and of the last; all between belong to it where `count` is as large as the range. */
  readonly first: string;
  readonly last: string;
  readonly count: number;
  /** Bytes in all. */
  readonly size: number;
  /** When the first and the last was let go: seconds since the epoch. */
  readonly start: number;
  readonly stop: number;
}

/** Ranges that are kept. When there are more, the oldest are joined. */
const mostRanges = 500;
/** No record is larger. */
const largestRecord = 1024 * 1024;

/** Name of the record in `SPOOL/archive/STANZA`. */
export const droppedFile = 'dropped.json';

const recordFile = (spoolRoot: string): string => `${spoolRoot}/${droppedFile}`;

/**
 * What was let go, in the order in which it was; none when there is no record.
 * @param spoolRoot `SPOOL/archive/STANZA`
 * @throws format when the record is damaged, file-read
 */
export function readDroppedWal(spoolRoot: string): DroppedWal[] {
  const path = recordFile(spoolRoot);
  let text: string;
  try {
    if (statSync(path).size > largestRecord) throw new BackstopError('format', `record '${path}' is too large`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw systemError(error, { other: 'file-read' }, `unable to read file '${path}'`);
  }
  try {
    const { dropped } = JsonFields.parse(text, 'record of dropped WAL').object;
    if (!Array.isArray(dropped)) throw new BackstopError('format', 'it has no list');
    return dropped.map(decode);
  } catch (error) {
    if (!isKind(error, 'format', 'json-format')) throw error;
    throw new BackstopError('format', `invalid record of dropped WAL '${path}': ${error.message}`, { cause: error });
  }
}

/**
 * Adds files to the record, durably.
 * @param spoolRoot `SPOOL/archive/STANZA`
 * @param files in the order of their names, with their bytes
 * @param segmentSize bytes of a segment, by which neighbours are known; 0 when nobody knows
 * @param now seconds since the epoch
 * @returns what is wrong with the record that was there, which is then set aside
 * @throws file-write
 */
export function recordDroppedWal(
  spoolRoot: string,
  files: readonly { readonly name: string; readonly size: number }[],
  segmentSize: number,
  now: number,
): BackstopError | undefined {
  const path = recordFile(spoolRoot);
  makeSpoolPath(spoolRoot);
  let ranges: DroppedWal[] = [];
  let damage: BackstopError | undefined;
  try {
    ranges = readDroppedWal(spoolRoot);
  } catch (error) {
    if (!isKind(error, 'format')) throw error;
    damage = error;
  }
  for (const file of files) append(ranges, file, segmentSize, now);
  while (ranges.length > mostRanges) joinOldest(ranges);
  try {
    if (damage !== undefined) renameSync(path, `${path}.damaged`);
    writeDurably(path, `${formatJson({ dropped: ranges.map(range => ({ ...range })) })}\n`);
  } catch (error) {
    throw systemError(error, { other: 'file-write' }, `unable to write file '${path}'`);
  }
  return damage;
}

function append(
  ranges: DroppedWal[],
  { name, size }: { readonly name: string; readonly size: number },
  segmentSize: number,
  now: number,
): void {
  const last = ranges.at(-1);
  // a process that was killed between the record and the status lets the same files go once more
  if (last !== undefined && ranges.some(range => range.first <= name && name <= range.last)) return;
  if (last !== undefined && areNeighbours(last.last, name, segmentSize)) {
    ranges[ranges.length - 1] = { ...last, last: name, count: last.count + 1, size: last.size + size, stop: now };
  } else {
    ranges.push({ first: name, last: name, count: 1, size, start: now, stop: now });
  }
}

function areNeighbours(first: string, second: string, segmentSize: number): boolean {
  return segmentSize > 0 && isWalName(first) && isWalName(second) && nextWalName(first, segmentSize) === second;
}

function joinOldest(ranges: DroppedWal[]): void {
  const [first, second] = ranges;
  if (first === undefined || second === undefined) return;
  const names = [first.first, first.last, second.first, second.last].sort();
  ranges.splice(0, 2, {
    first: names.at(0) ?? first.first,
    last: names.at(-1) ?? second.last,
    count: first.count + second.count,
    size: first.size + second.size,
    start: first.start,
    stop: second.stop,
  });
}

function decode(value: Parameters<typeof formatJson>[0]): DroppedWal {
  const fields = new JsonFields(value, 'range of dropped WAL');
  return {
    first: fields.string('first'),
    last: fields.string('last'),
    count: fields.count('count'),
    size: fields.count('size'),
    start: fields.integer('start'),
    stop: fields.integer('stop'),
  };
}

function writeDurably(path: string, text: string): void {
  const temporary = `${path}${temporarySuffix}`;
  writeFileSync(temporary, text, { mode: 0o640 });
  syncPath(temporary);
  renameSync(temporary, path);
  syncPath(dirname(path));
}

function syncPath(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
