/** Writes pieces of a local file wherever they belong: restore of blocks. */
import { constants, fchownSync, fstatSync, fsync, ftruncateSync, futimesSync, openSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { closeFile } from '../../base/close-file.ts';
import { systemError } from '../../base/error.ts';

const fsyncLater = promisify(fsync);

export class RandomWriter {
  readonly #path: string;
  readonly #descriptor: number;

  /** Opens an existing file as it is, or makes it. */
  constructor(path: string, mode: number) {
    this.#path = path;
    try {
      this.#descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, mode);
    } catch (error) {
      throw systemError(error, { other: 'file-open' }, `unable to open file '${path}' for write`);
    }
  }

  get size(): number {
    try {
      return fstatSync(this.#descriptor).size;
    } catch (error) {
      throw systemError(error, { other: 'file-read' }, `unable to get info for path/file '${this.#path}'`);
    }
  }

  write(bytes: Uint8Array, position: number): void {
    let at = 0;
    while (at < bytes.length) {
      try {
        at += writeSync(this.#descriptor, bytes, at, bytes.length - at, position + at);
      } catch (error) {
        throw systemError(error, { other: 'file-write' }, `unable to write '${this.#path}'`);
      }
    }
  }

  truncate(size: number): void {
    try {
      ftruncateSync(this.#descriptor, size);
    } catch (error) {
      throw systemError(error, { other: 'file-write' }, `unable to set the size of '${this.#path}'`);
    }
  }

  /** Sets time and owner, waits for the disk, closes. */
  async commit(mtime: number, owner: { readonly userId: number; readonly groupId: number }): Promise<void> {
    try {
      fchownSync(this.#descriptor, owner.userId, owner.groupId);
      futimesSync(this.#descriptor, mtime, mtime);
      await fsyncLater(this.#descriptor);
    } catch (error) {
      throw systemError(error, { other: 'file-sync' }, `unable to sync file '${this.#path}'`);
    } finally {
      this.close();
    }
  }

  close(): void {
    closeFile(this.#descriptor, this.#path);
  }
}
