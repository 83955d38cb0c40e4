/** The background process of archive-get: fetches the next segments into the spool (behaviour, section 5.2). */
import { asBackstopError, BackstopError } from '../../base/error.ts';
import { WorkerPool } from '../../parallel/pool.ts';
import { isWalName } from '../../postgres/wal.ts';
import { openRepo, repoSettings, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { claimSpool, emptySpoolPath, globalStatus, makeSpoolPath, type SpoolPaths, writeError } from '../spool.ts';
import { openArchiveSources } from './archived-file.ts';
import type { GetJobs, GetThreadData } from './get-job.ts';
import { readCluster, spoolPathsOf } from './get-request.ts';
import { queueOfParameters, tidyQueue } from './prefetch-queue.ts';
import { concernsSpool, describeNames, type Located, PrefetchRun, tell } from './prefetch-run.ts';
import { bootId, type PrefetchState, processStart, readPrefetchState, writePrefetchState } from './prefetch-state.ts';
import { beginOpening, closeAll } from './push-target.ts';
import { RepoOrder } from './repo-order.ts';
import { largestRead } from './wal-parameter.ts';

/** Jobs of one worker at once where the repository is far away: waiting for it is not work. */
const farWindow = 4;

/** @throws whatever kept it from doing anything: the spool says so too */
export async function runGetAsync(session: Session<'archive-get'>): Promise<undefined> {
  const paths = spoolPathsOf(session);
  try {
    await fetchQueue(session, paths);
  } catch (thrown) {
    const error = asBackstopError(thrown);
    // without a word of ours the foreground process gets the file itself, which it can where only the spool is the matter
    if (!concernsSpool(error, paths)) tell(session, () => writeError(paths.in, globalStatus, error));
    throw error;
  }
}

async function fetchQueue(session: Session<'archive-get'>, paths: SpoolPaths): Promise<void> {
  const { settings, log, clock } = session;
  const { identity, walSegmentSize } = await readCluster(session);
  const names = queueOfParameters(settings.params, walSegmentSize);
  const [first] = names ?? [];
  if (names === undefined || first === undefined) {
    throw new BackstopError('param-invalid', 'WAL segments to get required');
  }
  const boot = bootId();
  const earlier = readPrefetchState(paths);
  if (claimSpool(paths, identity)) log.warn(`removed what the spool '${paths.root}' had of another cluster`);
  makeSpoolPath(paths.in);
  // nobody knows whether a segment is whole that was written before the machine went down
  if (earlier !== undefined && earlier.boot !== boot) emptySpoolPath(paths.in);
  const order = new RepoOrder(earlier?.slow, clock);
  const state: PrefetchState = {
    boot,
    pid: process.pid,
    start: processStart(process.pid),
    first,
    count: names.length,
    slow: order.slow,
  };
  writePrefetchState(paths, state);
  const queue = tidyQueue(paths.in, names, walSegmentSize);
  if (queue.wanted.length > 0) log.info(`get ${describeNames(queue.wanted)}`);
  const repos = repoSettings(session);
  const opening = beginOpening(repos, repo => openRepo(session, repo));
  const pool = new WorkerPool<GetJobs, Located>({
    threadFile: session.threadFile,
    size: settings.values['process-max'],
    ...(repos.some(({ type }) => type === 's3') ? { window: farWindow } : {}),
    data: {
      command: 'archive-get',
      repos,
      stanza: stanzaOf(session),
      bufferSize: Math.min(settings.values['buffer-size'], largestRead),
      walSegmentSize,
      retry: { count: settings.values['job-retry'], interval: settings.values['job-retry-interval'] },
    } satisfies GetThreadData,
  });
  const run = new PrefetchRun(
    session,
    {
      paths,
      state,
      segmentSize: walSegmentSize,
      queue,
      last: names.at(-1) ?? first,
      goesOn: !isWalName(settings.params.at(-1) ?? ''),
    },
    pool,
    {
      order,
      sources: openArchiveSources(opening, identity),
    },
  );
  try {
    await run.fetch();
  } finally {
    await pool.close();
    await closeAll(opening);
    tell(session, () => run.end());
  }
}
