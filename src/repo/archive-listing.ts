/** What lies in the archive of one cluster: every directory is listed once, and only when somebody asks for it. */
import type { Storage } from '../storage/storage.ts';
import { begun } from './object-store.ts';

const walDirectory = /^[0-9A-F]{16}$/;

export class ArchiveListing {
  readonly #storage: Storage;
  readonly #path: string;
  readonly #lists = new Map<string, Promise<string[]>>();
  #directories: Promise<string[]> | undefined;

  /** @param path of the archive id in the repository */
  constructor(storage: Storage, path: string) {
    this.#storage = storage;
    this.#path = path;
  }

  /** Names of the directories with segments, the first 16 digits of theirs, in order. */
  directories(): Promise<string[]> {
    this.#directories ??= begun(this.#listDirectories());
    return this.#directories;
  }

  /** Names of the files in a directory, in no order; none when there is no such directory. */
  files(directory: string): Promise<string[]> {
    const known = this.#lists.get(directory) ?? begun(this.#storage.names(`${this.#path}/${directory}`));
    this.#lists.set(directory, known);
    return known;
  }

  async #listDirectories(): Promise<string[]> {
    return (await this.#storage.names(this.#path)).filter(name => walDirectory.test(name)).sort();
  }
}
