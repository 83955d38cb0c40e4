/**
 * The WAL that a stanza's archive holds: names of segments in it, looking them up, waiting for them, reading them
 * (format, section 1.1).
 */
import type { Clock } from '../base/clock.ts';
import { BackstopError } from '../base/error.ts';
import { compareBytes } from '../base/json.ts';
import type { StepSpec } from '../codec/codecs.ts';
import type { CompressType } from '../codec/compress.ts';
import type { WalName } from '../postgres/wal.ts';
import type { ArchiveId } from './history.ts';
import { archiveFilePath } from './layout.ts';
import { isObjectStore } from './object-store.ts';
import type { StanzaRepo } from './stanza-repo.ts';

/** What the name of an archived segment says. */
export interface ArchivedName {
  readonly segment: WalName;
  /** The last, incomplete segment of a timeline that was left. */
  readonly partial: boolean;
  /** SHA-1 of the plain segment, in hex. */
  readonly checksum: string;
  /** Absent: stored uncompressed. */
  readonly compression?: CompressType;
}

/** A segment in the archive. */
export interface ArchivedWal extends ArchivedName {
  readonly archiveId: ArchiveId;
  /** Name of the file in its directory. */
  readonly file: string;
  /** The file in the repository. */
  readonly path: string;
}

const namePattern = /^([0-9A-F]{24})(\.partial)?-([0-9a-f]{40})(?:\.(gz|lz4|zst|bz2))?$/;

/** @returns undefined when this is not the name of an archived segment */
export function parseArchivedName(file: string): ArchivedName | undefined {
  const [, segment, partial, checksum, compression] = namePattern.exec(file) ?? [];
  if (segment === undefined || checksum === undefined) return undefined;
  return {
    segment: segment as WalName,
    partial: partial !== undefined,
    checksum,
    ...(compression === undefined ? {} : { compression: compression as CompressType }),
  };
}

/** `000000010000000000000004-SHA1.gz`. @param segment name of the segment, with `.partial` if it is one */
export function formatArchivedName(segment: string, checksum: string, compression: CompressType | undefined): string {
  return `${segment}-${checksum}${compression === undefined ? '' : `.${compression}`}`;
}

/**
 * The archived segments of one directory, in byte order of their names.
 * @param directory first 16 digits of the segments' names
 * @param prefix only names that start with it
 */
export async function listWal(
  repo: StanzaRepo,
  archiveId: ArchiveId,
  directory: string,
  prefix = directory,
): Promise<ArchivedWal[]> {
  const base = archiveFilePath(repo.stanza, archiveId, directory.padEnd(24, '0'));
  const names = await repo.storage.names(base, { prefix });
  return names.sort(compareBytes).flatMap(file => {
    const name = parseArchivedName(file);
    return name === undefined ? [] : [{ ...name, archiveId, file, path: `${base}/${file}` }];
  });
}

/** Every copy of a segment, whatever their checksums: more than one checksum is for the caller to judge. */
export async function findWalCopies(
  repo: StanzaRepo,
  archiveId: ArchiveId,
  segment: WalName,
  partial = false,
): Promise<ArchivedWal[]> {
  const prefix = `${segment}${partial ? '.partial' : ''}-`;
  return await listWal(repo, archiveId, segment.slice(0, 16), prefix);
}

/**
 * The copies of a segment: none, one, or several that differ in compression only.
 * @throws archive-duplicate when there are several checksums
 */
export async function findWal(
  repo: StanzaRepo,
  archiveId: ArchiveId,
  segment: WalName,
  partial = false,
): Promise<ArchivedWal[]> {
  const found = await findWalCopies(repo, archiveId, segment, partial);
  checkDuplicates(`${segment}${partial ? '.partial' : ''}`, found);
  return found;
}

export interface WalWaitOptions {
  /** Milliseconds in which the next segment that is missing must come; each that comes starts them again. */
  readonly timeout: number;
  readonly clock: Clock;
  /** Nobody waits any more. */
  readonly signal?: AbortSignal;
}

/**
 * Waits until all of the segments are in the archive. Each directory is listed once for each look, and only the first
 * that is not complete is looked at again: segments come in order.
 * @param segments in order, as walNamesBetween() gives them
 * @returns one copy of each, in that order
 * @throws archive-timeout, archive-duplicate
 */
export async function waitForWal(
  repo: StanzaRepo,
  archiveId: ArchiveId,
  segments: Iterable<WalName>,
  options: WalWaitOptions,
): Promise<ArchivedWal[]> {
  const result: ArchivedWal[] = [];
  for (const group of byDirectory(segments)) result.push(...(await waitForDirectory(repo, archiveId, group, options)));
  return result;
}

/**
 * Time between two looks: at first, in milliseconds, and later as a part of the time that was waited for already. Where a look is
 * a request the wait may be twice as long as it had to be, else a quarter longer.
 */
const pauses = { first: 20, part: 1 / 4 };
const pausesOfStore = { first: 100, part: 1 };
const longestPause = 1000;

async function waitForDirectory(
  repo: StanzaRepo,
  archiveId: ArchiveId,
  segments: readonly WalName[],
  { timeout, clock, signal }: WalWaitOptions,
): Promise<ArchivedWal[]> {
  const [first] = segments;
  if (first === undefined) return [];
  const prefix = segments.length === 1 ? `${first}-` : undefined;
  const found = new Map<WalName, ArchivedWal>();
  let deadline = clock.monotonic() + timeout;
  const pause = isObjectStore(repo.storage) ? pausesOfStore : pauses;
  for (;;) {
    signal?.throwIfAborted();
    const copies = groupBySegment(await listWal(repo, archiveId, first.slice(0, 16), prefix));
    const before = found.size;
    for (const segment of segments) {
      const [copy, ...others] = copies.get(segment) ?? [];
      if (copy === undefined) continue;
      checkDuplicates(segment, [copy, ...others]);
      found.set(segment, copy);
    }
    const missing = segments.find(segment => !found.has(segment));
    if (missing === undefined) return segments.flatMap(segment => found.get(segment) ?? []);
    const now = clock.monotonic();
    if (found.size > before) {
      deadline = now + timeout;
    }
    if (now >= deadline) throw timeoutError(missing, timeout);
    const waited = timeout - (deadline - now);
    await clock.sleep(Math.min(Math.max(pause.first, waited * pause.part), longestPause, deadline - now));
  }
}

function* byDirectory(segments: Iterable<WalName>): Generator<WalName[]> {
  let group: WalName[] = [];
  for (const segment of segments) {
    if (group[0] !== undefined && group[0].slice(0, 16) !== segment.slice(0, 16)) {
      yield group;
      group = [];
    }
    group.push(segment);
  }
  if (group.length > 0) yield group;
}

function groupBySegment(list: readonly ArchivedWal[]): Map<WalName, ArchivedWal[]> {
  const groups = new Map<WalName, ArchivedWal[]>();
  for (const wal of list) {
    if (wal.partial) continue;
    const group = groups.get(wal.segment);
    if (group === undefined) groups.set(wal.segment, [wal]);
    else group.push(wal);
  }
  return groups;
}

/**
 * Two contents for one segment: no one can say which is the right one.
 * @throws archive-duplicate
 */
export function checkDuplicates(segment: string, copies: readonly ArchivedWal[]): void {
  if (new Set(copies.map(copy => copy.checksum)).size < 2) return;
  throw new BackstopError(
    'archive-duplicate',
    `duplicates found in archive for WAL segment ${segment}: ${copies.map(copy => copy.file).join(', ')}`,
    { hint: 'are multiple primaries archiving to this stanza?' },
  );
}

function timeoutError(segment: string, timeout: number): BackstopError {
  return new BackstopError(
    'archive-timeout',
    `WAL segment ${segment} was not archived before the ${timeout}ms timeout`,
    {
      hint: [
        'check the archive_command to ensure that all options are correct (especially --stanza).',
        'check the PostgreSQL server log for errors.',
        "run the 'start' command if the stanza was previously stopped.",
      ],
    },
  );
}

/** The largest segment that initdb can be asked for; no archived file has more plain bytes. */
const largestSegment = 1024 * 1024 * 1024;

/** Id of the step in walReadSteps() whose result is the SHA-1 of the plain bytes. */
export const walChecksumId = 'wal-checksum';

/**
 * Steps from the stored bytes of an archived file to its plain ones.
 * @param passphrase cipher-pass of archive.info; absent where the repository is not encrypted
 * @param most plain bytes that it may have, where that is known
 */
export function walReadSteps(
  file: Pick<ArchivedWal, 'compression'>,
  passphrase: string | undefined,
  most = largestSegment,
): StepSpec[] {
  const { compression } = file;
  return [
    ...(passphrase === undefined ? [] : [{ step: 'decrypt', passphrase, raw: false } as const]),
    ...(compression === undefined ? [] : [{ step: 'decompress', type: compression, raw: false } as const]),
    { step: 'limit', max: most },
    { step: 'hash', algorithm: 'sha1', id: walChecksumId },
  ];
}

/** @throws checksum when what was read is not what the name of the archived file says */
export function checkWalChecksum(repo: StanzaRepo, wal: ArchivedWal, checksum: string): void {
  if (checksum === wal.checksum) return;
  throw new BackstopError(
    'checksum',
    `WAL file '${repo.fullPath(wal.path)}' has checksum ${checksum}, which is not the one in its name`,
    { hint: 'the file was damaged in the repository: is the segment in another repository, or still in pg_wal?' },
  );
}
