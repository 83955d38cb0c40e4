/** What waits to be pushed, and what is said of it in the spool: the state of a background push. */
import { lstatSync } from 'node:fs';
import { type BackstopError, isBackstopError } from '../../base/error.ts';
import { errorSuffix, okSuffix, readStatus, removeSpoolFile, spoolNames, writeError, writeOk } from '../spool.ts';
import type { HeldFile } from './queue-limit.ts';
import { type ReadySizes, readyFiles, sizesOf, writtenAt } from './ready-files.ts';

export class OutQueue {
  readonly walPath: string;
  readonly #folder: string;
  #ready: readonly string[] = [];
  /** Files with an `.ok` that can be believed. */
  readonly #done = new Set<string>();
  /** Files with an `.error` of ours. */
  readonly #failed = new Map<string, BackstopError>();
  /** Files of which nothing could be written. */
  readonly #unsaid = new Set<string>();
  readonly #busy = new Set<string>();

  /**
   * @param folder `out` of the spool
   * @param walPath pg_wal
   */
  constructor(folder: string, walPath: string) {
    this.#folder = folder;
    this.walPath = walPath;
  }

  /** What PostgreSQL held at the last look, in its order. */
  get ready(): readonly string[] {
    return this.#ready;
  }

  /**
   * Looks at the cluster and the spool: removes what is of the past, and finds what is to be pushed. A file that has failed
   * is to be pushed again when its error is gone: a foreground process has asked for it.
   * @returns names in the order in which PostgreSQL asks for them
   */
  scan(): string[] {
    // the spool first: what is not ready afterwards has been taken note of
    const statuses = spoolNames(this.#folder);
    this.#ready = readyFiles(this.walPath);
    const ready = new Set(this.#ready);
    const [ok, errors] = [new Set<string>(), new Set<string>()];
    for (const status of statuses) {
      if (status.endsWith(okSuffix)) {
        const name = status.slice(0, -okSuffix.length);
        if (ready.has(name) && (this.#done.has(name) || this.#isBelievable(name))) ok.add(name);
        else removeSpoolFile(`${this.#folder}/${status}`);
      } else {
        const name = status.endsWith(errorSuffix) ? status.slice(0, -errorSuffix.length) : status;
        if (ready.has(name) && this.#failed.has(name)) errors.add(name);
        else removeSpoolFile(`${this.#folder}/${status}`);
      }
    }
    this.#done.clear();
    for (const name of ok) this.#done.add(name);
    for (const name of this.#failed.keys()) if (!errors.has(name) && !this.#unsaid.has(name)) this.#failed.delete(name);
    return this.#ready.filter(name => !this.#done.has(name) && !this.#failed.has(name));
  }

  /** A file is being pushed. */
  begin(name: string): void {
    this.#busy.add(name);
  }

  isDone(name: string): boolean {
    return this.#done.has(name);
  }

  /** Why the file could not be pushed in this run. */
  failureOf(name: string): BackstopError | undefined {
    return this.#failed.get(name);
  }

  pathOf(name: string): string {
    return `${this.walPath}/${name}`;
  }

  /**
   * Says that PostgreSQL may let go of the file.
   * @throws file-write
   */
  succeed(name: string, warning?: string): void {
    this.#busy.delete(name);
    this.#failed.delete(name);
    writeOk(this.#folder, name, warning, writtenAt(this.pathOf(name)));
    this.#done.add(name);
  }

  /** @returns what keeps the error from being written where the foreground would find it */
  fail(name: string, error: BackstopError): BackstopError | undefined {
    this.#busy.delete(name);
    this.#failed.set(name, error);
    try {
      writeError(this.#folder, name, error);
      return undefined;
    } catch (unwritten) {
      if (!isBackstopError(unwritten)) throw unwritten;
      this.#unsaid.add(name);
      return unwritten;
    }
  }

  /** All that PostgreSQL holds at this moment, in its order. */
  held(): { readonly files: readonly HeldFile[]; readonly sizes: ReadySizes } {
    const names = readyFiles(this.walPath);
    const sizes = sizesOf(this.walPath, names);
    const files = names.map((name): HeldFile => {
      const state = this.#done.has(name) ? 'done' : this.#busy.has(name) ? 'busy' : 'waiting';
      return { name, size: sizes.of(name), state };
    });
    return { files, sizes };
  }

  /** Of the file that is there now, and not of one of the same name that was there before a restore. */
  #isBelievable(name: string): boolean {
    const status = lstatSync(`${this.#folder}/${name}${okSuffix}`, { throwIfNoEntry: false });
    if (status?.isFile() !== true || status.mtimeMs < (writtenAt(this.pathOf(name)) ?? 0)) return false;
    if (status.size === 0) return true;
    try {
      return readStatus(this.#folder, name)?.kind === 'ok';
    } catch (error) {
      if (!isBackstopError(error)) throw error;
      return false;
    }
  }
}
