/**
 * A file on its way to the service: one request when it is small, else an upload in parts, several at once. Nothing is
 * seen of it before the last request is answered.
 */
import { createHash } from 'node:crypto';
import { isKind } from '../../base/error.ts';
import type { ByteSink, WriteOptions } from '../storage.ts';
import type { ByteBudget } from './budget.ts';
import { customerKey, type S3Access } from './client.ts';
import type { PartBuffers } from './part-buffers.ts';
import { FalseAnswer } from './retry.ts';

const mebibyte = 1024 * 1024;

/** Largest file that is sent by one request when the user has not set the size of a part: a WAL segment fits. */
const wholeSize = 16 * mebibyte;
/** A larger file will hardly be compressed to fit: its first part need not wait. */
const hopelessSize = 2 * wholeSize;
/** Bytes of a part: what is under way, and what is filled meanwhile, are a few of them for each worker. */
const partSize = 8 * mebibyte;
/** The service takes no more parts than this. */
const partLimit = 10_000;

/** Milliseconds to try for to drop the parts of what failed: who waits wants to know of the failure. */
const abortPatience = 5_000;

/** How a file is cut. */
export interface PartPlan {
  /** Up to this many bytes go as one request. */
  readonly whole: number;
  /** @param number from 1 @returns bytes of that part: the same for all, unless there would be too many */
  sizeOf(number: number): number;
}

/**
 * @param chunkSize as the user wants it
 * @param sizeHint bytes that the file will have, if it is known
 */
export function planParts(chunkSize: number | undefined, sizeHint: number | undefined): PartPlan {
  // 9,000: what is hinted may be less than what comes
  const needed = Math.ceil((sizeHint ?? 0) / (partLimit * 0.9) / mebibyte) * mebibyte;
  const first = Math.max(chunkSize ?? partSize, needed);
  return {
    whole: chunkSize ?? ((sizeHint ?? 0) > hopelessSize ? first : Math.max(wholeSize, first)),
    // doubles after each nine hundred: 10,000 parts then hold more than the service's largest file
    sizeOf: number => Math.min(first * 2 ** Math.floor((number - 1) / 900), 4096 * mebibyte),
  };
}

interface UploadedPart {
  readonly PartNumber: number;
  readonly ETag: string;
}

export class UploadSink implements ByteSink {
  readonly #access: S3Access;
  readonly #key: string;
  readonly #plan: PartPlan;
  readonly #budget: ByteBudget;
  readonly #permanent: boolean;
  /** Bytes that are not sent yet. */
  #pending: Buffer;
  #filled = 0;
  #uploadId: Promise<string> | undefined;
  #parts: UploadedPart[] = [];
  #nextPart = 1;
  /** Bytes in parts. */
  #sent = 0;
  readonly #buffers: PartBuffers;
  readonly #underWay = new Set<Promise<void>>();
  /** Chunks that wait for room. */
  #writing: Promise<void> | undefined;
  #failed: unknown;
  readonly #abort = new AbortController();

  constructor(access: S3Access, key: string, budget: ByteBudget, buffers: PartBuffers, options: WriteOptions) {
    this.#buffers = buffers;
    this.#access = access;
    this.#key = key;
    this.#budget = budget;
    this.#permanent = options.permanent ?? false;
    this.#plan = planParts(access.settings.chunkSize, options.sizeHint);
    this.#pending = Buffer.allocUnsafe(Math.min(Math.max(options.sizeHint ?? 0, 16_384), this.#plan.whole));
  }

  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#writing === undefined && this.#filled + chunk.length <= this.#limit) {
      this.#append(chunk);
      return;
    }
    // taken at once, as the buffer is the caller's again when this returns
    const taken = Buffer.from(chunk);
    // a pipeline gives several chunks before anybody can wait: they come after each other
    const writing: Promise<void> = (this.#writing ?? Promise.resolve())
      .then(() => this.#writeLarge(taken))
      .finally(() => {
        if (this.#writing === writing) this.#writing = undefined;
      });
    writing.catch((error: unknown) => {
      this.#failed ??= error; // commit() tells it to who did not wait
    });
    this.#writing = writing;
    return writing;
  }

  async commit(): Promise<void> {
    await this.#writing;
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#uploadId === undefined) {
      await this.#putWhole();
      return;
    }
    // a whole file's worth may be pending that is two parts
    while (this.#filled > 0) await this.#sendPart();
    while (this.#underWay.size > 0) await Promise.race(this.#underWay);
    if (this.#failed !== undefined) throw this.#failed;
    await this.#complete(await this.#uploadId);
  }

  async abort(): Promise<void> {
    this.#failed ??= new Error('the upload was aborted');
    this.#abort.abort(this.#failed);
    await Promise.allSettled([...this.#underWay, this.#writing]);
    await Promise.allSettled(this.#underWay);
    if (this.#uploadId === undefined) return;
    try {
      const UploadId = await this.#uploadId;
      await this.#access.send(
        'abort-upload',
        this.#key,
        'AbortMultipartUpload',
        { Key: this.#key, UploadId },
        undefined,
        { patience: abortPatience },
      );
    } catch {
      // abort() follows another failure, which is the one to be told; the service drops such parts by its own rules
    }
  }

  /** Bytes that may be pending: a whole file, until it is known that it is more than that. */
  get #limit(): number {
    return this.#uploadId === undefined ? this.#plan.whole : this.#plan.sizeOf(this.#nextPart);
  }

  #append(chunk: Uint8Array): void {
    const needed = this.#filled + chunk.length;
    if (needed > this.#pending.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.#limit, Math.max(needed, this.#pending.length * 2)));
      this.#pending.copy(grown, 0, 0, this.#filled);
      this.#pending = grown;
    }
    this.#pending.set(chunk, this.#filled);
    this.#filled = needed;
  }

  async #writeLarge(chunk: Buffer): Promise<void> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#failed !== undefined) throw this.#failed;
      const taken = Math.min(chunk.length - at, Math.max(0, this.#limit - this.#filled));
      if (taken > 0) this.#append(chunk.subarray(at, at + taken));
      at += taken;
      if (at < chunk.length) await this.#sendPart();
    }
  }

  async #putWhole(): Promise<void> {
    const { settings } = this.#access;
    const body = this.#pending.subarray(0, this.#filled);
    await this.#budget.take(body.length);
    try {
      await withChecksum(this.#access, body, checksum =>
        this.#access.send(
          'put',
          this.#key,
          'PutObject',
          {
            Key: this.#key,
            Body: body,
            ...checksum,
            ...creation(this.#access, this.#permanent),
            ...customerKey(settings),
          },
          checkTag,
          { bodySize: body.length, signal: this.#abort.signal },
        ),
      );
    } finally {
      this.#budget.give(body.length);
    }
  }

  /** Sends the first part of what is pending; waits until there is room for it, not until it is there. */
  async #sendPart(): Promise<void> {
    const number = this.#nextPart;
    const size = Math.min(this.#plan.sizeOf(number), this.#filled);
    await this.#budget.take(size);
    if (this.#failed !== undefined) {
      this.#budget.give(size);
      throw this.#failed;
    }
    this.#nextPart++;
    this.#sent += size;
    this.#uploadId ??= this.#begin();
    const body = this.#pending.subarray(0, size);
    const rest = this.#pending.subarray(size, this.#filled);
    // what is sent keeps its buffer; the rest, if any, moves to another one
    const sent = this.#pending;
    this.#pending = this.#buffers.take(Math.max(rest.length, this.#limit));
    rest.copy(this.#pending);
    this.#filled = rest.length;
    const sending: Promise<void> = this.#upload(number, body)
      .then(() => {
        // answered: nobody reads it any more. After a failure a socket may still hold it.
        this.#buffers.give(sent);
      })
      .catch((error: unknown) => {
        this.#failed ??= error;
        this.#abort.abort(error);
      })
      .finally(() => {
        this.#budget.give(size);
        this.#underWay.delete(sending);
      });
    this.#underWay.add(sending);
  }

  async #begin(): Promise<string> {
    const { settings } = this.#access;
    const output = await this.#access.send(
      'create-upload',
      this.#key,
      'CreateMultipartUpload',
      { Key: this.#key, ...creation(this.#access, this.#permanent), ...customerKey(settings) },
      answer => {
        if (!answer.UploadId) throw new FalseAnswer('the answer to a new upload has no id');
      },
      // not ended by abort(), which needs the id
    );
    return output.UploadId ?? '';
  }

  async #upload(PartNumber: number, body: Buffer): Promise<void> {
    const { settings } = this.#access;
    const UploadId = await this.#uploadId;
    const { ETag = '' } = await withChecksum(this.#access, body, checksum =>
      this.#access.send(
        'upload-part',
        this.#key,
        'UploadPart',
        { Key: this.#key, UploadId, PartNumber, Body: body, ...checksum, ...customerKey(settings) },
        checkTag,
        { bodySize: body.length, signal: this.#abort.signal },
      ),
    );
    this.#parts.push({ PartNumber, ETag });
  }

  async #complete(UploadId: string): Promise<void> {
    const Parts = this.#parts.sort((a, b) => a.PartNumber - b.PartNumber);
    try {
      await this.#access.send(
        'complete-upload',
        this.#key,
        'CompleteMultipartUpload',
        { Key: this.#key, UploadId, MultipartUpload: { Parts }, ...customerKey(this.#access.settings) },
        // also with status 200, the answer may be an error or nothing; Ceph's has an ETag without content
        ({ ETag }) => checkTag({ ETag: ETag === '' ? 'unknown' : ETag }),
        { signal: this.#abort.signal },
      );
    } catch (error) {
      // an earlier try may have made the file, and its answer have been lost: then the upload is gone
      if (!isKind(error, 'protocol') || this.#abort.signal.aborted || !(await this.#isComplete(Parts))) throw error;
    }
  }

  /** Is what is there made of these very parts? */
  async #isComplete(parts: readonly UploadedPart[]): Promise<boolean> {
    const digests = parts.map(({ ETag }) => /^"?([0-9a-f]{32})"?$/.exec(ETag)?.[1]);
    if (digests.includes(undefined)) return false;
    let found: { readonly ETag?: string | undefined; readonly ContentLength?: number | undefined };
    try {
      found = await this.#access.send(
        'head',
        this.#key,
        'HeadObject',
        { Key: this.#key, ...customerKey(this.#access.settings) },
        undefined,
        { patience: abortPatience },
      );
    } catch {
      return false; // not there, or not to be known: the failure before is what counts
    }
    const { ETag, ContentLength } = found;
    if (ContentLength !== this.#sent) return false;
    const digest = createHash('md5')
      .update(Buffer.from(digests.join(''), 'hex'))
      .digest('hex');
    return ETag?.replaceAll('"', '') === `${digest}-${parts.length}`;
  }
}

function checkTag({ ETag }: { readonly ETag?: string | undefined }): void {
  if (!ETag) throw new FalseAnswer('the answer to a write has no ETag');
}

/** What an object gets when it is made. */
function creation({ settings }: S3Access, permanent: boolean): object {
  const { kmsKeyId, lock } = settings;
  const tags = Object.entries(settings.tags);
  return {
    ...(kmsKeyId === undefined ? {} : { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: kmsKeyId }),
    ...(tags.length === 0 ? {} : { Tagging: tags.map(pair => pair.map(encodeURIComponent).join('=')).join('&') }),
    ...(lock === undefined || !permanent
      ? {}
      : {
          ObjectLockMode: lock.mode,
          ObjectLockRetainUntilDate: new Date(Date.now() + lock.days * 86_400_000),
        }),
  };
}

const md5Of = (body: Buffer): object => ({ ContentMD5: createHash('md5').update(body).digest('base64') });

/**
 * Sends content, with its MD5 where the service wants one: Amazon does for what is locked, be it by us or because the bucket
 * locks all that comes. All else is covered by the signature.
 */
async function withChecksum<T>(access: S3Access, body: Buffer, send: (checksum: object) => Promise<T>): Promise<T> {
  if (access.wantsMd5) return await send(md5Of(body));
  try {
    return await send({});
  } catch (error) {
    if (!isKind(error, 'protocol') || !/\bInvalidRequest: .*Content-MD5/s.test(error.message)) throw error;
    access.wantsMd5 = true;
    return await send(md5Of(body));
  }
}
