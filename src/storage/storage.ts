/**
 * Where bytes live: repositories and clusters. One interface for posix and, later, object stores and remote hosts.
 *
 * Paths are absolute within the storage, with `/` between parts. What a driver cannot do is absent (`links`, `paths`),
 * so that no second flag can disagree with it.
 */

import type { KeptVersions } from './kept-files.ts';

export type FileType = 'file' | 'path' | 'link' | 'special';

export interface FileInfo {
  /** Name within the listed directory, or the last part of the path asked for. */
  readonly name: string;
  readonly type: FileType;
  /** Bytes; 0 for anything but a file. */
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** Permission bits, 0 where the storage has none. */
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  /** Where a link points, as it is written there. */
  readonly destination?: string;
}

export interface ReadOptions {
  /** First byte to read, 0 when absent. */
  readonly offset?: number;
  /** Most bytes to read, up to the end when absent. */
  readonly length?: number;
}

export interface WriteOptions {
  /**
   * Absent or true: nobody sees the file before commit(), and after it the file is durable. False: the file appears
   * under its own name at once (backup files: their checksum protects them), still durable after commit().
   */
  readonly atomic?: boolean;
  readonly mode?: number;
  /** Seconds since the epoch to stamp the file with. */
  readonly mtime?: number;
  readonly owner?: { readonly userId: number; readonly groupId: number };
  /** False: commit() does not wait for the disk; the caller makes the bytes durable in another way. */
  readonly sync?: boolean;
  /** Exact size when known, so that a driver can choose single or multipart upload, or preallocate. */
  readonly sizeHint?: number;
  /** True: the file is not changed once it is there. A storage that is to lock files against removal locks those. */
  readonly permanent?: boolean;
}

/** Bytes being read. Pull, so that the caller's buffer is reused. */
export interface ByteSource {
  /**
   * Fills `into` from its start.
   * @returns bytes read; 0 only at the end
   */
  read(into: Uint8Array): number | Promise<number>;
  close(): void | Promise<void>;
}

/** Bytes being written. Exactly one of commit() and abort() ends it. */
export interface ByteSink {
  /**
   * Takes the chunk before it returns (the buffer is the caller's again at once). A returned promise is
   * back-pressure: await it before the next write.
   */
  write(chunk: Uint8Array): void | Promise<void>;
  /** Makes the file durable and visible. Only after it may success be reported. */
  commit(): Promise<void>;
  /** Drops what was written. Never throws for what is already gone. */
  abort(): Promise<void>;
}

/** Bytes being written to a file whose name is known only at its end. Exactly one of commit() and abort() ends it. */
export interface StagedSink extends Pick<ByteSink, 'write' | 'abort'> {
  /** Gives the file its name, in the directory it was staged in, replacing what is there; durable as ByteSink.commit(). */
  commit(path: string): Promise<void>;
}

export interface PathCapability {
  /** Creates a directory and its parents; one that exists is success. */
  create(path: string, mode?: number): Promise<void>;
  /** Makes the names in a directory durable, or the bytes of a file that another process may have left unsynced. */
  sync(path: string): Promise<void>;
  /** Renames within the storage, replacing the destination. */
  move(from: string, to: string): Promise<void>;
  /**
   * Writes a file whose name depends on its content, such as one with a checksum in it, in one pass. It lies beside
   * `path` under a temporary name that no other writer has. Where this is not offered the content is read first.
   */
  stage(path: string, options?: Pick<WriteOptions, 'mode' | 'sizeHint'>): Promise<StagedSink>;
}

export interface LinkCapability {
  symbolic(destination: string, path: string): Promise<void>;
  hard(from: string, to: string): Promise<void>;
}

export interface Storage {
  /** `repo1`, `pg1`: for messages. */
  readonly label: string;
  /**
   * What is at the path (links are not followed), or undefined when nothing is: missing is an answer. Where there are no
   * directories (`paths` is absent), only files are there.
   */
  info(path: string): Promise<FileInfo | undefined>;
  /** One level, in no order. A path that does not exist is empty; a path that is not a directory throws path-open. */
  list(path: string, options?: { readonly prefix?: string }): Promise<FileInfo[]>;
  /** Names only, when nothing else is needed: one request on every driver. Same rules as list(). */
  names(path: string, options?: { readonly prefix?: string }): Promise<string[]>;
  /** @throws file-missing when there is no such file, file-open when it cannot be opened */
  read(path: string, options?: ReadOptions): Promise<ByteSource>;
  /** Parents are created as needed. */
  write(path: string, options?: WriteOptions): Promise<ByteSink>;
  /** Already gone is success. @throws LockedError when the store does not let it go */
  remove(path: string): Promise<void>;
  /** Removes a directory with all it holds; already gone is success. @throws LockedError when all but what is locked is gone */
  removeTree(path: string): Promise<void>;
  readonly paths?: PathCapability;
  readonly links?: LinkCapability;
  /** What the store keeps of all that was removed since it was opened. */
  kept?(): KeptVersions;
  /**
   * Drops what killed processes left of files that nobody sees yet, but that take space.
   * @param paths directories that the files would be in
   * @param before seconds since the epoch; what was begun later may still be written
   * @returns how many files there were
   */
  dropUnfinished?(paths: readonly string[], before: number): Promise<number>;
  close(): Promise<void>;
}
