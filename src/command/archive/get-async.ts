/** The background process of archive-get: fetches the next segments into the spool (behaviour, section 5.2). */
import { asBackstopError, BackstopError, errorFromPlain, isBackstopError } from '../../base/error.ts';
import { WorkerPool } from '../../parallel/pool.ts';
import type { WalName } from '../../postgres/wal.ts';
import { openRepo, repoSettings, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import {
  claimSpool,
  globalStatus,
  makeSpoolPath,
  removeSpoolFile,
  type SpoolPaths,
  writeError,
  writeOk,
} from '../spool.ts';
import { ArchiveListing } from './archive-listing.ts';
import { type ArchivedFile, openArchiveSources } from './archived-file.ts';
import type { CopyTask, GetJobs, GetThreadData } from './get-job.ts';
import { readCluster, spoolPathsOf } from './get-request.ts';
import { emptyQueue, type QueueState, queueOfParameters, tidyQueue } from './prefetch-queue.ts';
import { bootId, type PrefetchState, readPrefetchState, writePrefetchState } from './prefetch-state.ts';
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
  if (earlier !== undefined && earlier.boot !== boot) emptyQueue(paths.in);
  const order = new RepoOrder(earlier?.slow, clock);
  const state = { boot, pid: process.pid, first, count: names.length };
  writePrefetchState(paths, { ...state, slow: order.slow });
  const queue = tidyQueue(paths.in, names, walSegmentSize);
  const [from] = queue.wanted;
  if (from === undefined) return;
  const last = queue.wanted.length > 1 ? `...${queue.wanted.at(-1)}` : '';
  log.info(`get ${queue.wanted.length} WAL file(s) from archive: ${from}${last}`);
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
      retry: { count: settings.values['job-retry'], interval: settings.values['job-retry-interval'] },
    } satisfies GetThreadData,
  });
  const run = new PrefetchRun(session, paths, pool, queue, order, openArchiveSources(opening, identity));
  try {
    await run.fetch();
  } finally {
    await pool.close();
    await closeAll(opening);
    const { missing } = run;
    const end: PrefetchState = { ...state, slow: order.slow, ...(missing === undefined ? {} : { missing }) };
    tell(session, () => writePrefetchState(paths, end));
  }
}

/** A segment and where its copies are. */
interface Located {
  readonly name: WalName;
  readonly copies: readonly ArchivedFile[];
}

class PrefetchRun {
  readonly #session: Session<'archive-get'>;
  readonly #paths: SpoolPaths;
  readonly #pool: WorkerPool<GetJobs, Located>;
  readonly #queue: QueueState;
  readonly #order: RepoOrder;
  readonly #sources: ReturnType<typeof openArchiveSources>;
  readonly #listing = new ArchiveListing();
  readonly #others: WalName[];
  /** Segments in the spool, as far as we know: PostgreSQL takes some meanwhile. */
  #held: number;
  #failed = false;
  #missing: WalName | undefined;

  constructor(
    session: Session<'archive-get'>,
    paths: SpoolPaths,
    pool: WorkerPool<GetJobs, Located>,
    queue: QueueState,
    order: RepoOrder,
    sources: ReturnType<typeof openArchiveSources>,
  ) {
    this.#session = session;
    this.#paths = paths;
    this.#pool = pool;
    this.#queue = queue;
    this.#order = order;
    this.#sources = sources;
    this.#others = [...queue.others];
    this.#held = queue.present + queue.others.length;
  }

  /** Where the archive ended. */
  get missing(): WalName | undefined {
    return this.#missing;
  }

  /** Fetches in order of need, up to the first segment that is not in the archive or cannot be had. */
  async fetch(): Promise<void> {
    for (const group of byDirectory(this.#queue.wanted)) {
      const located: Located[] = [];
      let failure: { readonly name: WalName; readonly error: BackstopError } | undefined;
      for (const name of group) {
        try {
          const copies = await this.#locate(name);
          if (copies.length > 0) located.push({ name, copies });
          else this.#missing = name;
        } catch (error) {
          if (!isBackstopError(error)) throw error;
          failure = { name, error };
        }
        if (this.#missing !== undefined || failure !== undefined) break;
      }
      await this.#fetchAll(located);
      if (failure !== undefined) this.#fail(failure.name, failure.error);
      if (this.#missing !== undefined) {
        this.#session.log.detail(`unable to find ${this.#missing} in the archive`);
        writeOk(this.#paths.in, this.#missing);
      }
      if (this.#failed || this.#missing !== undefined) return;
    }
  }

  /** @returns none when no archive has the segment, by lists that are not older than this question */
  async #locate(name: WalName): Promise<readonly ArchivedFile[]> {
    const search = { find: this.#listing.find, warn: (message: string) => this.#warn(message) };
    const isListed = this.#listing.has(name);
    const copies = await this.#order.find(this.#sources, name, search);
    if (copies.length > 0 || !isListed) return copies;
    this.#listing.forget();
    return await this.#order.find(this.#sources, name, search);
  }

  async #fetchAll(located: readonly Located[]): Promise<void> {
    let next = 0;
    const outcomes = this.#pool.run(() => {
      const job = this.#failed ? undefined : located[next++];
      if (job === undefined) return undefined;
      return {
        name: 'get-segment',
        tag: job,
        input: { name: job.name, destination: `${this.#paths.in}/${job.name}`, copies: job.copies.map(asTask) },
      };
    });
    for await (const { tag, worker, output } of outcomes) {
      if ('error' in output) {
        this.#fail(tag.name, errorFromPlain(output.error));
        continue;
      }
      const log = this.#session.log.worker(worker);
      log.detail(`found ${tag.name} in the repo${output.key}: ${output.archiveId} archive`);
      for (const warning of output.warnings) log.warn(warning);
      if (output.warnings.length > 0) {
        tell(this.#session, () => writeOk(this.#paths.in, tag.name, output.warnings.join('\n')));
      }
      this.#makeRoom();
    }
  }

  /** The queue of this timeline exists: others give way to it, the segment that is needed last first. */
  #makeRoom(): void {
    this.#held += 1;
    if (this.#held <= this.#queue.wanted.length + this.#queue.present) return;
    const other = this.#others.shift();
    if (other === undefined) return;
    removeSpoolFile(`${this.#paths.in}/${other}`);
    this.#held -= 1;
  }

  #fail(name: WalName, error: BackstopError): void {
    this.#failed = true;
    this.#warn(`could not get ${name} from the archive (will be retried): [${error.code}] ${error.text}`);
    if (!concernsSpool(error, this.#paths)) tell(this.#session, () => writeError(this.#paths.in, name, error));
  }

  #warn(message: string): void {
    this.#session.log.warn(message);
  }
}

function asTask({ source, archiveId, path, wal }: ArchivedFile): CopyTask {
  const { passphrase } = source;
  return {
    key: source.repo.key,
    archiveId,
    path,
    ...(wal === undefined ? {} : { wal }),
    ...(passphrase === undefined ? {} : { passphrase }),
  };
}

/** A full disk of the spool, or a folder that is not ours: the segment itself can be had. */
function concernsSpool(error: BackstopError, paths: SpoolPaths): boolean {
  return error.text.includes(`${paths.root}/`);
}

/** Writes a status; where that fails the foreground process learns nothing, and gets its file itself. */
function tell({ log }: Session<'archive-get'>, write: () => void): void {
  try {
    write();
  } catch (error) {
    log.warn(asBackstopError(error).text);
  }
}

function* byDirectory(names: readonly WalName[]): Generator<WalName[]> {
  let group: WalName[] = [];
  for (const name of names) {
    if (group[0] !== undefined && group[0].slice(0, 16) !== name.slice(0, 16)) {
      yield group;
      group = [];
    }
    group.push(name);
  }
  if (group.length > 0) yield group;
}
