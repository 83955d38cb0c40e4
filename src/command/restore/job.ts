/** What a worker does for a restore: brings files back from the repository, and keeps those that are right already. */
import { closeSync, fsyncSync, lstatSync, openSync, type Stats, statSync, truncateSync, utimesSync } from 'node:fs';
import { BackstopError, systemError } from '../../base/error.ts';
import { type BufferPool, bufferPool } from '../../codec/buffer-pool.ts';
import { type Codecs, openCodecs, type StepSpec } from '../../codec/codecs.ts';
import { countResult, hashResult, openPipeline, type Pipeline, prepareSteps } from '../../codec/pipeline.ts';
import { loadXxh128, type Xxh128 } from '../../codec/xxhash.ts';
import { isBackupLabel } from '../../repo/label.ts';
import { backupFile } from '../../repo/layout.ts';
import type { CompressType } from '../../repo/manifest/manifest.ts';
import { PartReader, type StoredPart } from '../../repo/part-reader.ts';
import { loadSteps } from '../../repo/stored-steps.ts';
import { openClusterStorage, openRepoStorage, type RepoSettings } from '../../storage/drivers.ts';
import { pump } from '../../storage/pump.ts';
import type { ByteSource, Storage } from '../../storage/storage.ts';
import { restoreBlocks } from './block-file.ts';
import { PlainBytes } from './plain-bytes.ts';

export interface RestoreThreadData {
  readonly command: 'restore';
  readonly repo: RepoSettings;
  readonly bufferSize: number;
  readonly compressType: CompressType;
  readonly cipherPass?: string;
  readonly stanza: string;
  /** The manifest's list of references: block maps hold indexes into it. */
  readonly references: readonly string[];
  readonly retry: { readonly count: number; readonly interval: number };
}

export interface RestoreFileTask {
  /** Manifest name, for messages. */
  readonly name: string;
  /** Absolute path on this host. */
  readonly path: string;
  readonly size: number;
  readonly checksum: string;
  /** Seconds since the epoch. */
  readonly timestamp: number;
  readonly mode: number;
  readonly owner: { readonly userId: number; readonly groupId: number };
  /** Where the bytes lie in the repository. */
  readonly repoPath: string;
  readonly offset: number;
  readonly sizeRepo: number;
  /** The stored bytes are in the smaller framing of bundles. */
  readonly raw: boolean;
  /**
   * What may be kept of a file that exists: nothing; one of the same content; or one whose size and time are right and
   * whose time is before this second, so that it cannot have changed unseen.
   */
  readonly keep: 'nothing' | 'content' | { readonly before: number };
  /** An earlier restore did not end: what is kept may be in memory only. */
  readonly syncKept: boolean;
  /** Present when the file is stored by blocks. */
  readonly block?: { readonly blockSize: number; readonly checksumSize: number; readonly mapSize: number };
  /** A file of a database that is not wanted: zeros of the right size. */
  readonly zero: boolean;
}

/** What became of a file; of one that is stored by blocks, how many of its bytes had to be written. */
export type RestoreFileResult =
  | 'copied'
  | 'zeroed'
  | 'empty'
  | 'same-content'
  | 'same-time'
  | { readonly blockBytes: number };

export type RestoreJobs = {
  readonly 'restore-files': {
    readonly input: readonly RestoreFileTask[];
    readonly output: readonly RestoreFileResult[];
  };
};

export async function openRestoreJobs(data: RestoreThreadData) {
  const codecs = openCodecs();
  const worker = new RestoreWorker(
    data,
    await openRepoStorage(data.repo),
    await openClusterStorage({ key: 1 }),
    codecs,
    bufferPool(data.bufferSize),
  );
  await prepareSteps(loadSteps({ ...data, raw: false }), codecs);
  return { 'restore-files': (input: readonly RestoreFileTask[]) => worker.restoreFiles(input) };
}

/** What tells whether a file has the content of the backup. */
const contentSteps = [
  { step: 'hash', algorithm: 'sha1', id: 'content' },
  { step: 'count', id: 'size' },
] as const satisfies readonly StepSpec[];

/** Where a file's bytes come from. */
interface Place {
  /** Index of the part of the job's reader. */
  readonly part: number;
  /** Of a file that is stored by blocks: not its map alone. */
  readonly isWhole: boolean;
}

/** Files that are written and wait for the disk, which syncs them together. Each is open until then. */
class Commits {
  static readonly #most = 64;
  readonly #waiting = new Set<Promise<void>>();
  #failure: { readonly thrown: unknown } | undefined;

  add(commit: Promise<void>): void {
    const waiting = commit
      .catch((thrown: unknown) => {
        this.#failure ??= { thrown };
      })
      .then(() => void this.#waiting.delete(waiting));
    this.#waiting.add(waiting);
  }

  /** Waits while so many files are open that a few jobs could take all that a process may have. */
  async whenFew(): Promise<void> {
    while (this.#waiting.size >= Commits.#most) await Promise.race(this.#waiting);
  }

  /** @throws the first failure */
  async all(): Promise<void> {
    await this.settled();
    if (this.#failure !== undefined) throw this.#failure.thrown;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#waiting);
  }
}

/** What the files of a job share. */
interface Job {
  readonly reader: PartReader;
  readonly buffer: Buffer;
  readonly plain: PlainBytes;
  readonly commits: Commits;
}

class RestoreWorker {
  readonly #data: RestoreThreadData;
  readonly #repo: Storage;
  readonly #files: Storage;
  readonly #codecs: Codecs;
  readonly #buffers: BufferPool;
  /** From stored bytes to content, in the framing of bundle members and in that of files of their own. */
  readonly #load: { readonly raw: readonly StepSpec[]; readonly framed: readonly StepSpec[] };
  /** What no job uses now. */
  readonly #plain: PlainBytes[] = [];
  #hashBlock: Xxh128 | undefined;

  constructor(data: RestoreThreadData, repo: Storage, files: Storage, codecs: Codecs, buffers: BufferPool) {
    this.#data = data;
    this.#repo = repo;
    this.#files = files;
    this.#codecs = codecs;
    this.#buffers = buffers;
    this.#load = { raw: loadSteps({ ...data, raw: true }), framed: loadSteps({ ...data, raw: false }) };
  }

  /** Restores files in order; an answer means that every one is durable. */
  async restoreFiles(tasks: readonly RestoreFileTask[]): Promise<RestoreFileResult[]> {
    const buffer = this.#buffers.take();
    const plain = this.#plain.pop() ?? new PlainBytes();
    const commits = new Commits();
    let reader: PartReader | undefined;
    try {
      // what may stay is known before anything is read from the repository: its neighbours are read together
      const kept: (RestoreFileResult | undefined)[] = [];
      for (const task of tasks) kept.push(await this.#keep(task, buffer));
      const parts: StoredPart[] = [];
      const places = tasks.map((task, index): Place | undefined => {
        const isWhole = task.block === undefined || isReadWhole(task);
        const part = kept[index] === undefined ? partOf(task, isWhole) : undefined;
        return part === undefined ? undefined : { part: parts.push(part) - 1, isWhole };
      });
      reader = new PartReader(this.#repo, parts);
      const job: Job = { reader, buffer, plain, commits };
      const results: RestoreFileResult[] = [];
      for (const [index, task] of tasks.entries()) {
        results.push(kept[index] ?? (await this.#restoreFile(task, places[index], job)));
        await commits.whenFew();
      }
      await commits.all();
      return results;
    } catch (error) {
      await commits.settled();
      throw error;
    } finally {
      await reader?.close();
      this.#buffers.give(buffer);
      this.#plain.push(plain);
    }
  }

  async #restoreFile(task: RestoreFileTask, place: Place | undefined, job: Job): Promise<RestoreFileResult> {
    const { reader, buffer, commits } = job;
    const open = async (): Promise<ByteSource> => {
      if (place === undefined) {
        throw new BackstopError('format', `there are no ${task.sizeRepo} bytes at ${task.offset}`);
      }
      return await reader.open(place.part);
    };
    if (task.block !== undefined && !task.zero) {
      try {
        return await this.#restoreBlocks(task, task.block, { source: await open(), ...place }, job);
      } catch (error) {
        throw named(error, task, this.#data.repo.path);
      }
    }
    const sink = await this.#files.write(task.path, {
      atomic: false,
      mode: task.mode,
      mtime: task.timestamp,
      owner: task.owner,
      sizeHint: task.size,
    });
    let pipeline: Pipeline | undefined;
    try {
      if (task.size > 0 && !task.zero) {
        const source = await open();
        const spec: StepSpec[] = [
          ...this.#load[task.raw ? 'raw' : 'framed'],
          { step: 'limit', max: task.size },
          ...contentSteps,
        ];
        try {
          await pump(
            source,
            emit => {
              pipeline = openPipeline(spec, this.#codecs, emit);
              return pipeline;
            },
            sink,
            buffer,
          );
        } finally {
          await source.close();
        }
        this.#check(task, pipeline);
      }
      commits.add(task.zero && task.size > 0 ? this.#commitZeros(task, sink) : sink.commit());
    } catch (error) {
      await sink.abort();
      throw named(error, task, this.#data.repo.path);
    } finally {
      pipeline?.close();
    }
    return task.zero ? 'zeroed' : task.size === 0 ? 'empty' : 'copied';
  }

  async #restoreBlocks(
    task: RestoreFileTask,
    block: NonNullable<RestoreFileTask['block']>,
    stored: { readonly source: ByteSource; readonly isWhole?: boolean },
    { buffer, plain, commits }: Job,
  ): Promise<RestoreFileResult> {
    const { stanza, references } = this.#data;
    this.#hashBlock ??= await loadXxh128();
    const content = openPipeline(contentSteps, this.#codecs, () => undefined);
    try {
      const { writer, seen, written } = await restoreBlocks(
        {
          path: task.path,
          mode: task.mode,
          size: task.size,
          blockSize: block.blockSize,
          checksumSize: block.checksumSize,
          stored: {
            path: task.repoPath,
            offset: task.offset,
            size: task.sizeRepo,
            source: stored.source,
            isWhole: stored.isWhole ?? false,
          },
          mapSize: block.mapSize,
          delta: task.keep !== 'nothing',
        },
        {
          repo: this.#repo,
          files: this.#files,
          codecs: this.#codecs,
          hash: this.#hashBlock,
          superBlockSteps: loadSteps({ ...this.#data, raw: true }),
          mapSteps: loadSteps({ ...this.#data, compressType: 'none', raw: true }),
          pathOf: ({ reference, bundleId }) => {
            const label = references[reference];
            if (label === undefined || !isBackupLabel(label)) {
              throw new BackstopError(
                'format',
                `block map refers to backup ${reference}, which the manifest does not have`,
              );
            }
            return backupFile(stanza, label, { name: task.name, bundleId, blockMapSize: block.mapSize }, '');
          },
          buffer,
          plain,
          content,
        },
      );
      const check = async () => {
        await this.#readOn(task.path, seen, content, buffer);
        this.#check(task, content);
      };
      if (writer === undefined) {
        const found = inFile(task.path, 'get info for', () => statSync(task.path));
        // what lies behind its blocks
        cutOff(task, found);
        await check();
        keepSame(task, found);
        return 'same-content';
      }
      try {
        await check();
      } catch (error) {
        writer.close();
        throw error;
      }
      commits.add(writer.commit(task.timestamp, task.owner));
      return { blockBytes: written };
    } finally {
      content.close();
    }
  }

  /** Takes the checksum and size of a file from `offset` on, and ends. */
  async #readOn(path: string, offset: number, content: Pipeline, buffer: Buffer): Promise<void> {
    const source = await this.#files.read(path, { offset });
    try {
      await pump(source, () => content, { write: () => undefined }, buffer);
    } finally {
      await source.close();
    }
  }

  /** @returns the checksum of a file */
  async #hash(path: string, buffer: Buffer): Promise<string> {
    const content = openPipeline(contentSteps, this.#codecs, () => undefined);
    try {
      await this.#readOn(path, 0, content, buffer);
      return hashResult(content.results(), 'content');
    } finally {
      content.close();
    }
  }

  /** Zeros take no place: the file is a hole of the right size. */
  async #commitZeros(task: RestoreFileTask, sink: { commit(): Promise<void> }): Promise<void> {
    inFile(task.path, 'set the size of', () => truncateSync(task.path, task.size));
    await sink.commit();
  }

  #check(task: RestoreFileTask, pipeline: Pipeline | undefined): void {
    const results = pipeline?.results() ?? {};
    const checksum = hashResult(results, 'content');
    const size = countResult(results, 'size');
    if (checksum === task.checksum && size === task.size) return;
    throw new BackstopError(
      'checksum',
      `error restoring '${task.path}': actual checksum '${checksum}' and size ${size} do not match expected checksum '${task.checksum}' and size ${task.size}`,
      { hint: 'the file in the repository is damaged: run verify, and restore another backup set.' },
    );
  }

  /** @returns how the existing file was found right, or undefined when it must be written */
  async #keep(task: RestoreFileTask, buffer: Buffer): Promise<RestoreFileResult | undefined> {
    if (task.keep === 'nothing' || task.zero) return undefined;
    const info = lstatSync(task.path, { throwIfNoEntry: false });
    if (info === undefined || !info.isFile() || info.size < task.size) return undefined;
    const time = Math.floor(info.mtimeMs / 1000);
    if (typeof task.keep === 'object') {
      if (info.size !== task.size || time !== task.timestamp || time >= task.keep.before) return undefined;
      if (task.syncKept) syncFile(task.path);
      return 'same-time';
    }
    if (task.size === 0) {
      if (info.size > 0) return undefined;
      keepSame(task, info);
      return 'same-content';
    }
    // probably changed: it is compared by blocks at once
    if (task.block !== undefined && time !== task.timestamp) return undefined;
    cutOff(task, info);
    if ((await this.#hash(task.path, buffer)) !== task.checksum) return undefined;
    keepSame(task, info);
    return 'same-content';
  }
}

/** Whether what was found has more than the backup. */
const isLonger = (task: RestoreFileTask, found: Stats): boolean => found.size > task.size;

/** What is cut off could be back after a crash, and who tries again does not see that it was there: it is synced at once. */
function cutOff(task: RestoreFileTask, found: Stats): void {
  if (!isLonger(task, found)) return;
  inFile(task.path, 'truncate', () => truncateSync(task.path, task.size));
  syncFile(task.path);
}

/**
 * Leaves a file that has the content of the backup, with the backup's time.
 * @param found before anything was cut off, which changes the time
 */
function keepSame(task: RestoreFileTask, found: Stats): void {
  const { path, timestamp } = task;
  if (isLonger(task, found) || Math.floor(found.mtimeMs / 1000) !== timestamp) {
    inFile(path, 'set time for', () => utimesSync(path, timestamp, timestamp));
  }
  if (task.syncKept) syncFile(path);
}

function syncFile(path: string): void {
  inFile(path, 'sync', () => {
    const descriptor = openSync(path, 'r');
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  });
}

function inFile<T>(path: string, what: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw systemError(error, { other: 'file-write' }, `unable to ${what} file '${path}'`);
  }
}

/** A file stored by blocks that has at most this many stored bytes is read with its map, in one read. */
const wholeLimit = 4 * 1024 * 1024;

/** Nothing of the file is there, so nearly all that is stored of it will be needed. */
const isReadWhole = ({ sizeRepo, keep, path }: RestoreFileTask): boolean =>
  sizeRepo <= wholeLimit && (keep === 'nothing' || lstatSync(path, { throwIfNoEntry: false }) === undefined);

/** What is to be read first of a file: all that is stored, or the block map behind it. */
function partOf(task: RestoreFileTask, isWhole: boolean): StoredPart | undefined {
  const { repoPath: path, sizeRepo, block } = task;
  if (task.size === 0 || task.zero) return undefined;
  const length = isWhole || block === undefined ? sizeRepo : block.mapSize;
  const offset = task.offset + sizeRepo - length;
  // no file has them, and a storage would take that for a failure that can pass: told when its turn comes
  return offset >= 0 && Number.isSafeInteger(offset + length) ? { path, offset, length } : undefined;
}

/** A codec knows what is wrong with the bytes, but not whose they are. */
function named(error: unknown, task: RestoreFileTask, repoPath: string): unknown {
  if (!(error instanceof BackstopError) || error.message.includes(task.path) || error.message.includes(task.repoPath)) {
    return error;
  }
  return new BackstopError(
    error.kind,
    `error restoring '${task.path}' from '${repoPath === '/' ? '' : repoPath}${task.repoPath}': ${error.message}`,
    {
      cause: error,
      hint:
        error.hints.length > 0
          ? error.hints
          : 'the file in the repository is damaged: run verify, and restore another backup set.',
    },
  );
}
