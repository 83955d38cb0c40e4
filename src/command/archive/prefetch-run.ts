/**
 * Fetches a queue of segments into the spool, and goes on for as long as PostgreSQL uses them up: a process that is started
 * for every few segments would take longer than recovery needs for them.
 */
import { existsSync } from 'node:fs';
import { asBackstopError, type BackstopError, errorFromPlain, isBackstopError } from '../../base/error.ts';
import type { WorkerPool } from '../../parallel/pool.ts';
import { nextWalName, type WalName, walNamesFrom } from '../../postgres/wal.ts';
import type { Session } from '../session.ts';
import { okSuffix, removeSpoolFile, type SpoolPaths, writeError, writeOk } from '../spool.ts';
import { ArchiveListing } from './archive-listing.ts';
import type { ArchivedFile, OpeningSource } from './archived-file.ts';
import type { CopyTask, GetJobs } from './get-job.ts';
import type { QueueState } from './prefetch-queue.ts';
import { hasPrefetchState, type PrefetchState, writePrefetchState } from './prefetch-state.ts';
import type { RepoOrder } from './repo-order.ts';

/** Milliseconds without a segment being used after which the next foreground process starts another background process. */
const idle = 1000;

/** Milliseconds after which the archive lock is given free in any case: archive-push of a standby may wait for it. */
const longest = 10_000;

/** Milliseconds between two looks whether segments were used. */
const pause = 20;

/** A segment and where its copies are. */
export interface Located {
  readonly name: WalName;
  readonly copies: readonly ArchivedFile[];
}

/** What is to be fetched, and where to. */
export interface PrefetchPlan {
  readonly paths: SpoolPaths;
  readonly state: PrefetchState;
  /** Bytes. */
  readonly segmentSize: number;
  readonly queue: QueueState;
  /** Last segment of the queue. */
  readonly last: WalName;
  /** False for a list of segments: those and no more. */
  readonly goesOn: boolean;
}

export class PrefetchRun {
  readonly #session: Session<'archive-get'>;
  readonly #plan: PrefetchPlan;
  readonly #pool: WorkerPool<GetJobs, Located>;
  readonly #order: RepoOrder;
  readonly #sources: readonly OpeningSource[];
  readonly #listing = new ArchiveListing();
  readonly #others: WalName[];
  /** The first segment of the queue, and the one after its last: both move on as PostgreSQL does. */
  #head: WalName;
  #tail: WalName;
  /** Segments in the spool. */
  #held: number;
  readonly #began: number;
  #hasFetched = false;
  #failed = false;
  #missing: WalName | undefined;

  constructor(
    session: Session<'archive-get'>,
    plan: PrefetchPlan,
    pool: WorkerPool<GetJobs, Located>,
    repos: { readonly order: RepoOrder; readonly sources: readonly OpeningSource[] },
  ) {
    const { state, queue, last, segmentSize } = plan;
    this.#session = session;
    this.#began = session.clock.monotonic();
    this.#plan = plan;
    this.#pool = pool;
    this.#order = repos.order;
    this.#sources = repos.sources;
    this.#others = [...queue.others];
    this.#held = queue.present + queue.others.length;
    this.#head = state.first;
    this.#tail = nextWalName(last, segmentSize);
  }

  /**
   * Fetches in order of need, up to the first segment that is not in the archive or cannot be had, or until nobody uses
   * them any more.
   */
  async fetch(): Promise<void> {
    let names: readonly WalName[] = this.#plan.queue.wanted;
    for (;;) {
      for (const group of byDirectory(names)) {
        await this.#fetchGroup(group);
        if (this.#isOver || this.#isLate) return;
      }
      names = this.#plan.goesOn ? await this.#nextNames() : [];
      if (names.length === 0) return;
      this.#session.log.detail(`get ${describeNames(names)}`);
    }
  }

  /** Leaves to other processes what was learnt. */
  end(): void {
    const missing = this.#missing;
    if (hasPrefetchState(this.#plan.paths)) this.#note(missing === undefined ? {} : { missing });
  }

  /** Whoever removes our state has work for another process. */
  get #isOver(): boolean {
    return this.#failed || this.#missing !== undefined || !hasPrefetchState(this.#plan.paths);
  }

  /** Whether others are to have the lock. What the foreground waits for comes first, however long it takes. */
  get #isLate(): boolean {
    return this.#hasFetched && this.#session.clock.monotonic() - this.#began >= longest;
  }

  /** Waits until segments were used. @returns as many that follow the queue; none when it is time to end */
  async #nextNames(): Promise<WalName[]> {
    const { clock } = this.#session;
    const { segmentSize, paths } = this.#plan;
    const end = Math.min(clock.monotonic() + idle, this.#began + longest);
    while (!this.#isOver && clock.monotonic() < end) {
      let used = 0;
      for (; this.#head !== this.#tail && !existsSync(`${paths.in}/${this.#head}`); used++) {
        this.#head = nextWalName(this.#head, segmentSize);
      }
      if (used > 0) {
        const names = [...walNamesFrom(this.#tail, used, segmentSize)];
        this.#tail = nextWalName(names.at(-1) ?? this.#tail, segmentSize);
        this.#held -= used;
        this.#note({});
        return names;
      }
      await clock.sleep(pause);
    }
    return [];
  }

  #note(more: Pick<PrefetchState, 'missing'>): void {
    writePrefetchState(this.#plan.paths, {
      ...this.#plan.state,
      first: this.#head,
      slow: this.#order.slow,
      ...more,
    });
  }

  async #fetchGroup(group: readonly WalName[]): Promise<void> {
    const located: Located[] = [];
    let failure: { readonly name: WalName; readonly error: BackstopError } | undefined;
    let missing: WalName | undefined;
    for (const name of group) {
      try {
        const copies = await this.#locate(name);
        if (copies.length > 0) located.push({ name, copies });
        else missing = name;
      } catch (error) {
        if (!isBackstopError(error)) throw error;
        failure = { name, error };
      }
      if (missing !== undefined || failure !== undefined) break;
    }
    await this.#fetchAll(located);
    if (failure !== undefined) this.#fail(failure.name, failure.error);
    if (missing === undefined) return;
    this.#missing = missing;
    this.#session.log.detail(`unable to find ${missing} in the archive`);
    writeOk(this.#plan.paths.in, missing);
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
      const isOver = this.#failed || this.#isLate || !hasPrefetchState(this.#plan.paths);
      const job = isOver ? undefined : located[next++];
      if (job === undefined) return undefined;
      this.#hasFetched = true;
      return {
        name: 'get-segment',
        tag: job,
        input: { name: job.name, destination: `${this.#plan.paths.in}/${job.name}`, copies: job.copies.map(asTask) },
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
      if (output.warnings.length > 0) tell(this.#session, () => this.#noteWarnings(tag.name, output.warnings));
      this.#makeRoom();
    }
  }

  /** Beside the segment; one that was taken already has no need of it, and without a segment it would say something else. */
  #noteWarnings(name: WalName, warnings: readonly string[]): void {
    const segment = `${this.#plan.paths.in}/${name}`;
    writeOk(this.#plan.paths.in, name, warnings.join('\n'));
    if (!existsSync(segment)) removeSpoolFile(`${segment}${okSuffix}`);
  }

  /** The queue of this timeline exists: others give way to it, the segment that is needed last first. */
  #makeRoom(): void {
    this.#held += 1;
    if (this.#held <= this.#plan.state.count) return;
    const other = this.#others.shift();
    if (other === undefined) return;
    removeSpoolFile(`${this.#plan.paths.in}/${other}`);
    this.#held -= 1;
  }

  #fail(name: WalName, error: BackstopError): void {
    this.#failed = true;
    this.#warn(`could not get ${name} from the archive (will be retried): [${error.code}] ${error.text}`);
    if (!concernsSpool(error, this.#plan.paths))
      tell(this.#session, () => writeError(this.#plan.paths.in, name, error));
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
export function concernsSpool(error: BackstopError, paths: SpoolPaths): boolean {
  return error.text.includes(`${paths.root}/`);
}

/** Writes a status; where that fails the foreground process learns nothing, and gets its file itself. */
export function tell({ log }: Session<'archive-get'>, write: () => void): void {
  try {
    write();
  } catch (error) {
    log.warn(asBackstopError(error).text);
  }
}

/** `2 WAL file(s) from archive: A...B` */
export function describeNames(names: readonly WalName[]): string {
  const last = names.length > 1 ? `...${names.at(-1)}` : '';
  return `${names.length} WAL file(s) from archive: ${names[0]}${last}`;
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
