/**
 * A file on its way to the service: one request when it is small, else an upload in parts, several at once. Nothing is
 * seen of it before the last request is answered.
 */
import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import { isKind } from '../../base/error.ts';
import type { ByteSink, WriteOptions } from '../storage.ts';
import { customerKey, type S3Access } from './client.ts';
import { digestOf, type RequestContent } from './request-content.ts';
import { FalseAnswer } from './retry.ts';
import type { UploadMemory } from './upload-memory.ts';

const mebibyte = 1024 * 1024;

/** Largest file that is sent by one request when the user has not set the size of a part: a WAL segment fits. */
const wholeSize = 16 * mebibyte;
/** A larger file will hardly be compressed to fit: its first part need not wait. */
const hopelessSize = 2 * wholeSize;
/** Bytes of a part, the least that services take: what is under way, and what is filled meanwhile, are a few of them. */
const partSize = 5 * mebibyte;
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

/** Requests for the parts of one file that are under way. Who writes without waiting, as a manifest is, may have many parts. */
const partsAtOnce = 4;

interface UploadedPart {
  readonly PartNumber: number;
  readonly ETag: string;
}

/** Bytes that will be a part, or all of a small file: in pieces that are full, but for the last one. */
class Gathered {
  readonly slabs: Buffer[] = [];
  size = 0;
  #room = 0;

  /** @returns how many bytes of the chunk there was room for */
  append(chunk: Uint8Array): number {
    const slab = this.slabs.at(-1);
    if (slab === undefined || this.#room === 0) return 0;
    const count = Math.min(chunk.length, this.#room);
    slab.set(count === chunk.length ? chunk : chunk.subarray(0, count), slab.length - this.#room);
    this.#room -= count;
    this.size += count;
    return count;
  }

  add(slab: Buffer): void {
    this.slabs.push(slab);
    this.#room = slab.length;
  }

  pieces(): Buffer[] {
    return this.slabs.map((slab, index) =>
      index === this.slabs.length - 1 ? slab.subarray(0, slab.length - this.#room) : slab,
    );
  }
}

export class UploadSink implements ByteSink {
  readonly #access: S3Access;
  readonly #key: string;
  readonly #plan: PartPlan;
  readonly #memory: UploadMemory;
  readonly #permanent: boolean;
  /** Not to be sent as one request, unless there is memory for that. */
  readonly #isLarge: boolean;
  /** What is not sent yet, part by part. */
  #pending: Gathered[] = [];
  #pendingSize = 0;
  #uploadId: Promise<string> | undefined;
  #parts: UploadedPart[] = [];
  /** Number of the first part that is pending. */
  #nextPart = 1;
  /** Bytes in parts. */
  #sent = 0;
  /** All bytes have come. */
  #isGathered = false;
  readonly #underWay = new Set<Promise<void>>();
  readonly #requests = pLimit(partsAtOnce);
  #failed: unknown;
  readonly #abort = new AbortController();

  constructor(access: S3Access, key: string, memory: UploadMemory, options: WriteOptions) {
    this.#access = access;
    this.#key = key;
    this.#memory = memory;
    this.#permanent = options.permanent ?? false;
    this.#plan = planParts(access.settings.chunkSize, options.sizeHint);
    this.#isLarge = (options.sizeHint ?? Number.POSITIVE_INFINITY) > wholeSize;
    memory.begin();
  }

  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    this.#gather(chunk);
    if (!this.#memory.isShort) return;
    // what is full is sent sooner than it need be: when it is answered, there is memory again
    if (this.#isLarge || this.#memory.isShared) this.#sendFull();
    return this.#memory.enough();
  }

  async commit(): Promise<void> {
    this.#endGathering();
    if (this.#failed !== undefined) {
      this.#forget();
      throw this.#failed;
    }
    if (this.#uploadId === undefined) {
      await this.#putWhole();
      return;
    }
    while (this.#pending.length > 0) this.#sendPart();
    while (this.#underWay.size > 0) await Promise.race(this.#underWay);
    if (this.#failed !== undefined) throw this.#failed;
    await this.#complete(await this.#uploadId);
  }

  async abort(): Promise<void> {
    this.#endGathering();
    this.#failed ??= new Error('the upload was aborted');
    this.#abort.abort(this.#failed);
    this.#forget();
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

  /** Gives back what is not sent yet. */
  #forget(): void {
    for (const { slabs } of this.#pending.splice(0)) this.#memory.give(slabs);
  }

  /** Once: a file whose commit fails is aborted, too. */
  #endGathering(): void {
    if (!this.#isGathered) this.#memory.end();
    this.#isGathered = true;
  }

  /** Takes the bytes, and sends the parts that they fill. */
  #gather(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const part = this.#fillable();
      const left = this.#plan.sizeOf(this.#nextPart + this.#pending.length - 1) - part.size;
      const count = part.append(chunk.subarray(at, at + left));
      at += count;
      this.#pendingSize += count;
      if (count === 0) part.add(this.#memory.take());
    }
    if (this.#uploadId !== undefined || this.#pendingSize > this.#plan.whole) this.#sendFull();
  }

  /** The part that the next byte belongs to. */
  #fillable(): Gathered {
    const last = this.#pending.at(-1);
    if (last !== undefined && last.size < this.#plan.sizeOf(this.#nextPart + this.#pending.length - 1)) return last;
    const next = new Gathered();
    this.#pending.push(next);
    return next;
  }

  #sendFull(): void {
    while ((this.#pending[0]?.size ?? 0) === this.#plan.sizeOf(this.#nextPart)) this.#sendPart();
  }

  async #putWhole(): Promise<void> {
    const { settings } = this.#access;
    const parts = this.#pending.splice(0);
    const slabs = parts.flatMap(part => part.slabs);
    const body: RequestContent = { pieces: parts.flatMap(part => part.pieces()), length: this.#pendingSize };
    let isIdle = false;
    this.#memory.send(slabs);
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
      isIdle = true;
    } finally {
      this.#memory.sent(slabs, isIdle);
    }
  }

  /** Begins to send the first part of what is pending. */
  #sendPart(): void {
    const part = this.#pending.shift();
    if (part === undefined) return;
    const { slabs, size } = part;
    const number = this.#nextPart++;
    this.#pendingSize -= size;
    this.#sent += size;
    this.#uploadId ??= this.#begin();
    this.#memory.send(slabs);
    let isIdle = false;
    const sending: Promise<void> = this.#requests(() => this.#upload(number, { pieces: part.pieces(), length: size }))
      .then(() => {
        // answered: nobody reads it any more. After a failure a socket may still hold it.
        isIdle = true;
      })
      .catch((error: unknown) => {
        this.#failed ??= error;
        this.#abort.abort(error);
      })
      .finally(() => {
        this.#memory.sent(slabs, isIdle);
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

  async #upload(PartNumber: number, body: RequestContent): Promise<void> {
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

const md5Of = (body: RequestContent): object => ({ ContentMD5: digestOf('md5', body).toString('base64') });

/**
 * Sends content, with its MD5 where the service wants one: Amazon does for what is locked, be it by us or because the bucket
 * locks all that comes. All else is covered by the signature.
 */
async function withChecksum<T>(
  access: S3Access,
  body: RequestContent,
  send: (checksum: object) => Promise<T>,
): Promise<T> {
  if (access.wantsMd5) return await send(md5Of(body));
  try {
    return await send({});
  } catch (error) {
    if (!isKind(error, 'protocol') || !/\bInvalidRequest: .*Content-MD5/s.test(error.message)) throw error;
    access.wantsMd5 = true;
    return await send(md5Of(body));
  }
}
