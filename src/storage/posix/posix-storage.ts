/**
 * Files on this host. System calls are synchronous: they run in worker threads and in short commands, where an await per
 * read would cost more than the read. Only fsync is awaited, because waiting for the disk is worth overlapping.
 */

import { randomBytes } from 'node:crypto';
import {
  constants,
  fchownSync,
  fsync,
  futimesSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { closeFile } from '../../base/close-file.ts';
import { BackstopError, systemError } from '../../base/error.ts';
import { makePath } from '../../base/make-path.ts';
import { bufferPool } from '../../codec/buffer-pool.ts';
import type {
  ByteSink,
  ByteSource,
  FileInfo,
  LinkCapability,
  PathCapability,
  ReadOptions,
  StagedSink,
  Storage,
  WriteOptions,
} from '../storage.ts';
import { syncUnusedPath } from './kept-directory.ts';
import { syncPath, syncPathNow } from './sync-path.ts';

const fsyncLater = promisify(fsync);

/** Ending of a file that is being written; pgBackRest uses the same and both tools ignore such files. */
export const temporarySuffix = '.pgbackrest.tmp';

export interface PosixSettings {
  readonly label: string;
  /** Put before every path: the root of a repository or cluster, without a slash at its end. Empty when absent. */
  readonly base?: string;
  /** False for a file system that has no links (cifs). */
  readonly links?: boolean;
  /** Modes of what is created, 0750 and 0640 when absent. */
  readonly pathMode?: number;
  readonly fileMode?: number;
}

/** Opens the posix driver. Paths given to it are absolute below the base. Messages name the whole path. */
export function openPosixStorage(settings: PosixSettings): Storage & Required<Pick<Storage, 'paths'>> {
  return new PosixStorage(settings);
}

class PosixStorage implements Storage {
  readonly label: string;
  readonly paths: PathCapability;
  readonly links?: LinkCapability;
  readonly #base: string;
  readonly #pathMode: number;
  readonly #fileMode: number;

  constructor(settings: PosixSettings) {
    this.label = settings.label;
    this.#base = settings.base ?? '';
    this.#pathMode = settings.pathMode ?? 0o750;
    this.#fileMode = settings.fileMode ?? 0o640;
    this.paths = {
      create: async (path, mode) => createPath(this.#base + path, mode ?? this.#pathMode),
      sync: path => syncPath(this.#base + path),
      move: async (from, to) => {
        try {
          renameSync(this.#base + from, this.#base + to);
        } catch (error) {
          throw systemError(
            error,
            { missing: 'file-missing', other: 'file-move' },
            `unable to move '${this.#base}${from}' to '${this.#base}${to}'`,
          );
        }
      },
      stage: (path, options) => this.#stage(path, options),
    };
    if (settings.links === false) return;
    this.links = {
      symbolic: async (destination, relative) => {
        const path = this.#base + relative;
        try {
          symlinkSync(destination, path);
        } catch (error) {
          throw systemError(error, { other: 'file-open' }, `unable to create symlink '${path}' to '${destination}'`);
        }
      },
      hard: async (relativeFrom, relativeTo) => {
        const [from, to] = [this.#base + relativeFrom, this.#base + relativeTo];
        this.#withParents(to, () => linkSync(from, to), `unable to create hardlink '${to}' to '${from}'`);
      },
    };
  }

  async info(path: string): Promise<FileInfo | undefined> {
    return infoOf(this.#base + path || '/', basename(path));
  }

  async list(relative: string, options: { readonly prefix?: string } = {}): Promise<FileInfo[]> {
    const result: FileInfo[] = [];
    const path = this.#base + relative;
    const base = path.endsWith('/') ? path : `${path}/`;
    for (const name of readNames(path, options.prefix)) {
      // what vanished since the directory was read is not there
      const info = infoOf(base + name, name);
      if (info !== undefined) result.push(info);
    }
    return result;
  }

  async names(path: string, options: { readonly prefix?: string } = {}): Promise<string[]> {
    return readNames(this.#base + path, options.prefix);
  }

  async read(relative: string, options: ReadOptions = {}): Promise<ByteSource> {
    const path = this.#base + relative;
    let descriptor: number;
    try {
      // whoever put a pipe here must not make us wait for its writer
      descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') {
        throw new BackstopError('file-missing', `unable to open missing file '${path}' for read`, { cause: error });
      }
      throw systemError(error, { other: 'file-open' }, `unable to open file '${path}' for read`);
    }
    return new PosixSource(path, descriptor, options.offset ?? 0, options.length ?? Number.POSITIVE_INFINITY);
  }

  async write(relative: string, options: WriteOptions = {}): Promise<ByteSink> {
    const path = this.#base + relative;
    const target = options.atomic === false ? path : path + temporarySuffix;
    return new PosixSink(path, target, this.#create(target, constants.O_TRUNC, options.mode), options);
  }

  async #stage(relative: string, options: Pick<WriteOptions, 'mode'> = {}): Promise<StagedSink> {
    const path = this.#base + relative;
    const target = `${path}.${randomBytes(4).toString('hex')}${temporarySuffix}`;
    const sink = new PosixSink(path, target, this.#create(target, constants.O_EXCL, options.mode), {});
    return {
      write: chunk => sink.write(chunk),
      commit: final => sink.commitAs(this.#base + final),
      abort: () => sink.abort(),
    };
  }

  /** Opens a new file for writing, with its parents. */
  #create(target: string, flag: number, mode = this.#fileMode): number {
    let descriptor = -1;
    this.#withParents(
      target,
      () => {
        descriptor = openSync(target, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | flag, mode);
      },
      `unable to open file '${target}' for write`,
    );
    return descriptor;
  }

  async remove(relative: string): Promise<void> {
    const path = this.#base + relative;
    try {
      unlinkSync(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return;
      throw systemError(error, { other: 'file-remove' }, `unable to remove file '${path}'`);
    }
  }

  async removeTree(relative: string): Promise<void> {
    const path = this.#base + relative;
    try {
      if (lstatSync(path).isDirectory()) removeDirectory(path);
      else unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw systemError(error, { other: 'path-remove' }, `unable to remove path '${path}'`);
    }
  }

  async close(): Promise<void> {
    // nothing is kept open between calls
  }

  /** Runs the call; when a parent is missing, makes the parents and runs it once more. */
  #withParents(path: string, call: () => void, action: string): void {
    try {
      call();
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw systemError(error, { other: 'file-open' }, action);
    }
    createPath(dirname(path), this.#pathMode);
    try {
      call();
    } catch (error) {
      throw systemError(error, { missing: 'file-missing', other: 'file-open' }, action);
    }
  }
}

class PosixSource implements ByteSource {
  readonly #path: string;
  readonly #descriptor: number;
  #position: number;
  #left: number;
  #open = true;

  constructor(path: string, descriptor: number, offset: number, length: number) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.#position = offset;
    this.#left = length;
  }

  read(into: Uint8Array): number {
    const want = Math.min(into.length, this.#left);
    let have = 0;
    // a short read is not the end of a file: only zero bytes are
    while (have < want) {
      let count: number;
      try {
        count = readSync(this.#descriptor, into, have, want - have, this.#position);
      } catch (error) {
        throw systemError(error, { other: 'file-read' }, `unable to read '${this.#path}'`);
      }
      if (count === 0) break;
      have += count;
      this.#position += count;
    }
    this.#left -= have;
    return have;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeFile(this.#descriptor, this.#path);
  }
}

/** Pieces smaller than this are gathered into one write: what is compressed comes as a header, a block and an end. */
const gatherSize = 64 * 1024;

/** A sink has a buffer only until it is committed, so few are in use at once. */
const gatherBuffers = bufferPool(gatherSize, 4);

class PosixSink implements ByteSink {
  readonly #path: string;
  readonly #target: string;
  readonly #options: WriteOptions;
  #descriptor: number;
  #gathered: Buffer | undefined;
  #held = 0;

  constructor(path: string, target: string, descriptor: number, options: WriteOptions) {
    this.#path = path;
    this.#target = target;
    this.#descriptor = descriptor;
    this.#options = options;
  }

  write(chunk: Uint8Array): void {
    if (this.#held + chunk.length > gatherSize) this.#flush();
    if (this.#held === 0 && chunk.length >= gatherSize) {
      this.#writeNow(chunk);
      return;
    }
    this.#gathered ??= gatherBuffers.take();
    this.#gathered.set(chunk, this.#held);
    this.#held += chunk.length;
  }

  commit(): Promise<void> {
    return this.commitAs(this.#path);
  }

  /** What cannot be committed is dropped. */
  async commitAs(path: string): Promise<void> {
    try {
      await this.#commitAs(path);
    } catch (error) {
      // that it could not be dropped either is worth less than why
      await this.abort().catch(() => undefined);
      throw error;
    }
  }

  async #commitAs(path: string): Promise<void> {
    const { mtime, owner, sync, atomic } = this.#options;
    this.#flush();
    this.#giveBack();
    try {
      if (owner !== undefined) fchownSync(this.#descriptor, owner.userId, owner.groupId);
      if (mtime !== undefined) futimesSync(this.#descriptor, mtime, mtime);
    } catch (error) {
      throw systemError(error, { other: 'file-owner' }, `unable to set ownership or time of '${this.#target}'`);
    }
    if (sync !== false) {
      try {
        await fsyncLater(this.#descriptor);
      } catch (error) {
        throw systemError(error, { other: 'file-sync' }, `unable to sync file '${this.#target}'`);
      }
    }
    this.#close();
    if (atomic !== false) {
      if (sync !== false) syncUnusedPath(dirname(path));
      try {
        renameSync(this.#target, path);
      } catch (error) {
        throw systemError(error, { other: 'file-move' }, `unable to move '${this.#target}' to '${path}'`);
      }
      if (sync !== false) await syncPath(dirname(path));
    }
  }

  async abort(): Promise<void> {
    this.#giveBack();
    this.#close();
    try {
      unlinkSync(this.#target);
    } catch (error) {
      // the failure that led here is the one to report; a file that stays is a temporary name that both tools ignore
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'EIO' && code !== 'EROFS' && code !== 'EACCES') {
        throw systemError(error, { other: 'file-remove' }, `unable to remove file '${this.#target}'`);
      }
    }
  }

  #flush(): void {
    if (this.#gathered === undefined || this.#held === 0) return;
    this.#writeNow(this.#gathered.subarray(0, this.#held));
    this.#held = 0;
  }

  #giveBack(): void {
    if (this.#gathered !== undefined) gatherBuffers.give(this.#gathered);
    this.#gathered = undefined;
  }

  #writeNow(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      try {
        at += writeSync(this.#descriptor, bytes, at, bytes.length - at);
      } catch (error) {
        throw systemError(error, { other: 'file-write' }, `unable to write '${this.#target}'`);
      }
    }
  }

  #close(): void {
    if (this.#descriptor === -1) return;
    const descriptor = this.#descriptor;
    this.#descriptor = -1;
    closeFile(descriptor, this.#target);
  }
}

/** As rmSync() with `recursive`, but without a look at each file first: half the system calls. */
function removeDirectory(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inside = `${path}/${entry.name}`;
    const kind = entry.isDirectory() ? 'path' : 'file';
    try {
      if (kind === 'path') removeDirectory(inside);
      else unlinkSync(inside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw systemError(error, { other: `${kind}-remove` }, `unable to remove ${kind} '${inside}'`);
    }
  }
  rmdirSync(path);
}

function readNames(path: string, prefix: string | undefined): string[] {
  let names: string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    throw systemError(error, { other: 'path-open' }, `unable to list file info for path '${path}'`);
  }
  return prefix === undefined ? names : names.filter(name => name.startsWith(prefix));
}

function infoOf(path: string, name: string): FileInfo | undefined {
  let stats: Stats | undefined;
  try {
    stats = lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw systemError(error, { other: 'file-open' }, `unable to get info for path/file '${path}'`);
  }
  if (stats === undefined) return undefined;
  const type = stats.isFile() ? 'file' : stats.isDirectory() ? 'path' : stats.isSymbolicLink() ? 'link' : 'special';
  const info: FileInfo = {
    name,
    type,
    size: type === 'file' ? stats.size : 0,
    mtime: Math.floor(stats.mtimeMs / 1000),
    mode: stats.mode & 0o7777,
    userId: stats.uid,
    groupId: stats.gid,
  };
  if (type !== 'link') return info;
  try {
    return { ...info, destination: readlinkSync(path) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw systemError(error, { other: 'file-open' }, `unable to get destination for link '${path}'`);
  }
}

/**
 * Creates a directory with its parents and makes their names durable: syncing a file's own directory would not save the
 * file if the directory's name in its parent were lost.
 */
function createPath(path: string, mode: number): void {
  let first: string | undefined;
  try {
    first = makePath(path, mode);
  } catch (error) {
    throw systemError(error, { other: 'path-create' }, `unable to create path '${path}'`);
  }
  if (first === undefined) return;
  for (let at = dirname(path); at.length >= dirname(first).length; at = dirname(at)) {
    syncPathNow(at);
    if (at === '/') break;
  }
}

/** Removes an empty directory. Already gone is success. @throws path-remove when it is not empty */
export function removeEmptyPath(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw systemError(error, { other: 'path-remove' }, `unable to remove path '${path}'`);
  }
}
