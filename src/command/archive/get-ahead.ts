/**
 * Asynchronous archive-get as PostgreSQL starts it: takes the segment out of the spool, where a background process puts it
 * ahead of time, and has more of them fetched (behaviour, section 5.2).
 */
import { existsSync, statSync } from 'node:fs';
import { BackstopError, isBackstopError, isKind } from '../../base/error.ts';
import { fitsSegmentSize, nextWalName, type WalName } from '../../postgres/wal.ts';
import { logFile } from '../log-file.ts';
import { forcedVersion } from '../open.ts';
import type { Session } from '../session.ts';
import {
  claimSpool,
  clearErrors,
  emptySpoolPath,
  isSpoolOf,
  okSuffix,
  readStatus,
  removeSpoolFile,
  type SpoolPaths,
  type SpoolStatus,
  temporarySuffix,
} from '../spool.ts';
import { type Background, startBackground } from './background.ts';
import { type RequestingCluster, spoolPathsOf } from './get-request.ts';
import { halfwayOf, middleOf, queueLength, queueParameters } from './prefetch-queue.ts';
import {
  bootId,
  isAtWork,
  isOnList,
  type PrefetchState,
  readPrefetchState,
  removePrefetchState,
} from './prefetch-state.ts';
import { isHeldByPush } from './push-holder.ts';
import { takeSegment } from './spooled-segment.ts';

export interface SegmentRequest {
  readonly name: WalName;
  readonly destination: string;
}

/** Milliseconds between two looks at the spool. */
const firstPause = 2;
const longestPause = 50;

/** Milliseconds for which somebody else who holds the lock, and does not seem to fetch our segment, is waited for. */
const patienceWithOthers = 300;

/** Milliseconds after the end of the archive was met in which nobody looks again whether there is more to fetch ahead. */
const endIsFresh = 1000;

/**
 * Gets a segment by way of the spool.
 * @param getNow gets it without: for when nobody fetches it for us
 * @returns false when it is proven not to be in any archive
 * @throws archive-timeout, and what the background process has met
 */
export async function getAhead(
  session: Session<'archive-get'>,
  request: SegmentRequest,
  cluster: RequestingCluster,
  getNow: () => Promise<boolean>,
): Promise<boolean> {
  if (!fitsSegmentSize(request.name, cluster.walSegmentSize)) return await getNow();
  const spool = new Prefetch(session, request, cluster);
  const { log } = session;
  let outcome: Outcome;
  try {
    outcome = await spool.get();
  } catch (error) {
    if (!isBackstopError(error) || !error.text.includes(spool.path)) throw error;
    // the spool is only a way to the segment, and not the only one
    log.warn(error.text);
    return await getNow();
  }
  if (outcome === 'nobody') {
    const isFound = await getNow();
    if (isFound) spool.callBack();
    return isFound;
  }
  if (isBackstopError(outcome)) throw outcome;
  log.info(`${outcome === 'found' ? 'found' : 'unable to find'} ${request.name} in the archive asynchronously`);
  if (outcome === 'found') {
    await spool.refill();
    spool.tellAnswer();
  }
  return outcome === 'found';
}

/** `nobody`: the segment will not come into the spool, or is not to be trusted there. An error is what the spool says. */
type Outcome = 'found' | 'missing' | 'nobody' | BackstopError;

class Prefetch {
  readonly #session: Session<'archive-get'>;
  readonly #request: SegmentRequest;
  readonly #cluster: RequestingCluster;
  readonly #paths: SpoolPaths;
  readonly #length: number;
  #state: PrefetchState | undefined;
  #background: Background | undefined;

  constructor(session: Session<'archive-get'>, request: SegmentRequest, cluster: RequestingCluster) {
    this.#session = session;
    this.#request = request;
    this.#cluster = cluster;
    this.#paths = spoolPathsOf(session);
    this.#length = queueLength(session.settings.values['archive-get-queue-max'], cluster.walSegmentSize);
  }

  /** Where the spool of the stanza is. */
  get path(): string {
    return this.#paths.root;
  }

  async get(): Promise<Outcome> {
    if (this.#isTrusted()) {
      const first = this.#take();
      if (first !== 'absent') return first;
      // what was not there earlier may be there by now, and an error of the past may be over
      if (!this.#session.settings.values['archive-missing-retry']) {
        const answer = this.#answer();
        if (answer === 'found' || answer === 'missing') return answer;
      }
      this.#forget();
    }
    return await this.#wait();
  }

  /** Has the queue filled again when less than half of it is there. */
  async refill(): Promise<void> {
    const { walSegmentSize } = this.#cluster;
    const next = nextWalName(this.#request.name, walSegmentSize);
    if (this.#background !== undefined || this.#has(halfwayOf(next, this.#length, walSegmentSize))) return;
    const isFetched = isAtWork(this.#state) && isOnList(this.#state, next, walSegmentSize);
    if (isFetched || this.#endedJustNow(next)) return;
    try {
      await startBackground(this.#session, queueParameters(next, this.#length), () => undefined);
    } catch (error) {
      // PostgreSQL has its segment
      if (!isKind(error, 'execute', 'lock-acquire')) throw error;
      this.#session.log.warn(error.text);
    }
  }

  /** Recovery is elsewhere, as on another timeline: who fetches what it has left behind makes place for another process. */
  callBack(): void {
    const state = readPrefetchState(this.#paths);
    const isElsewhere = isAtWork(state) && !isOnList(state, this.#request.name, this.#cluster.walSegmentSize);
    if (isElsewhere) removePrefetchState(this.#paths);
  }

  /** So that the next answer can be given without us. */
  tellAnswer(): void {
    const { settings, answeredFromSpool } = this.#session;
    const clusterPath = settings.clusters[0]?.values.path;
    if (clusterPath === undefined) return;
    const { walSegmentSize: segmentSize } = this.#cluster;
    answeredFromSpool({ folder: this.#paths.in, clusterPath, queue: { ahead: middleOf(this.#length), segmentSize } });
  }

  /** Whether the spool is of this cluster, and not from before a crash of the machine. */
  #isTrusted(): boolean {
    this.#state = readPrefetchState(this.#paths);
    if (this.#state !== undefined && this.#state.boot !== bootId()) return false;
    return isSpoolOf(this.#paths, this.#cluster.identity);
  }

  #take(): 'found' | 'absent' | 'nobody' {
    const { name, destination } = this.#request;
    const path = `${this.#paths.in}/${name}`;
    const taken = takeSegment(
      path,
      destination,
      { systemId: this.#cluster.identity.systemId, walSegmentSize: this.#cluster.walSegmentSize },
      forcedVersion(this.#session),
    );
    if (taken === 'absent') return 'absent';
    if (taken === 'unsound') {
      this.#session.log.warn(`removed '${path}', which is not a WAL segment of this cluster`);
      return 'nobody';
    }
    this.#tellNote(`${path}${okSuffix}`);
    return 'found';
  }

  /** Tells, and removes, what is said beside a segment. PostgreSQL has that: no trouble with the note matters. */
  #tellNote(path: string): void {
    if (!existsSync(path)) return;
    const { log } = this.#session;
    try {
      try {
        const status = readStatus(this.#paths.in, this.#request.name);
        if (status?.kind === 'ok' && status.note !== undefined) log.warn(status.note.message);
      } finally {
        removeSpoolFile(path);
      }
    } catch (error) {
      if (!isBackstopError(error)) throw error;
      log.warn(error.text);
    }
  }

  /**
   * What the spool says of the segment that was not there.
   * @returns undefined when it says nothing
   */
  #answer(): Outcome | undefined {
    let status: SpoolStatus | undefined;
    try {
      status = readStatus(this.#paths.in, this.#request.name);
    } catch (error) {
      if (!isKind(error, 'format')) throw error;
      this.#session.log.warn(error.text);
      this.#forget();
      return 'nobody';
    }
    if (status === undefined) return undefined;
    if (status.kind === 'error') return status.error;
    // it may have come after the look for it
    const taken = this.#take();
    if (taken !== 'absent') return taken;
    // words are a note beside a segment, which pgBackRest writes first: no proof that there is none
    return status.note === undefined ? 'missing' : 'nobody';
  }

  /** Waits until somebody has put the segment into the spool, or what there is to say of it. */
  async #wait(): Promise<Outcome> {
    const { clock, settings } = this.#session;
    const { name } = this.#request;
    const timeout = settings.values['archive-timeout'];
    const begun = clock.monotonic();
    const others = new OthersProgress(`${this.#paths.in}/${name}${temporarySuffix}`, begun);
    for (let pause = firstPause; ; pause = Math.min(pause * 1.5, longestPause)) {
      if (this.#background === undefined) {
        const outcome = await this.#start();
        if (outcome !== undefined) return outcome;
      }
      // looked at before the spool: what it has done by its end is seen there
      const isOver = this.#background?.isRunning === false;
      if (this.#background !== undefined || this.#isTrusted()) {
        const taken = this.#take();
        if (taken !== 'absent') return taken;
        const answer = this.#answer();
        // another process may have looked into the archive before we were asked
        const isOld =
          answer === 'missing' && this.#background === undefined && settings.values['archive-missing-retry'];
        if (isOld) removeSpoolFile(`${this.#paths.in}/${name}${okSuffix}`);
        else if (answer !== undefined) return answer;
      }
      if (isOver) return 'nobody';
      const now = clock.monotonic();
      if (this.#background === undefined && !this.#isOnItsWay(others, now)) return 'nobody';
      if (now - begun >= timeout) throw this.#timedOut(timeout);
      await clock.sleep(Math.min(pause, Math.max(1, timeout - (now - begun))));
    }
  }

  /** @returns what to do instead when no process can be started */
  async #start(): Promise<'nobody' | undefined> {
    try {
      this.#background = await startBackground(
        this.#session,
        queueParameters(this.#request.name, this.#length),
        // nobody else writes now
        () => this.#prepare(),
      );
      return undefined;
    } catch (error) {
      if (!isKind(error, 'execute', 'lock-acquire', 'file-remove')) throw error;
      this.#session.log.warn(error.text);
      return 'nobody';
    }
  }

  /** Somebody else holds the lock: a background process of an earlier call, pgBackRest's, or one that pushes. */
  #isOnItsWay(others: OthersProgress, now: number): boolean {
    const state = readPrefetchState(this.#paths);
    if (isAtWork(state)) return isOnList(state, this.#request.name, this.#cluster.walSegmentSize);
    return !isHeldByPush(this.#session.settings) && others.isMoving(now);
  }

  #prepare(): void {
    if (!this.#isTrusted()) {
      claimSpool(this.#paths, this.#cluster.identity);
      emptySpoolPath(this.#paths.in);
      removePrefetchState(this.#paths);
    }
    this.#forget();
  }

  #forget(): void {
    clearErrors(this.#paths.in, this.#request.name);
    removeSpoolFile(`${this.#paths.in}/${this.#request.name}${okSuffix}`);
  }

  #has(name: WalName): boolean {
    return existsSync(`${this.#paths.in}/${name}`);
  }

  /** At the end of the archive each call would otherwise start a process that finds nothing. */
  #endedJustNow(next: WalName): boolean {
    const { missing } = this.#state ?? {};
    if (missing === undefined || missing.slice(0, 8) !== next.slice(0, 8) || missing < next) return false;
    const written = statSync(`${this.#paths.root}/prefetch`, { throwIfNoEntry: false })?.mtimeMs;
    const age = written === undefined ? -1 : this.#session.clock.now() - written;
    return age >= 0 && age < endIsFresh;
  }

  #timedOut(timeout: number): BackstopError {
    return new BackstopError(
      'archive-timeout',
      `unable to get WAL file '${this.#request.name}' from the archive asynchronously after ${timeout / 1000} second(s)`,
      { hint: `check '${logFile(this.#session.settings, 'async')}' for errors.` },
    );
  }
}

/** Whether a file that somebody else writes grows. */
class OthersProgress {
  readonly #path: string;
  #size = -1;
  #since: number;

  constructor(path: string, now: number) {
    this.#path = path;
    this.#since = now;
  }

  isMoving(now: number): boolean {
    const size = statSync(this.#path, { throwIfNoEntry: false })?.size ?? -1;
    if (size !== this.#size) {
      this.#size = size;
      this.#since = now;
    }
    return now - this.#since < patienceWithOthers;
  }
}
