/**
 * WAL segments: their names (24 hexadecimal digits: timeline, log, segment) and the header of their first page.
 * Source: repository format, sections 1.1 and 10.
 */
import { BackstopError } from '../base/error.ts';
import type { Lsn } from './lsn.ts';
import { type PostgresVersion, versionOf, versionOfWalMagic } from './versions.ts';

declare const walName: unique symbol;
/** The name of a WAL segment: exactly 24 upper-case hexadecimal digits. */
export type WalName = string & { readonly [walName]: true };

export interface WalSegment {
  readonly timeline: number;
  /** High 32 bits of the segment's LSNs. */
  readonly log: number;
  /** Number of the segment within its log. */
  readonly segment: number;
}

const namePattern = /^[0-9A-F]{24}$/;
const filePattern = /^[0-9A-F]{24}(\.partial)?$/;
const prefixPattern = /^[0-9A-F]{24}/;
const historyPattern = /^[0-9A-F]{8}\.history$/;
const backupPattern = /^[0-9A-F]{24}\.[0-9A-F]{8}\.backup$/;

/** True for `000000010000000A000000FF`. */
export function isWalName(text: string): text is WalName {
  return namePattern.test(text);
}

/** True for a segment and for a `.partial` one: the files that are checked, checksummed and compressed. */
export function isWalSegmentFile(name: string): boolean {
  return filePattern.test(name);
}

/** True when the archive keeps the file in the directory named by its first 16 digits. */
export function startsWithWalName(name: string): boolean {
  return prefixPattern.test(name);
}

/** True for `00000002.history`. */
export function isHistoryFile(name: string): boolean {
  return historyPattern.test(name);
}

/** True for `000000010000000000000004.00000028.backup`. */
export function isBackupHistoryFile(name: string): boolean {
  return backupPattern.test(name);
}

/** @throws format when the text is not the name of a WAL segment */
export function parseWalName(text: string): WalSegment {
  if (!isWalName(text)) {
    throw new BackstopError('format', `invalid WAL segment name '${text}'`, {
      hint: 'the name of a WAL segment is 24 hexadecimal digits in upper case',
    });
  }
  return {
    timeline: Number.parseInt(text.slice(0, 8), 16),
    log: Number.parseInt(text.slice(8, 16), 16),
    segment: Number.parseInt(text.slice(16), 16),
  };
}

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');

export function formatWalName(segment: WalSegment): WalName {
  return `${hex(segment.timeline)}${hex(segment.log)}${hex(segment.segment)}` as WalName;
}

/** How many segments one log (4 GiB of WAL) has. */
export function segmentsPerLog(segmentSize: number): number {
  checkWalSegmentSize(segmentSize);
  return 0x1_0000_0000 / segmentSize;
}

/** True when the name can be that of a segment of this size, bytes. */
export function fitsSegmentSize(name: WalName, segmentSize: number): boolean {
  return parseWalName(name).segment < segmentsPerLog(segmentSize);
}

/**
 * The segment that holds the byte at this LSN. PostgreSQL's own `pg_walfile_name()` differs at a boundary: it names the
 * segment that ends there.
 */
export function walNameAt(timeline: number, lsn: Lsn, segmentSize: number): WalName {
  checkWalSegmentSize(segmentSize);
  return formatWalName({
    timeline,
    log: Number(lsn >> 32n),
    segment: Math.floor(Number(lsn & 0xffffffffn) / segmentSize),
  });
}

/** LSN of the first byte of a segment. */
export function walNameStart(name: string, segmentSize: number): Lsn {
  const { log, segment } = checkedSegment(name, segmentSize);
  return (BigInt(log) << 32n) + BigInt(segment) * BigInt(segmentSize);
}

/**
 * The segment after this one on the same timeline.
 * @throws format at the very end of the WAL's 64 bits
 */
export function nextWalName(name: string, segmentSize: number): WalName {
  return formatWalName(next(checkedSegment(name, segmentSize), segmentSize));
}

/** `count` names from `first` on. Lazily, since a count may be large. */
export function* walNamesFrom(first: string, count: number, segmentSize: number): Generator<WalName> {
  let segment = checkedSegment(first, segmentSize);
  for (let i = 0; i < count; i++) {
    if (i > 0) segment = next(segment, segmentSize);
    yield formatWalName(segment);
  }
}

/**
 * All names from `first` to `last`, both included, in order.
 * @throws format when they are on different timelines or last comes before first
 */
export function* walNamesBetween(first: string, last: string, segmentSize: number): Generator<WalName> {
  let segment = checkedSegment(first, segmentSize);
  const end = checkedSegment(last, segmentSize);
  if (segment.timeline !== end.timeline || first > last) {
    throw new BackstopError('format', `no WAL leads from segment ${first} to ${last}`);
  }
  for (;;) {
    const name = formatWalName(segment);
    yield name;
    if (name === last) return;
    segment = next(segment, segmentSize);
  }
}

/** How many segments lie from `first` to `last`, both included; negative or zero when last comes before first. */
export function countWalNames(first: string, last: string, segmentSize: number): number {
  const a = checkedSegment(first, segmentSize);
  const b = checkedSegment(last, segmentSize);
  return (b.log - a.log) * segmentsPerLog(segmentSize) + (b.segment - a.segment) + 1;
}

/** All segments that hold bytes from `start` to `stop`, both included. */
export function walNamesOfLsns(timeline: number, start: Lsn, stop: Lsn, segmentSize: number): Generator<WalName> {
  return walNamesBetween(walNameAt(timeline, start, segmentSize), walNameAt(timeline, stop, segmentSize), segmentSize);
}

function next({ timeline, log, segment }: WalSegment, segmentSize: number): WalSegment {
  if (segment + 1 < segmentsPerLog(segmentSize)) return { timeline, log, segment: segment + 1 };
  if (log === 0xffffffff) throw new BackstopError('format', 'no WAL segment comes after the last one');
  return { timeline, log: log + 1, segment: 0 };
}

function checkedSegment(name: string, segmentSize: number): WalSegment {
  const segment = parseWalName(name);
  if (segment.segment >= segmentsPerLog(segmentSize)) {
    throw new BackstopError('format', `WAL segment name '${name}' does not fit a segment size of ${segmentSize}`);
  }
  return segment;
}

/**
 * Checks that PostgreSQL could have been initialised with this size.
 * @throws format
 */
export function checkWalSegmentSize(size: number): void {
  if (!Number.isInteger(size) || size < 0x100000 || size > 0x40000000 || (size & (size - 1)) !== 0) {
    throw new BackstopError(
      'format',
      `wal segment size is ${size} but must be a power of two between 1048576 and 1073741824 inclusive`,
    );
  }
}

/** What the first page of a segment says about the cluster that wrote it. */
export interface WalHeader {
  readonly version: PostgresVersion;
  readonly systemId: bigint;
  readonly segmentSize: number;
}

/** How many bytes of a segment decodeWalHeader wants to see. */
export const walHeaderSize = 512;

const longHeader = 0x0002;

/**
 * @param bytes the first bytes of a segment, at least 36
 * @param forcedVersion the version to assume whatever the magic says (option pg-version-force)
 * @throws format for what is no segment, version-not-supported for an unknown magic
 */
export function decodeWalHeader(bytes: Uint8Array, forcedVersion?: string): WalHeader {
  if (bytes.length < 36) {
    throw new BackstopError('format', `WAL segment of ${bytes.length} byte(s) is too short to hold a header`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if ((view.getUint16(2, true) & longHeader) === 0) {
    throw new BackstopError('format', 'first page header in WAL file is expected to be in long format');
  }
  const version = forcedVersion === undefined ? versionOfWalMagic(view.getUint16(0, true)) : versionOf(forcedVersion);
  const segmentSize = view.getUint32(32, true);
  checkWalSegmentSize(segmentSize);
  return { version, systemId: view.getBigUint64(24, true), segmentSize };
}
