/** One run of a background push: gives files to workers, and their outcomes to the spool. */
import { asBackstopError, BackstopError, errorFromPlain } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Job, Outcome } from '../../parallel/job.ts';
import { WorkerPool } from '../../parallel/pool.ts';
import { startsWithWalName } from '../../postgres/wal.ts';
import { begun } from '../../repo/object-store.ts';
import { stanzaOf } from '../open.ts';
import { formatRepoErrors, type RepoError, repoError } from '../repo-error.ts';
import type { Session } from '../session.ts';
import { type FoundSegments, findSegments } from './found-segments.ts';
import { removeLeftovers } from './leftover.ts';
import type { OutQueue } from './out-queue.ts';
import {
  openPushJobs,
  type PushJobs,
  type PushOutput,
  type PushTask,
  type PushThreadData,
  repoErrorOf,
} from './push-job.ts';
import { alreadyThere, pushOptions } from './push-settings.ts';
import type { PushTarget, PushTargets } from './push-target.ts';
import type { QueueWatch } from './queue-watch.ts';
import { sizesOf } from './ready-files.ts';

/** Milliseconds after which the list of what waits is read again. */
const longestRound = 5000;

/** Files for which the repositories are looked at together. */
const mostInRound = 512;

/** So many failures of a repository in a row, and it is not asked again in this run. */
const mostFailures = 3;

/** A file on its way, with what is known to go wrong with it already. */
interface Sent {
  readonly name: string;
  readonly errors: readonly RepoError[];
}

type Found = ReadonlyMap<PushTarget, FoundSegments>;

export class PushRun {
  readonly #session: Session<'archive-push'>;
  readonly #queue: OutQueue;
  readonly #targets: readonly PushTarget[];
  /** Repositories that are not asked any more, by number. */
  readonly #down = new Map<string, RepoError>();
  readonly #failuresInRow = new Map<string, number>();
  readonly #threadData: PushThreadData;
  #announced = new Set<string>();
  #pool: WorkerPool<PushJobs, Sent> | undefined;
  #own: Awaited<ReturnType<typeof openPushJobs>> | undefined;
  #hasErrors = false;
  /** Whose failure was told of with all its words. */
  readonly #told = new Set<string>();
  /** One file of each directory that something was written to: segments have their own, all else lies beside these. */
  readonly #written = new Map<string, string>();

  constructor(session: Session<'archive-push'>, queue: OutQueue, { targets, errors, cluster }: PushTargets) {
    this.#session = session;
    this.#queue = queue;
    this.#targets = targets;
    for (const error of errors) this.#down.set(error.repo, error);
    this.#threadData = {
      command: 'archive-push',
      stanza: stanzaOf(session),
      targets: targets.map(({ repo, ...rest }) => ({ repo: repo.settings, ...rest })),
      options: {
        ...pushOptions(session),
        ...(session.settings.values['archive-header-check'] ? { cluster } : {}),
      },
      // PostgreSQL asks again
      retry: { count: 0, interval: 0 },
    };
  }

  /** Whether something could not be pushed, or not everywhere. */
  get hasErrors(): boolean {
    return this.#hasErrors || this.#down.size > 0;
  }

  /**
   * Pushes files until they are all done, or it is time to look again at what waits.
   * @param waiting names, in the order in which they are to be pushed
   * @throws repo-invalid when no repository can be used any more, file-write when the spool cannot be written to
   */
  async round(waiting: readonly string[], watch: QueueWatch): Promise<void> {
    const { clock } = this.#session;
    const names = this.#announce(waiting).slice(0, mostInRound);
    const found = await this.#find(names);
    const end = clock.monotonic() + longestRound;
    const left = names.values();
    const next = (): Job<PushJobs, Sent> | undefined => {
      this.#checkUsable();
      while (clock.monotonic() < end) {
        const { value: name } = left.next();
        if (name === undefined) return undefined;
        // let go meanwhile
        if (this.#queue.isDone(name)) continue;
        const job = this.#prepare(name, found);
        if (job !== undefined) return job;
      }
      return undefined;
    };
    // a thread takes longer to start than one file takes; but only threads can be ended
    if (names.length === 1 && !watch.isOn) {
      const job = next();
      if (job === undefined) return;
      this.#own ??= await openPushJobs(this.#threadData);
      const output = await this.#own['push-file'](job.input);
      this.#finish({ name: 'push-file', tag: job.tag, worker: 0, output });
      return;
    }
    for await (const outcome of this.#openPool().run(next, watch.signal)) this.#finish(outcome);
  }

  /** Removes what killed pushes have left where this one wrote. */
  async cleanUp(): Promise<void> {
    const now = this.#session.clock.now() / 1000;
    for (const target of this.#usable()) {
      try {
        for (const segment of this.#written.values()) await removeLeftovers(target, segment, now);
      } catch (error) {
        this.#session.log.warn(`unable to remove temporary files from the archive: ${asBackstopError(error).message}`);
      }
    }
  }

  /** Ends the workers, whatever they are doing. */
  async close(): Promise<void> {
    await this.#pool?.close();
    await this.#own?.close();
  }

  /** @returns the files of the batch that is under way */
  #announce(waiting: readonly string[]): readonly string[] {
    const { settings, log } = this.#session;
    const [first = ''] = waiting;
    if (!this.#announced.has(first)) {
      const { segment } = sizesOf(this.#queue.walPath, waiting);
      const most = segment === 0 ? 1 : Math.floor(settings.values['archive-push-batch-size'] / segment);
      const batch = waiting.slice(0, Math.max(most, 1));
      const last = batch.length > 1 ? `...${batch.at(-1)}` : '';
      log.info(`push ${batch.length} WAL file(s) to archive: ${first}${last}`);
      this.#announced = new Set(batch);
    }
    return waiting.filter(name => this.#announced.has(name));
  }

  /** Looks where the files are already. A repository that cannot be looked at is not asked again. */
  async #find(names: readonly string[]): Promise<Found> {
    const finding = this.#usable().map(target => ({ target, looking: begun(findSegments(target, names)) }));
    const found = new Map<PushTarget, FoundSegments>();
    for (const { target, looking } of finding) {
      try {
        found.set(target, await looking);
      } catch (error) {
        this.#down.set(target.repo.name, repoError(target.repo.key, error));
      }
    }
    return found;
  }

  #usable(): PushTarget[] {
    return this.#targets.filter(({ repo }) => !this.#down.has(repo.name));
  }

  #checkUsable(): void {
    if (this.#usable().length > 0) return;
    throw new BackstopError(
      'repo-invalid',
      `unable to find a valid repository:\n${formatRepoErrors([...this.#down.values()])}`,
    );
  }

  /** @returns undefined when there is nothing that could be done for the file */
  #prepare(name: string, found: Found): Job<PushJobs, Sent> | undefined {
    const errors = [...this.#down.values()];
    const targets: { key: number; existing?: NonNullable<ReturnType<FoundSegments['get']>> }[] = [];
    for (const target of this.#usable()) {
      try {
        const existing = found.get(target)?.get(name);
        targets.push({ key: target.repo.key, ...(existing === undefined ? {} : { existing }) });
      } catch (error) {
        errors.push(repoError(target.repo.key, error));
      }
    }
    const isIncomplete = errors.length > 0;
    if (isIncomplete && targets.every(({ existing }) => existing !== undefined)) {
      this.#fail(
        name,
        repositoryErrors(
          errors,
          targets.map(({ key }) => key),
        ),
        this.#session.log,
        errors,
      );
      return undefined;
    }
    this.#queue.begin(name);
    const input: PushTask = { path: this.#queue.pathOf(name), name, targets, incomplete: isIncomplete };
    return { name: 'push-file', input, tag: { name, errors } };
  }

  #finish({ tag: { name, errors: known }, worker, output }: Outcome<PushJobs, Sent>): void {
    const { log, settings } = this.#session;
    const own = log.worker(worker);
    const errors = [...known, ...output.errors.map(repoErrorOf)];
    this.#noteRepositories(output);
    if (output.failure !== undefined) {
      this.#fail(name, errorFromPlain(output.failure), own, []);
    } else if (errors.length > 0) {
      this.#fail(name, repositoryErrors(errors, output.stored), own, known.length === errors.length ? known : []);
    } else {
      const existing = settings.values['archive-mode-check'] ? output.existing : [];
      const warnings = existing.map(key => alreadyThere(name, `repo${key}`));
      for (const warning of warnings) own.warn(warning);
      own.detail(`pushed WAL file '${name}' to the archive`);
      this.#queue.succeed(name, warnings.length === 0 ? undefined : warnings.join('\n'));
      this.#written.set(startsWithWalName(name) ? name.slice(0, 16) : '', name);
    }
  }

  #noteRepositories({ stored, errors }: PushOutput): void {
    for (const key of stored) this.#failuresInRow.delete(`repo${key}`);
    for (const failed of errors) {
      const error = repoErrorOf(failed);
      const failures = (this.#failuresInRow.get(error.repo) ?? 0) + 1;
      this.#failuresInRow.set(error.repo, failures);
      if (failed.unreachable || failures >= mostFailures) this.#down.set(error.repo, error);
    }
  }

  /** @param known repositories that were known to fail: their words are said once, not for thousands of files */
  #fail(name: string, error: BackstopError, log: Log, known: readonly RepoError[]): void {
    this.#hasErrors = true;
    const text = `could not push WAL file '${name}' to the archive (will be retried): [${error.code}] ${error.text}`;
    const isNews = known.length === 0 || known.some(({ repo }) => !this.#told.has(repo));
    for (const { repo } of known) this.#told.add(repo);
    if (isNews) log.warn(text);
    else log.detail(text);
    const unwritten = this.#queue.fail(name, error);
    if (unwritten !== undefined) log.warn(unwritten.text);
  }

  #openPool(): WorkerPool<PushJobs, Sent> {
    this.#pool ??= new WorkerPool({
      threadFile: this.#session.threadFile,
      size: this.#session.settings.values['process-max'],
      data: this.#threadData,
    });
    return this.#pool;
  }
}

/** @param stored numbers of the repositories that have the file */
function repositoryErrors(errors: readonly RepoError[], stored: readonly number[]): BackstopError {
  const others = stored.length === 0 ? '' : `\n${stored.map(key => `repo${key}`).join(', ')} has the file`;
  return new BackstopError(
    'command',
    `archive-push command encountered error(s):\n${formatRepoErrors(errors)}${others}`,
  );
}
