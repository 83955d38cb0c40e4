/** Removes objects, a thousand with one request where the service can do that, several requests at once. */
import pLimit from 'p-limit';
import { type BackstopError, isBackstopError, isKind } from '../../base/error.ts';
import { type KeptVersions, LockedError } from '../kept-files.ts';
import { customerKey, type S3Access } from './client.ts';
import { listPages } from './listing.ts';
import { mayPass, type ServiceFailure, statusOf } from './retry.ts';

/** Most keys that one request may name. */
const batchSize = 1000;
const batchesAtOnce = 4;
const singlesAtOnce = 16;
/** How often those of a batch that the service did not get done are asked for again together. */
const batchTries = 3;

export class Removal {
  readonly #access: S3Access;
  /** False once the service has refused to remove many at once, as Google's does. */
  #batches = true;
  #kept: KeptVersions = { files: 0, locked: 0, lockedUntil: 0 };

  constructor(access: S3Access) {
    this.#access = access;
  }

  /** What the bucket keeps as versions of all that was removed. */
  get kept(): KeptVersions {
    return this.#kept;
  }

  /** Already gone is success. @throws LockedError */
  async one(key: string): Promise<void> {
    if (this.#access.settings.lock === undefined) return await this.#one({ key });
    // only a look tells how long it is locked, and what is not there would get a mark that it was removed
    const found = await this.#look(key);
    if (found !== undefined) await this.#one(found);
  }

  /**
   * All objects below a prefix. After a failure nothing more is begun, and what is under way is waited for.
   * @throws LockedError when all but what is locked is gone
   */
  async tree(prefix: string): Promise<void> {
    const limit = pLimit(batchesAtOnce);
    const running = new Set<Promise<void>>();
    const outcome: Outcome = { locked: [], failures: [] };
    const { locked, failures } = outcome;
    try {
      for await (const { objects } of listPages(this.#access, prefix, true)) {
        const work: Promise<void> = limit(() => this.#many(objects, outcome))
          .catch((error: unknown) => void failures.push(error))
          .finally(() => running.delete(work));
        running.add(work);
        // no more pages in memory than are worked on
        if (running.size >= 2 * batchesAtOnce) await Promise.race(running);
        if (failures.length > 0) break;
      }
    } catch (error) {
      failures.push(error);
    }
    await Promise.all(running);
    if (failures.length > 0) throw failures[0];
    if (locked.length === 0) return;
    const times = locked.flatMap(({ until }) => until ?? []);
    throw new LockedError(
      prefix,
      locked.length,
      times.length < locked.length ? undefined : Math.max(...times),
      locked[0],
    );
  }

  async #many(objects: readonly Removed[], { locked, failures }: Outcome): Promise<void> {
    for (let at = 0; at < objects.length && failures.length === 0; at += batchSize) {
      const batch = objects.slice(at, at + batchSize);
      const left = this.#batches && batch.length > 1 ? await this.#batch(batch) : batch;
      const limit = pLimit(singlesAtOnce);
      await limit.map(left, async object => {
        try {
          if (failures.length === 0) await this.#one(object);
        } catch (error) {
          if (error instanceof LockedError) locked.push(error);
          else failures.push(error);
        }
      });
    }
  }

  async #one(object: Removed): Promise<void> {
    const { key } = object;
    try {
      const { DeleteMarker } = await this.#access.send('delete', key, 'DeleteObject', {
        Key: key,
      });
      if (DeleteMarker) this.#keep(object);
    } catch (error) {
      if (isKind(error, 'file-missing')) return;
      // Amazon says so where it is the user who may not
      if (!isRefused(error) || /not authorized to perform/i.test(error.message)) throw error;
      // who may not remove anything may perhaps not look at it either: then this is what is told
      const found = await this.#look(key).catch(() => undefined);
      if (found?.held) throw new LockedError(key, 1, undefined, error);
      if (found?.until !== undefined && found.until > Date.now() / 1000)
        throw new LockedError(key, 1, found.until, error);
      throw error;
    }
  }

  /** @returns the keys that are still to be removed, one by one: their own error then tells why */
  async #batch(objects: readonly Removed[]): Promise<readonly Removed[]> {
    let left = objects;
    try {
      for (let attempt = 1; attempt <= batchTries && left.length > 1; attempt++) {
        const { Deleted = [], Errors = [] } = await this.#access.send('delete', left[0]?.key ?? '', 'DeleteObjects', {
          Delete: { Objects: left.map(({ key }) => ({ Key: key })) },
        });
        const gone = new Map(Deleted.map(({ Key, DeleteMarker }) => [Key, DeleteMarker]));
        for (const object of left) if (gone.get(object.key)) this.#keep(object);
        // what the answer does not call removed is not: also when it names no failure, or no key at all
        left = left.filter(({ key }) => !gone.has(key));
        if (Errors.some(({ Code: name = '' }) => !mayPass({ name }))) break;
      }
    } catch (error) {
      if (!isUnable(error)) throw error;
      this.#batches = false;
    }
    return left;
  }

  async #look(key: string): Promise<Removed | undefined> {
    try {
      const { LastModified, ObjectLockRetainUntilDate, ObjectLockLegalHoldStatus } = await this.#access.send(
        'head',
        key,
        'HeadObject',
        { Key: key, ...customerKey(this.#access.settings) },
      );
      return {
        key,
        mtime: seconds(LastModified),
        held: ObjectLockLegalHoldStatus === 'ON',
        until: seconds(ObjectLockRetainUntilDate),
      };
    } catch (error) {
      if (isKind(error, 'file-missing')) return undefined;
      throw error;
    }
  }

  /** Counts what has become a version; a list does not tell locks, but what is older than ours are is not locked. */
  #keep({ mtime, until }: Removed): void {
    const { lock } = this.#access.settings;
    const { files, locked, lockedUntil } = this.#kept;
    const last = until ?? (mtime === undefined || lock === undefined ? 0 : mtime + lock.days * 86_400);
    const isLocked = last > Date.now() / 1000;
    this.#kept = {
      files: files + 1,
      locked: locked + (isLocked ? 1 : 0),
      lockedUntil: isLocked ? Math.max(lockedUntil, last) : lockedUntil,
    };
  }
}

/** An object that is removed, as far as it is known. Times in seconds since the epoch. */
interface Removed {
  readonly key: string;
  readonly mtime?: number;
  /** Locked until then; 0: not at all. */
  readonly until?: number;
  /** By a legal hold, which has no end. */
  readonly held?: boolean;
}

/** What became of the objects below a prefix, beside those that are gone. */
interface Outcome {
  readonly locked: LockedError[];
  /** Each ends the work. */
  readonly failures: unknown[];
}

/** Does the service not remove many at once? It may say so in several ways; not in that it is overloaded or gone. */
function isUnable(error: unknown): boolean {
  const failure = ((error as Error).cause ?? {}) as ServiceFailure;
  return isKind(error, 'protocol', 'file-missing') && statusOf(failure) !== undefined && !mayPass(failure);
}

const seconds = (date: Date | undefined): number => Math.ceil((date?.getTime() ?? 0) / 1000);

const isRefused = (error: unknown): error is BackstopError =>
  isBackstopError(error) && statusOf((error.cause ?? {}) as ServiceFailure) === 403;
