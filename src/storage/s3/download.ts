/**
 * A file on its way from the service. It is asked for with one request, which is enough where the network is quick. Where
 * the reader waits for it most of the time, the rest is asked for in ranges, several at once: services give a connection
 * some 90 MB/s, and many of them that each.
 */
import type { IncomingMessage } from 'node:http';
import { BackstopError, isKind } from '../../base/error.ts';
import type { ByteSource, ReadOptions } from '../storage.ts';
import { Backlog, type Backlogs } from './backlog.ts';
import type { ByteBudget } from './budget.ts';
import { customerKey, type S3Access } from './client.ts';
import { FalseAnswer, type ServiceFailure, statusOf } from './retry.ts';

const mebibyte = 1024 * 1024;

/** Bytes of one of several ranges that are asked for at once. */
const rangeSize = 5 * mebibyte;
/** Most ranges of one file at once. */
const rangeLimit = 4;
/** A single answer is judged after this many bytes. */
const trialSize = 16 * mebibyte;
/** Bytes a second at which a single answer is quick enough. */
const quickEnough = 100e6;

export interface DownloadOptions extends ReadOptions {
  /** Which version of the file, in a bucket that keeps them. */
  readonly versionId?: string;
}

/** One request's bytes, from an offset up to a limit; asks again for the rest when the answer breaks off. */
class Range {
  readonly #access: S3Access;
  readonly #key: string;
  readonly #versionId: string | undefined;
  /** Next byte that will come. */
  #at: number;
  /** First byte that is not wanted any more; undefined: all there are. */
  #end: number | undefined;
  readonly #backlog: Backlog;
  #body: IncomingMessage | undefined;
  #over = false;
  #failure: unknown;
  #wake: () => void = () => undefined;
  #attempt = 1;
  #progressAt = Date.now();
  readonly #closing = new AbortController();
  readonly #bounded: boolean;
  /** Tag of the version that is being read. */
  tag: string | undefined;
  /** Bytes of the whole file; known once there was an answer. */
  fileSize: number | undefined;

  constructor(
    access: S3Access,
    key: string,
    options: DownloadOptions & { readonly tag?: string | undefined },
    backlog: Backlog,
    bounded: boolean,
  ) {
    this.#backlog = backlog;
    this.#access = access;
    this.#key = key;
    this.#versionId = options.versionId;
    this.#at = options.offset ?? 0;
    this.#end = options.length === undefined ? undefined : this.#at + options.length;
    this.tag = options.tag;
    this.#bounded = bounded;
  }

  /** Next byte that has not come yet. */
  get position(): number {
    return this.#at;
  }

  /** Sends the request. @throws file-missing, or another error of ours */
  async open(): Promise<void> {
    for (;;) {
      try {
        await this.#request();
        return;
      } catch (error) {
        if (!(error instanceof FalseAnswer)) throw error;
        await this.#waitToRetry(error);
      }
    }
  }

  /** Sends the request; a failure is told by take(). */
  start(): void {
    this.#follow(this.open());
  }

  /** Copies what is there. @returns 0 at the end; undefined when the next bytes have yet to come */
  take(into: Uint8Array): number | undefined {
    const filled = this.#backlog.take(into);
    if (filled > 0 && this.#backlog.isLow && this.#body?.isPaused()) this.#body.resume();
    if (filled > 0 || into.length === 0) return filled;
    if (this.#failure !== undefined) throw this.#failure;
    return this.#over ? 0 : undefined;
  }

  /** Until take() has something to give. */
  async wait(): Promise<void> {
    if (this.#backlog.size > 0 || this.#over || this.#failure !== undefined) return;
    await new Promise<void>(wake => {
      this.#wake = wake;
    });
  }

  /** Takes no more bytes than those that have come. */
  cut(): void {
    this.#end = this.#at;
    this.#stop();
  }

  close(): void {
    this.#backlog.clear();
    this.#stop();
    this.#wake();
  }

  #stop(): void {
    const isAsking = this.#body === undefined && !this.#over;
    this.#over = true;
    this.#drop();
    // what is asked for, or waits to be asked for again, would keep the process from its end
    if (isAsking) this.#closing.abort(new Error('closed while it was read'));
  }

  #drop(): void {
    const body = this.#body;
    this.#body = undefined;
    if (body !== undefined) discard(body);
  }

  async #request(): Promise<void> {
    const { settings } = this.#access;
    const partial = this.#at > 0 || this.#end !== undefined;
    if (this.#over || (this.#end !== undefined && this.#end <= this.#at)) {
      this.#over = true;
      return;
    }
    const begin = this.#at;
    let output: Awaited<ReturnType<typeof ask>>;
    const ask = () =>
      this.#access.send(
        'get',
        this.#key,
        'GetObject',
        {
          Key: this.#key,
          ...(this.#versionId === undefined ? {} : { VersionId: this.#versionId }),
          ...(partial ? { Range: `bytes=${begin}-${this.#end === undefined ? '' : this.#end - 1}` } : {}),
          ...(this.tag === undefined ? {} : { IfMatch: this.tag }),
          ...customerKey(settings),
        },
        undefined,
        { signal: this.#closing.signal },
      );
    try {
      output = await ask();
    } catch (error) {
      const status = statusOf(((error as Error).cause ?? {}) as ServiceFailure);
      // there is nothing from this offset on: what was read from before, or is to be read beside it, had more
      if (status === 416 && this.tag === undefined) {
        this.#over = true;
        return;
      }
      if (status === 412 || status === 416) throw changed(this.#key);
      throw error;
    }
    const body = output.Body as IncomingMessage | undefined;
    if (body === undefined) throw new FalseAnswer('the answer to a read has no content');
    // closed or cut while it was asked for
    if (this.#over) return discard(body);
    // nobody listened: it would never be told
    if (body.destroyed) throw new FalseAnswer('the answer to a read broke off at once');
    try {
      const { skip, expected } = this.#look(output, begin, partial);
      this.#receive(body, skip, expected, (output.ContentLength ?? 0) - skip - expected);
    } catch (error) {
      discard(body);
      throw error;
    }
  }

  /**
   * Is an answer what was asked for?
   * @returns bytes before those that are wanted, and how many are
   * @throws FalseAnswer when it is not; file-read when it is of another version
   */
  #look(
    output: {
      readonly ETag?: string | undefined;
      readonly ContentLength?: number | undefined;
      readonly ContentRange?: string | undefined;
    },
    begin: number,
    partial: boolean,
  ): { skip: number; expected: number } {
    const { ETag, ContentLength, ContentRange } = output;
    if (ContentLength === undefined) throw new FalseAnswer('the answer to a read does not say how long it is');
    if (!ETag) throw new FalseAnswer('the answer to a read has no ETag');
    if (this.tag !== undefined && ETag !== this.tag) throw changed(this.#key);
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange ?? '');
    const [first, last, size] = (range ?? []).slice(1).map(Number);
    if (first === undefined || last === undefined || size === undefined) {
      this.tag = ETag;
      this.fileSize = ContentLength;
      // a server that knows no ranges sends all
      const end = Math.min(this.#end ?? ContentLength, ContentLength);
      return { skip: Math.min(begin, ContentLength), expected: partial ? Math.max(0, end - begin) : ContentLength };
    }
    if (first !== begin || last + 1 !== Math.min(this.#end ?? size, size) || ContentLength !== last + 1 - first)
      throw new FalseAnswer('the answer to a read is another range than was asked for');
    this.tag = ETag;
    this.fileSize = size;
    return { skip: 0, expected: ContentLength };
  }

  /** @param surplus bytes after those that are wanted */
  #receive(body: IncomingMessage, skip: number, expected: number, surplus: number): void {
    let toSkip = skip;
    let missing = expected;
    this.#body = body;
    if (expected === 0) {
      this.#over = true;
      this.#drop();
      this.#wake();
      return;
    }
    body.on('data', (data: Buffer) => {
      if (this.#body !== body) return;
      let chunk = data;
      if (toSkip > 0) {
        const skipped = Math.min(toSkip, chunk.length);
        toSkip -= skipped;
        chunk = chunk.subarray(skipped);
      }
      if (chunk.length > missing) chunk = chunk.subarray(0, missing);
      if (chunk.length === 0) return;
      missing -= chunk.length;
      this.#at += chunk.length;
      this.#access.counters.received(chunk.length);
      this.#backlog.push(chunk);
      this.#attempt = 1;
      this.#progressAt = Date.now();
      if (missing === 0) {
        this.#over = true;
        if (surplus > 0) this.#drop();
        // comes to its end by itself, and its connection is free for the next
        this.#body = undefined;
      } else if (!this.#bounded && this.#backlog.isFull) body.pause();
      this.#wake();
    });
    const broken = (error: Error) => {
      if (this.#body !== body || this.#over) return;
      // it was we who did not read on
      if (body.isPaused()) this.#progressAt = Date.now();
      this.#body = undefined;
      this.#resume(error);
    };
    body.on('error', broken);
    body.on('close', () => broken(Object.assign(new Error('aborted'), { code: 'ECONNRESET' })));
    body.on('end', () => broken(Object.assign(new Error('aborted'), { code: 'ECONNRESET' })));
  }

  /** Asks for what is still missing of the same version. */
  #resume(cause: unknown): void {
    const again = async () => {
      await this.#waitToRetry(cause);
      await this.open();
    };
    this.#follow(again());
  }

  async #waitToRetry(cause: unknown): Promise<void> {
    const { signal } = this.#closing;
    await this.#access.waitToRetry(cause, this.#key, this.#attempt++, this.#progressAt, signal);
  }

  #follow(work: Promise<void>): void {
    work.then(
      () => this.#wake(),
      (error: unknown) => {
        if (!this.#over) this.#failure = error;
        this.#wake();
      },
    );
  }
}

/** Reads no more of an answer: one that is not read to its end cannot share its connection with the next. */
function discard(body: IncomingMessage): void {
  body.on('error', () => undefined);
  if (body.complete) body.resume();
  else body.destroy();
}

/** The text that every driver has. */
export function missingFile(path: string, cause?: unknown): BackstopError {
  return new BackstopError('file-missing', `unable to open missing file '${path}' for read`, { cause });
}

function changed(key: string): BackstopError {
  return new BackstopError('file-read', `'${key}' was replaced while it was read`, {
    hint: 'is another process writing to this repository?',
  });
}

/** What the answers of a thread may take. */
export interface DownloadMemory {
  readonly backlogs: Backlogs;
  /** Bytes of the ranges after the first one of each file. */
  readonly ahead: ByteBudget;
}

/** A file being read. */
export class Download implements ByteSource {
  readonly #access: S3Access;
  readonly #key: string;
  readonly #options: DownloadOptions;
  readonly #memory: DownloadMemory;
  readonly #ranges: Range[] = [];
  /** Bytes of the budget that each range after the first holds. */
  readonly #held = new Map<Range, number>();
  /** When the first bytes were given. */
  #begun = 0;
  #waited = 0;
  #given = 0;
  #judged = false;
  /** Where the next range begins; undefined while one request is enough. */
  #next: number | undefined;
  #end: number | undefined;

  private constructor(access: S3Access, key: string, memory: DownloadMemory, options: DownloadOptions) {
    this.#access = access;
    this.#key = key;
    this.#memory = memory;
    this.#options = options;
  }

  /** Asks for the file. @throws file-missing with the text that every driver has */
  static async open(
    access: S3Access,
    key: string,
    path: string,
    memory: DownloadMemory,
    options: DownloadOptions,
  ): Promise<Download> {
    const download = new Download(access, key, memory, options);
    const range = new Range(access, key, options, new Backlog(memory.backlogs), false);
    try {
      await range.open();
    } catch (error) {
      if (!isKind(error, 'file-missing')) throw error;
      throw missingFile(path, error);
    }
    download.#ranges.push(range);
    return download;
  }

  async read(into: Uint8Array): Promise<number> {
    for (;;) {
      const [range] = this.#ranges;
      if (range === undefined) return 0;
      const count = range.take(into);
      if (count === undefined) {
        const from = Date.now();
        await range.wait();
        this.#waited += Date.now() - from;
      } else if (count > 0 || into.length === 0) {
        if (this.#given === 0) {
          this.#begun = Date.now();
          this.#waited = 0;
        }
        this.#given += count;
        this.#judge(range);
        return count;
      } else {
        this.#ranges.shift();
        this.#release(range);
        this.#fill(range);
      }
    }
  }

  close(): void {
    for (const range of this.#ranges.splice(0)) {
      range.close();
      this.#release(range);
    }
    this.#next = undefined;
  }

  /** Is one answer too slow for the reader? Then the rest comes in several. */
  #judge(range: Range): void {
    if (this.#judged || this.#given < trialSize) return;
    this.#judged = true;
    const { offset = 0, length } = this.#options;
    const fileEnd = range.fileSize ?? 0;
    const end = length === undefined ? fileEnd : Math.min(fileEnd, offset + length);
    const took = Math.max(1, Date.now() - this.#begun);
    const slow = this.#waited > took / 2 && (this.#given / took) * 1000 < quickEnough;
    if (!slow || end - range.position < 2 * rangeSize) return;
    range.cut();
    this.#next = range.position;
    this.#end = end;
    this.#ask(range.tag, true);
  }

  /** After a range: the next ones, if there are any. */
  #fill(last: Range): void {
    if (this.#next === undefined || this.#end === undefined) return;
    this.#ask(last.tag, this.#ranges.length === 0);
  }

  /** @param must one is asked for, whatever the budget says: who reads must get on */
  #ask(tag: string | undefined, must: boolean): void {
    let needed = must;
    while (this.#next !== undefined && this.#end !== undefined && this.#next < this.#end) {
      if (this.#ranges.length >= rangeLimit) return;
      const length = Math.min(rangeSize, this.#end - this.#next);
      const held = this.#memory.ahead.tryTake(length);
      if (!held && !needed) return;
      needed = false;
      const { versionId } = this.#options;
      const range = new Range(
        this.#access,
        this.#key,
        { offset: this.#next, length, tag, ...(versionId === undefined ? {} : { versionId }) },
        new Backlog(this.#memory.backlogs),
        true,
      );
      if (held) this.#held.set(range, length);
      range.start();
      this.#ranges.push(range);
      this.#next += length;
    }
  }

  #release(range: Range): void {
    const held = this.#held.get(range);
    if (held === undefined) return;
    this.#held.delete(range);
    this.#memory.ahead.give(held);
  }
}
