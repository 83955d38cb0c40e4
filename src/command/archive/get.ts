/** archive-get: PostgreSQL's restore_command fetches one file (behaviour, section 5.2). */
import { BackstopError } from '../../base/error.ts';
import { openCodecs } from '../../codec/codecs.ts';
import { isWalName } from '../../postgres/wal.ts';
import { openClusterStorage } from '../../storage/drivers.ts';
import { openRepo, repoSettings } from '../open.ts';
import type { Session } from '../session.ts';
import {
  type ArchivedFile,
  findArchivedFile,
  type OpeningSource,
  openArchiveSources,
  usualPatience,
} from './archived-file.ts';
import { getFile } from './get-file.ts';
import { type GetRequest, type RequestingCluster, readCluster, readRequest } from './get-request.ts';
import { beginOpening, closeAll, type OpeningRepo } from './push-target.ts';
import { largestRead } from './wal-parameter.ts';

/** Exit code that tells PostgreSQL that the archive does not have the file. */
const notFound = 1;

export async function run(session: Session<'archive-get'>): Promise<number | undefined> {
  if (session.settings.role === 'async') return await (await import('./get-async.ts')).runGetAsync(session);
  return (await get(session)) ? undefined : notFound;
}

/** @returns false when the file is proven not to be in any archive */
async function get(session: Session<'archive-get'>): Promise<boolean> {
  const { settings } = session;
  const [cluster] = settings.clusters;
  if (cluster?.values.host !== undefined) {
    throw new BackstopError('host-invalid', 'archive-get command must be run on the PostgreSQL host');
  }
  const request = readRequest(session);
  // history files are small, few, and mostly not there: nothing is gained by fetching them ahead
  if (settings.values['archive-async'] && isWalName(request.name)) {
    const { getAhead } = await import('./get-ahead.ts');
    const known = await readCluster(session);
    return await getAhead(session, { ...request, name: request.name }, known, () =>
      getNow(session, request, openRepos(session), known),
    );
  }
  // nothing else takes as long as the first answer of a repository that is far away
  const opening = openRepos(session);
  return await getNow(session, request, opening, readCluster(session));
}

function openRepos(session: Session<'archive-get'>): OpeningRepo[] {
  return beginOpening(repoSettings(session), repo => openRepo(session, repo));
}

/** Finds the file in the archive and copies it. @returns false when it is not there */
async function getNow(
  session: Session<'archive-get'>,
  { name, destination }: GetRequest,
  opening: readonly OpeningRepo[],
  cluster: RequestingCluster | Promise<RequestingCluster>,
): Promise<boolean> {
  const { log } = session;
  try {
    const { identity, walSegmentSize } = await cluster;
    const sources = openArchiveSources(opening, identity);
    const got = await getArchivedFile(session, sources, { name, destination }, walSegmentSize);
    if (got === undefined) log.info(`unable to find ${name} in the archive`);
    else log.info(`found ${name} in the ${got.source.repo.name}: ${got.archiveId} archive`);
    return got !== undefined;
  } finally {
    await closeAll(opening);
  }
}

/** @returns undefined when it is proven not to be in any archive */
async function getArchivedFile(
  { settings, log }: Session<'archive-get'>,
  sources: readonly OpeningSource[],
  { name, destination }: GetRequest,
  walSegmentSize: number,
): Promise<ArchivedFile | undefined> {
  const files = await openClusterStorage({ key: 1 });
  const options = {
    codecs: openCodecs(),
    bufferSize: Math.min(settings.values['buffer-size'], largestRead),
    walSegmentSize,
    warn: (message: string) => log.warn(message),
  };
  const search = { patience: usualPatience, warn: options.warn };
  const { copies, unanswered } = await findArchivedFile(sources, name, search);
  if (copies.length === 0) return undefined;
  for (const key of unanswered) {
    log.warn(`repo${key}: has not answered in time, ${name} is taken from another repository`);
  }
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
