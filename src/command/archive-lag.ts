/**
 * How far an archive is behind: WAL that PostgreSQL has finished, and that a repository does not have.
 *
 * PostgreSQL keeps a `.ready` file for every segment of which archive_command has not said yet that it is archived. With
 * several repositories a segment may be in some of them already.
 */
import { readControl } from '../postgres/control.ts';
import { isWalSegmentFile } from '../postgres/wal.ts';
import type { ArchiveListing } from '../repo/archive-listing.ts';
import type { Storage } from '../storage/storage.ts';

/** What PostgreSQL holds for the archive. */
export interface WaitingWal {
  /** In the order of their names; `.partial` ones are among them. */
  readonly segments: readonly string[];
  /** Bytes of a segment. */
  readonly segmentSize: number;
  readonly version: string;
  readonly systemId: bigint;
  /** Directory of the `.ready` files. */
  readonly statusPath: string;
}

export interface ArchiveLag {
  readonly segments: number;
  /** Plain bytes of the segments. */
  readonly bytes: number;
  /** Since when the oldest one waits. */
  readonly seconds: number;
  readonly oldest?: string;
}

const readySuffix = '.ready';

/**
 * One directory is listed, however much waits in it.
 * @param files where the cluster's files are
 * @param dataDirectory path in it
 * @throws what reading pg_control throws, path-open
 */
export async function findWaitingWal(
  files: Storage,
  dataDirectory: string,
  forcedVersion: string | undefined,
): Promise<WaitingWal> {
  const control = await readControl(files, dataDirectory, { forcedVersion });
  const statusPath = `${dataDirectory}/${control.version.walDirectory}/archive_status`;
  const segments = (await files.names(statusPath))
    .filter(name => name.endsWith(readySuffix))
    .map(name => name.slice(0, -readySuffix.length))
    .filter(isWalSegmentFile)
    .sort();
  return {
    segments,
    segmentSize: control.walSegmentSize,
    version: control.version.text,
    systemId: control.systemId,
    statusPath,
  };
}

/**
 * What of the waiting WAL a repository lacks. Of its archive the newest directory is listed, and those in which the oldest
 * and the newest waiting segment would be; what belongs between those counts as there, since WAL is archived in order.
 * @param listing undefined for a repository that cannot be read: then all that waits counts
 * @param now seconds since the epoch
 */
export async function archiveLag(
  waiting: WaitingWal,
  files: Storage,
  listing: ArchiveListing | undefined,
  now: number,
): Promise<ArchiveLag> {
  const missing = listing === undefined ? waiting.segments : await findMissing(waiting.segments, listing);
  const [oldest] = missing;
  if (oldest === undefined) return { segments: 0, bytes: 0, seconds: 0 };
  const ready = await files.info(`${waiting.statusPath}/${oldest}${readySuffix}`);
  return {
    segments: missing.length,
    bytes: missing.length * waiting.segmentSize,
    // gone: it was archived just now
    seconds: ready === undefined ? 0 : Math.max(0, Math.floor(now - ready.mtime)),
    oldest,
  };
}

async function findMissing(segments: readonly string[], listing: ArchiveListing): Promise<readonly string[]> {
  const [oldest] = segments;
  if (oldest === undefined) return [];
  const directories = new Set(await listing.directories());
  const newest = [...directories].at(-1);
  const known = new Map<string, ReadonlySet<string>>();
  for (const directory of new Set([directoryOf(oldest), directoryOf(segments.at(-1) ?? oldest), newest])) {
    if (directory === undefined || !directories.has(directory)) continue;
    known.set(directory, await archivedSegments(listing, directory));
  }
  return segments.filter(segment => {
    const directory = directoryOf(segment);
    if (!directories.has(directory)) return true;
    return known.get(directory)?.has(segment) === false;
  });
}

/** Names as PostgreSQL has them, of all that is archived in one directory. */
export async function archivedSegments(listing: ArchiveListing, directory: string): Promise<ReadonlySet<string>> {
  const files = await listing.files(directory);
  return new Set(
    files.flatMap(file => {
      const dash = file.indexOf('-');
      return dash < 0 ? [] : [file.slice(0, dash)];
    }),
  );
}

/** The directory of the archive that holds a segment. */
export const directoryOf = (segment: string): string => segment.slice(0, 16);
