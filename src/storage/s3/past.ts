/** A bucket that keeps versions, as it was at an earlier time. */
import pLimit from 'p-limit';
import { compareBytes } from '../../base/json.ts';
import type { S3Access } from './client.ts';
import { type ListedObject, type ListedPage, listPagesAt } from './listing.ts';

/** Most files whose version is remembered: some 25 MB in a thread. */
const memoryLimit = 50_000;
/** Folders that are looked into at once. */
const looksAtOnce = 16;

export class Past {
  readonly #access: S3Access;
  readonly #time: number;
  /** What lists have shown. What was there at that time does not change. */
  readonly #known = new Map<string, ListedObject>();

  /** @param time milliseconds since the epoch */
  constructor(access: S3Access, time: number) {
    this.#access = access;
    this.#time = time;
  }

  /** As listPages(): a folder is listed when something was in it then. */
  async *pages(prefix: string, deep: boolean): AsyncGenerator<ListedPage> {
    const limit = pLimit(looksAtOnce);
    for await (const { objects, folders } of listPagesAt(this.#access, prefix, deep, this.#time)) {
      this.#remember(objects);
      const had = await limit.map(folders, folder => this.#hadAny(folder));
      yield { objects, folders: folders.filter((_, index) => had[index]) };
    }
  }

  /**
   * The version of a file at that time. Who reads one file often reads its neighbours too, so that the versions of a thousand
   * come with one list; once no more can be remembered, of this file alone.
   */
  async find(key: string): Promise<ListedObject | undefined> {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const ahead = this.#known.size < memoryLimit;
    // a little shorter comes a little before
    const pages = ahead
      ? listPagesAt(this.#access, key.slice(0, key.lastIndexOf('/') + 1), true, this.#time, shorter(key))
      : listPagesAt(this.#access, key, true, this.#time);
    for await (const { objects, reached } of pages) {
      this.#remember(objects);
      const found = objects.find(object => object.key === key);
      if (found !== undefined) return found;
      if (reached !== undefined && compareBytes(reached, key) > 0) return undefined;
    }
    return undefined;
  }

  async #hadAny(folder: string): Promise<boolean> {
    for await (const { objects } of listPagesAt(this.#access, folder, true, this.#time)) {
      this.#remember(objects);
      if (objects.length > 0) return true;
    }
    return false;
  }

  #remember(objects: readonly ListedObject[]): void {
    for (const object of objects) if (this.#known.size < memoryLimit) this.#known.set(object.key, object);
  }
}

const shorter = (key: string): string => Array.from(key).slice(0, -1).join('');
