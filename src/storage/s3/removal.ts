/** Removes objects, a thousand with one request where the service can do that, several requests at once. */
import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import { isKind } from '../../base/error.ts';
import { FalseAnswer, type S3Access } from './client.ts';
import { listPages } from './listing.ts';

/** Most keys that one request may name. */
const batchSize = 1000;
const batchesAtOnce = 4;
const singlesAtOnce = 16;

export class Removal {
  readonly #access: S3Access;
  /** False once the service has refused to remove many at once, as Google's does. */
  #batches = true;

  constructor(access: S3Access) {
    this.#access = access;
  }

  /** Already gone is success. */
  async one(key: string): Promise<void> {
    try {
      await this.#access.send('delete', key, this.#access.sdk.DeleteObjectCommand, { Key: key });
    } catch (error) {
      if (!isKind(error, 'file-missing')) throw error;
    }
  }

  /** All objects below a prefix. */
  async tree(prefix: string): Promise<void> {
    const limit = pLimit(batchesAtOnce);
    const running: Promise<void>[] = [];
    for await (const { objects } of listPages(this.#access, prefix, true)) {
      const keys = objects.map(({ key }) => key);
      running.push(limit(() => this.#many(keys)));
      // no more pages in memory than are worked on
      if (running.length >= 2 * batchesAtOnce) await running.shift();
    }
    await Promise.all(running);
  }

  async #many(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += batchSize) {
      const batch = keys.slice(at, at + batchSize);
      const left = this.#batches && batch.length > 1 ? await this.#batch(batch) : batch;
      const limit = pLimit(singlesAtOnce);
      await Promise.all(left.map(key => limit(() => this.one(key))));
    }
  }

  /** @returns the keys that are still to be removed, one by one: their own error then tells why */
  async #batch(keys: readonly string[]): Promise<readonly string[]> {
    const { sdk } = this.#access;
    try {
      const { Deleted = [] } = await this.#access.send(
        'delete',
        keys[0] ?? '',
        sdk.DeleteObjectsCommand,
        { Delete: { Objects: keys.map(Key => ({ Key })) } },
        ({ Deleted = [], Errors = [] }) => {
          // an answer that says nothing of a key is none
          if (Deleted.length + Errors.length < keys.length)
            throw new FalseAnswer('the answer to a removal is not complete');
        },
      );
      const gone = new Set(Deleted.map(({ Key }) => Key));
      return keys.filter(key => !gone.has(key));
    } catch (error) {
      if (!isKind(error, 'protocol', 'file-missing')) throw error;
      this.#batches = false;
      return keys;
    }
  }
}

export const contentMd5 = (body: string | Uint8Array): string => createHash('md5').update(body).digest('base64');
