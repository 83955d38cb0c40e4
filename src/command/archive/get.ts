/** archive-get: PostgreSQL's restore_command fetches one file (behaviour, section 5.2). */
import { basename } from 'node:path';
import { asBackstopError, BackstopError } from '../../base/error.ts';
import { openCodecs } from '../../codec/codecs.ts';
import { hasRestoreMarker, readControl } from '../../postgres/control.ts';
import { endsRecoveryOnFailure } from '../../postgres/recovery-mode.ts';
import { openClusterStorage } from '../../storage/drivers.ts';
import type { Storage } from '../../storage/storage.ts';
import { forcedVersion, openRepo, repoSettings } from '../open.ts';
import type { Session } from '../session.ts';
import {
  type ArchivedFile,
  findArchivedFile,
  type OpeningSource,
  openArchiveSources,
  usualPatience,
} from './archived-file.ts';
import { getFile } from './get-file.ts';
import { beginOpening, type ClusterIdentity, closeAll, type OpeningRepo } from './push-target.ts';
import { largestRead, walPathOf } from './wal-parameter.ts';

/** Exit code that tells PostgreSQL that the archive does not have the file. */
const notFound = 1;

/** Added to an error's code for a server that takes codes up to 125 for the end of WAL. */
const notTheEnd = 128;

export async function run(session: Session<'archive-get'>): Promise<number | undefined> {
  try {
    return await runGet(session);
  } catch (thrown) {
    const dataDirectory = session.settings.clusters[0]?.values.path;
    if (dataDirectory === undefined || !endsRecoveryOnFailure(dataDirectory)) throw thrown;
    const error = asBackstopError(thrown);
    throw new BackstopError(error.kind, error.message, {
      hint: [...error.hints, 'PostgreSQL stops recovery here, and goes on when it is started again.'],
      cause: error,
      exitCode: error.code + notTheEnd,
    });
  }
}

async function runGet(session: Session<'archive-get'>): Promise<number | undefined> {
  const { settings } = session;
  const [cluster] = settings.clusters;
  if (cluster?.values.host !== undefined) {
    throw new BackstopError('host-invalid', 'archive-get command must be run on the PostgreSQL host');
  }
  const { name, destination } = readParameters(settings.params, cluster?.values.path, settings.command);
  const files = await openClusterStorage({ key: 1 });
  // nothing else takes as long as the first answer of a repository that is far away
  const opening = beginOpening(repoSettings(session), repo => openRepo(session, repo));
  try {
    return await get(session, files, opening, name, destination);
  } finally {
    await closeAll(opening);
  }
}

async function get(
  session: Session<'archive-get'>,
  files: Storage,
  opening: readonly OpeningRepo[],
  name: string,
  destination: string,
): Promise<number | undefined> {
  const { settings, log } = session;
  const identity = await identify(session, files, settings.clusters[0]?.values.path);
  const got = await getArchivedFile(session, files, openArchiveSources(opening, identity), name, destination);
  if (got === undefined) {
    log.info(`unable to find ${name} in the archive`);
    return notFound;
  }
  log.info(`found ${name} in the ${got.source.repo.name}: ${got.archiveId} archive`);
  return undefined;
}

/** Finds the file and copies it. @returns undefined when it is proven not to be in any archive */
async function getArchivedFile(
  { settings, log }: Session<'archive-get'>,
  files: Storage,
  sources: readonly OpeningSource[],
  name: string,
  destination: string,
): Promise<ArchivedFile | undefined> {
  const options = {
    codecs: openCodecs(),
    bufferSize: Math.min(settings.values['buffer-size'], largestRead),
    warn: (message: string) => log.warn(message),
  };
  const search = { patience: usualPatience, warn: options.warn };
  const { copies, unanswered } = await findArchivedFile(sources, name, search);
  if (copies.length === 0) return undefined;
  for (const key of unanswered)
    log.warn(`repo${key}: has not answered in time, ${name} is taken from another repository`);
  try {
    return await getFile(files, copies, destination, name, options);
  } catch (error) {
    if (unanswered.length === 0) throw error;
    // the one that is slow may have a copy that can be read
    const slow = sources.filter(({ key }) => unanswered.includes(key));
    const more = await findArchivedFile(slow, name, search);
    if (more.copies.length === 0) throw error;
    return await getFile(files, more.copies, destination, name, options);
  }
}

function readParameters(
  params: readonly string[],
  dataDirectory: string | undefined,
  command: string,
): { name: string; destination: string } {
  const [request, path, ...others] = params;
  if (request === undefined) throw new BackstopError('param-required', 'WAL segment to get required');
  if (path === undefined) throw new BackstopError('param-required', 'path to copy WAL segment required');
  if (others.length > 0) throw new BackstopError('param-invalid', 'extra parameters found');
  return { name: basename(request), destination: walPathOf(path, dataDirectory, command) };
}

/** @throws format when recovery would start where the backup does not say */
async function identify(
  session: Session<'archive-get'>,
  files: Storage,
  dataDirectory: string | undefined,
): Promise<ClusterIdentity> {
  if (dataDirectory === undefined)
    throw new BackstopError('option-required', 'archive-get command requires option: pg1-path');
  const control = await readControl(files, dataDirectory, {
    forcedVersion: forcedVersion(session),
    clock: session.clock,
  });
  if (hasRestoreMarker(control) && (await files.info(`${dataDirectory}/backup_label`)) === undefined) {
    throw new BackstopError('format', 'pg_control from backup is not valid without backup_label', {
      hint: 'was the backup_label file removed?',
    });
  }
  return { version: control.version.text, systemId: control.systemId };
}
