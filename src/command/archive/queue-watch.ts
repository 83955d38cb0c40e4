/** Looks after archive-push-queue-max while files are pushed in the background. */
import { asBackstopError, BackstopError } from '../../base/error.ts';
import { formatSize } from '../../base/units.ts';
import type { Session } from '../session.ts';
import type { OutQueue } from './out-queue.ts';
import { chooseDrops, dropWarning, type HeldFile, noteDrops } from './queue-limit.ts';

/** Milliseconds between two looks. */
const interval = 1000;

/** Milliseconds that the oldest file may be under way while too much waits behind it, at least. */
const longestPush = 30_000;

/** Bytes a second of a push that is slow, and still one. */
const slowestPush = 1e6;

export class QueueWatch {
  readonly #session: Session<'archive-push'>;
  readonly #queue: OutQueue;
  /** Bytes; undefined: there is no limit. */
  readonly #limit: number | undefined;
  readonly #stuck = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #lastHeld: number | undefined;
  /** The file that all wait for, and since when. */
  #oldest: { readonly name: string; readonly since: number } | undefined;

  constructor(session: Session<'archive-push'>, queue: OutQueue, limit: number | undefined) {
    this.#session = session;
    this.#queue = queue;
    this.#limit = limit;
  }

  /** @param limit bytes; without it there is nothing to look after */
  static begin(session: Session<'archive-push'>, queue: OutQueue, limit: number | undefined): QueueWatch {
    const watch = new QueueWatch(session, queue, limit);
    if (limit === undefined) return watch;
    watch.#look();
    watch.#timer = setInterval(() => watch.#look(), interval);
    return watch;
  }

  /** Whether there is a limit. */
  get isOn(): boolean {
    return this.#limit !== undefined;
  }

  /** Ends the push when one file keeps all others from being let go. */
  get signal(): AbortSignal {
    return this.#stuck.signal;
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** All that could be pushed is pushed: when PostgreSQL still waits for a file, too much may wait behind it. */
  settle(): void {
    if (this.#limit === undefined) return;
    const { files, sizes } = this.#queue.held();
    const oldest = files.find(({ state }) => state !== 'done');
    if (oldest === undefined || this.#queue.failureOf(oldest.name) === undefined) return;
    this.#drop(chooseDrops(files, this.#limit), sizes.segment);
  }

  /** Nothing can be pushed, and nothing is under way any more: lets go what is too much. */
  enforce(): void {
    if (this.#limit === undefined) return;
    const { files, sizes } = this.#queue.held();
    const idle = files.map((file): HeldFile => (file.state === 'busy' ? { ...file, state: 'waiting' } : file));
    this.#drop(chooseDrops(idle, this.#limit), sizes.segment);
  }

  /**
   * While the archive keeps up, or catches up, nothing is let go. When more and more waits, or the oldest file cannot be
   * pushed, behind which PostgreSQL holds all others, the limit counts.
   */
  #look(): void {
    if (this.#limit === undefined || this.#stuck.signal.aborted) return;
    try {
      const { files, sizes } = this.#queue.held();
      const held = files.reduce((sum, { size }) => sum + size, 0);
      const grows = held > (this.#lastHeld ?? held);
      this.#lastHeld = held;
      if (held <= this.#limit) return;
      const oldest = files.find(({ state }) => state !== 'done');
      if (oldest === undefined) return;
      if (oldest.state === 'busy' && this.#isStuck(oldest)) return;
      if (grows || this.#queue.failureOf(oldest.name) !== undefined) {
        this.#drop(chooseDrops(files, this.#limit), sizes.segment);
      }
    } catch (error) {
      // the work itself goes on; it meets the same failure, if it is one of the spool
      this.#session.log.warn(`unable to look after archive-push-queue-max: ${asBackstopError(error).text}`);
    }
  }

  #isStuck({ name, size }: HeldFile): boolean {
    const longest = longestPush + (size / slowestPush) * 1000;
    const now = this.#session.clock.monotonic();
    if (this.#oldest?.name !== name) this.#oldest = { name, since: now };
    if (now - this.#oldest.since < longest) return false;
    this.#stuck.abort(
      new BackstopError(
        'file-write',
        `WAL file '${name}' could not be pushed in ${Math.round(longest / 1000)} seconds while more than archive-push-queue-max waits`,
      ),
    );
    return true;
  }

  #drop(files: readonly HeldFile[], segmentSize: number): void {
    const [first] = files;
    if (first === undefined || this.#limit === undefined) return;
    const { log } = this.#session;
    noteDrops(this.#session, files, segmentSize);
    for (const { name } of files) {
      const why = this.#queue.failureOf(name)?.text ?? 'it was not tried in this run';
      const warning = dropWarning(name, this.#limit);
      log.warn(`${warning}\n${why}`);
      try {
        this.#queue.succeed(name, warning);
      } catch (error) {
        // no space for the words: that it is gone must be said all the same
        log.warn(asBackstopError(error).text);
        this.#queue.succeed(name);
      }
    }
    log.detail(`dropped ${files.length} WAL file(s) to keep what waits below ${formatSize(this.#limit)}`);
  }
}
