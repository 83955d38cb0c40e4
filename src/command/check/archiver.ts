/** What check tells of WAL that is on its way to the archive, or never came there. */
import { formatTime } from '../../base/clock.ts';
import { isBackstopError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { formatSize } from '../../base/units.ts';
import type { Cluster } from '../../postgres/cluster.ts';
import { isWalSegmentFile } from '../../postgres/wal.ts';
import { ArchiveListing } from '../../repo/archive-listing.ts';
import { archiveIdOf, currentDb, isSameDb } from '../../repo/history.ts';
import { archiveIdPath } from '../../repo/layout.ts';
import { forAll } from '../../repo/object-store.ts';
import type { StanzaInfo } from '../../repo/stanza-database.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { archiveGaps, gapRange } from '../archive-gap.ts';
import { archivedSegments, archiveLag, directoryOf } from '../archive-lag.ts';
import { type LocalArchiver, lookAtArchiver } from '../local-archiver.ts';
import { stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';

/** A repository whose info files were read. */
export interface CheckedArchive {
  readonly repo: StanzaRepo;
  readonly info: StanzaInfo;
}

/** Tells, for each repository, what waits to be archived and what was dropped. Nothing, when all is well. */
export async function tellLag(session: Session<'check'>, archives: readonly CheckedArchive[]): Promise<void> {
  const { log } = session;
  const archiver = await lookAtArchiver(session, stanzaOf(session), message => log.warn(message));
  if (archiver === undefined) return;
  try {
    for (const archive of archives) {
      try {
        await tellLagOf(session, archiver, archive);
      } catch (error) {
        if (!isBackstopError(error)) throw error;
        log.warn(`unable to find how far ${archive.repo.name} is behind: ${error.text}`);
      }
    }
  } finally {
    await archiver.files.close();
  }
}

async function tellLagOf(
  { log, clock }: Session<'check'>,
  { waiting, files, dropped }: LocalArchiver,
  archive: CheckedArchive,
): Promise<void> {
  const { repo, info } = archive;
  if (!isSameDb(currentDb(info.archive), waiting)) return;
  const listing = listingOf(archive);
  if (waiting.segments.length > 0) {
    const lag = await archiveLag(waiting, files, listing, clock.now() / 1000);
    if (lag.oldest !== undefined) {
      log.info(
        `${repo.name}: ${lag.segments} WAL segment(s) (${formatSize(lag.bytes)}) wait to be archived, the oldest of them, ${lag.oldest}, for ${lag.seconds}s`,
      );
    }
  }
  const backups = info.backup.backups.filter(({ dbId }) => dbId === info.backup.currentId);
  for (const gap of await archiveGaps(dropped, { listing, backups, segmentSize: waiting.segmentSize })) {
    log.warn(
      `${repo.name}: ${gap.segments} WAL segment(s) (${formatSize(gap.bytes)}), ${gapRange(gap)}, were dropped because of archive-push-queue-max, the last at ${formatTime(gap.stop)}\n` +
        'HINT: the backups before it cannot be recovered beyond it.\n' +
        'HINT: make a new backup.',
    );
  }
}

/**
 * Warns when archive_command has failed last.
 * @param archives where what failed may have arrived since, before the server knows of it; undefined: that is not looked at
 */
export async function tellFailure(
  { log }: Session<'check'>,
  primary: Cluster,
  archives: readonly CheckedArchive[] | undefined,
): Promise<void> {
  const found = await lookAtStatistics(log, primary);
  if (found === undefined) return;
  const { archived, failed, failures } = found;
  if (failed === undefined || (archived !== undefined && archived.time >= failed.time)) return;
  if (archives !== undefined && (await isArchived(failed.wal, archives))) return;
  const last =
    archived === undefined
      ? 'nothing was archived before'
      : `the last that was archived is ${archived.wal} at ${at(archived.time)}`;
  log.warn(
    `archive_command has failed for '${failed.wal}' at ${at(failed.time)}, ${failures} time(s) in all; ${last}\n` +
      "HINT: the server's log says why.",
  );
}

/** A server that does not say is not what check was asked about: that is known by now. */
async function lookAtStatistics(
  log: Log,
  primary: Cluster,
): Promise<Awaited<ReturnType<Cluster['archiver']>> | undefined> {
  try {
    return await primary.archiver();
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    log.warn(`unable to ask the server how archiving went: ${error.text}`);
    return undefined;
  }
}

async function isArchived(wal: string, archives: readonly CheckedArchive[]): Promise<boolean> {
  if (!isWalSegmentFile(wal)) return false;
  const found = await forAll(archives, async archive =>
    (await archivedSegments(listingOf(archive), directoryOf(wal))).has(wal),
  );
  return !found.includes(false);
}

const listingOf = ({ repo, info }: CheckedArchive): ArchiveListing =>
  new ArchiveListing(repo.storage, archiveIdPath(repo.stanza, archiveIdOf(currentDb(info.archive))));

const at = (milliseconds: number): string => formatTime(Math.floor(milliseconds / 1000));
