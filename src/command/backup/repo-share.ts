/** The part of a job that one repository has: it writes what comes, and knows what is there already. */
import { asBackstopError, type BackstopError, isKind } from '../../base/error.ts';
import type { Codecs, StepSpec } from '../../codec/codecs.ts';
import { openPipeline } from '../../codec/pipeline.ts';
import { type BlockItem, decodeBlockMap } from '../../repo/block/map.ts';
import { backupFile } from '../../repo/layout.ts';
import { compressSuffix } from '../../repo/manifest/manifest.ts';
import { begun, isObjectStore } from '../../repo/object-store.ts';
import { loadSteps } from '../../repo/stored-steps.ts';
import { LockedError } from '../../storage/kept-files.ts';
import { MemorySink, pump } from '../../storage/pump.ts';
import type { ByteSink, ByteSource, Storage } from '../../storage/storage.ts';
import type { BackupFileResult, BlockTask, RepoThreadData, StoreTask } from './job.ts';

/** A repository as a worker has it open. */
export interface WorkerRepo {
  readonly data: RepoThreadData;
  readonly storage: Storage;
  /** The steps of most files, in the framing of bundle members and in that of files of their own. */
  readonly stored: { readonly raw: StoreSteps; readonly framed: StoreSteps };
}

/** Steps that repositories which store alike share, and those that each has for itself. */
export interface StoreSteps {
  readonly shared: readonly StepSpec[];
  readonly own: readonly StepSpec[];
}

/** Where stored bytes go: a file of their own, or the bundle behind what it holds already. */
export interface Destination {
  readonly sink: Pick<ByteSink, 'write'>;
  readonly bundleId: number;
  /** Bytes before this file's. */
  readonly offset: number;
  readonly raw: boolean;
  /** What the prior backup has of a file that is stored by blocks. */
  readonly priorMap: readonly BlockItem[] | undefined;
}

/** What is learned of the bytes of a file while they pass. */
export interface Content {
  readonly checksum: string;
  readonly size: number;
}

/** Reads begun ahead of their turn where an answer takes long. */
const readsAhead = 8;

/** Files that wait for the disk or the service at once: each of them is open. */
const commitsAtOnce = 64;

/** Bytes of files that wait so. */
const bytesAtOnce = 32 * 1024 * 1024;

export class RepoShare {
  readonly repo: WorkerRepo;
  readonly results: (BackupFileResult | undefined)[] = [];
  readonly #names: readonly string[];
  readonly #tasks: readonly (StoreTask | undefined)[];
  readonly #codecs: Codecs;
  /** Called after a failure that is this repository's alone; throws when nobody is left. Absent: failures are thrown. */
  readonly #onFailure: (() => void) | undefined;
  #commits: Promise<void>[] = [];
  /** Bytes that they have to make durable. */
  #committing = 0;
  readonly #maps = new Map<number, Promise<BlockItem[] | undefined>>();
  readonly #ahead: number;
  #mapsBegun = 0;
  /** Files of an aborted backup that are not what they should be. */
  readonly #spoiled = new Set<number>();
  /** Whether a file is between open() and store(). */
  #isOpen = false;
  #file: ByteSink | undefined;
  #bundle: { readonly id: number; readonly sink: ByteSink; offset: number } | undefined;
  #failure: BackstopError | undefined;

  /**
   * @param names of the job's files in the manifest
   * @param tasks what is to be done with each
   * @param onFailure as #onFailure
   */
  constructor(
    repo: WorkerRepo,
    names: readonly string[],
    tasks: readonly (StoreTask | undefined)[],
    codecs: Codecs,
    onFailure: (() => void) | undefined,
  ) {
    this.repo = repo;
    this.#names = names;
    this.#tasks = tasks;
    this.#codecs = codecs;
    this.#onFailure = onFailure;
    this.#ahead = isObjectStore(repo.storage) ? readsAhead : 0;
  }

  get failure(): BackstopError | undefined {
    return this.#failure;
  }

  /** Small reads that are worth having under way at once. */
  get readsAtOnce(): number {
    return Math.max(1, this.#ahead);
  }

  /** @returns what is to be done with a file that is to be read for this repository */
  wants(index: number): StoreTask | undefined {
    return this.#failure === undefined && this.results[index] === undefined ? this.#tasks[index] : undefined;
  }

  /** Does something in the repository. In a fan-out its failure is kept, and nothing more is done there. */
  async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.#onFailure === undefined) return await work();
    if (this.#failure !== undefined) return undefined;
    try {
      return await work();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** Begins to read the maps that this file and the next ones in a bundle will want, where an answer takes long. */
  beginMaps(index: number): void {
    for (; this.#mapsBegun < Math.min(this.#tasks.length, index + this.#ahead); this.#mapsBegun++) {
      const { block, bundleId = 0 } = this.wants(this.#mapsBegun) ?? {};
      if (block !== undefined && bundleId > 0) this.#maps.set(this.#mapsBegun, begun(this.#readMap(block)));
    }
  }

  /** Opens what the bytes of a file go to. One file at a time. */
  async open(index: number, task: StoreTask, size: number): Promise<Destination> {
    const sink = await this.#sinkOf(index, task, size);
    this.#isOpen = true;
    const { bundleId, block } = task;
    return {
      sink: this.#onFailure === undefined ? sink : this.#guarded(sink),
      bundleId,
      offset: bundleId === 0 ? 0 : (this.#bundle?.offset ?? 0),
      raw: bundleId > 0 && this.repo.data.bundleRaw,
      priorMap: block === undefined ? undefined : await this.#takeMap(index, block),
    };
  }

  /** Notes what became of a file, and ends what open() began for it. */
  async store(index: number, result: BackupFileResult): Promise<void> {
    // while it is waited here the file is still the one to abort
    if (this.#file !== undefined && (this.#commits.length >= commitsAtOnce || this.#committing > bytesAtOnce)) {
      await this.#settle();
    }
    const [sink, isOpen] = [this.#file, this.#isOpen];
    this.#file = undefined;
    this.#isOpen = false;
    if (sink === undefined) {
      if (!isOpen || this.#bundle === undefined || result.outcome !== 'copied') this.results[index] = result;
      else {
        this.results[index] = { ...result, bundleOffset: this.#bundle.offset };
        this.#bundle.offset += result.sizeRepo;
      }
      return;
    }
    if (result.outcome !== 'copied') {
      await sink.abort();
      this.results[index] = result;
      return;
    }
    this.#commits.push(begun(sink.commit()));
    this.#committing += result.sizeRepo;
    this.results[index] = this.#spoiled.has(index) ? { ...result, resumeFailed: true } : result;
  }

  /** The server has removed the file: what an aborted backup stored of it is in no manifest. */
  async vanish(index: number): Promise<void> {
    const task = this.#tasks[index];
    if (task?.bundleId === 0 && task.resumed !== undefined) await this.#removeResumed(this.#pathOf(index, task));
    this.results[index] = { outcome: 'vanished' };
  }

  /**
   * Looks at what an aborted backup stored of a file.
   * @param isUnchanged whether the cluster's file still is that content
   * @param hash learns the content of a source
   */
  async checkResumed(
    index: number,
    isUnchanged: (content: Content) => Promise<boolean>,
    hash: (source: ByteSource) => Promise<Content>,
  ): Promise<void> {
    const task = this.#tasks[index];
    if (task?.resumed === undefined || task.bundleId > 0) return;
    if (task.resumed.compare && !(await isUnchanged(task.resumed))) return;
    if (await this.#isStored(this.#pathOf(index, task), task.resumed, hash))
      this.results[index] = { outcome: 'resumed' };
    else this.#spoiled.add(index);
  }

  /** Makes all that was stored durable. A bundle that no file went into is not made. */
  async commit(): Promise<void> {
    await this.#settle();
    await this.#endBundle();
  }

  /**
   * Drops what is not yet stored. Nothing is on its way any more afterwards: what arrived later would replace what the next
   * try of the job has stored.
   */
  async abort(): Promise<void> {
    await Promise.allSettled(this.#commits);
    await Promise.all([this.#file?.abort(), this.#bundle?.sink.abort()]);
  }

  /** Waits for all that was stored. */
  async #settle(): Promise<void> {
    await Promise.all(this.#commits);
    this.#commits = [];
    this.#committing = 0;
  }

  #fail(error: unknown): void {
    this.#failure ??= asBackstopError(error);
    this.#onFailure?.();
  }

  /** Takes what comes after a failure too, and drops it: the others go on. */
  #guarded(sink: Pick<ByteSink, 'write'>): Pick<ByteSink, 'write'> {
    const fail = (error: unknown) => this.#fail(error);
    const write = (chunk: Uint8Array): void | Promise<void> => {
      if (this.#failure !== undefined) return;
      const waiting = sink.write(chunk);
      return waiting === undefined ? undefined : waiting.catch(fail);
    };
    return {
      write(chunk) {
        try {
          return write(chunk);
        } catch (error) {
          return fail(error);
        }
      },
    };
  }

  /** Where a file is stored, below repo-path: as a file of its own, or in a bundle. */
  #pathOf(index: number, { bundleId, block }: StoreTask): string {
    const { stanza, label, compressType } = this.repo.data;
    const file = { name: this.#names[index] ?? '', bundleId, blockMapSize: block?.blockSize ?? 0 };
    return backupFile(stanza, label, file, compressSuffix(compressType));
  }

  async #sinkOf(index: number, task: StoreTask, size: number): Promise<ByteSink> {
    const { storage } = this.repo;
    const { bundleId } = task;
    if (bundleId === 0) {
      this.#file = await storage.write(this.#pathOf(index, task), { atomic: false, permanent: true, sizeHint: size });
      return this.#file;
    }
    if (this.#bundle?.id !== bundleId) {
      await this.#endBundle();
      const sink = await storage.write(this.#pathOf(index, task), { atomic: false, permanent: true });
      this.#bundle = { id: bundleId, sink, offset: 0 };
    }
    return this.#bundle.sink;
  }

  #takeMap(index: number, block: BlockTask): Promise<BlockItem[] | undefined> {
    const map = this.#maps.get(index) ?? this.#readMap(block);
    this.#maps.delete(index);
    return map;
  }

  async #endBundle(): Promise<void> {
    const bundle = this.#bundle;
    if (bundle === undefined) return;
    if (bundle.offset > 0) await bundle.sink.commit();
    else await bundle.sink.abort();
    this.#bundle = undefined;
  }

  /** Whether what an aborted backup stored is whole. */
  async #isStored(
    repoPath: string,
    resumed: NonNullable<StoreTask['resumed']>,
    hash: (source: ByteSource) => Promise<Content>,
  ): Promise<boolean> {
    const { storage } = this.repo;
    let source: ByteSource;
    try {
      // a byte more than there should be, so that a larger file is seen
      source = await storage.read(repoPath, { length: resumed.sizeRepo + 1 });
    } catch (error) {
      if (isKind(error, 'file-missing')) return false;
      throw error;
    }
    try {
      const stored = await hash(source);
      if (stored.size !== resumed.sizeRepo || stored.checksum !== resumed.checksumRepo) return false;
    } finally {
      await source.close();
    }
    // the backup that wrote it may have ended before its bytes were on disk
    await storage.paths?.sync(repoPath);
    return true;
  }

  /** Removes what is in no manifest. Where it is locked it stays, and goes together with the backup. */
  async #removeResumed(path: string): Promise<void> {
    try {
      await this.repo.storage.remove(path);
    } catch (error) {
      if (!(error instanceof LockedError)) throw error;
    }
  }

  async #readMap({ priorMap, blockSize, checksumSize }: BlockTask): Promise<BlockItem[] | undefined> {
    if (priorMap === undefined) return undefined;
    const spec = loadSteps({ ...this.repo.data, compressType: 'none', raw: true });
    const source = await this.repo.storage.read(priorMap.path, { offset: priorMap.offset, length: priorMap.length });
    const sink = new MemorySink(priorMap.length);
    const pipeline = openPipeline(spec, this.#codecs, chunk => sink.write(chunk));
    try {
      await pump(source, () => pipeline, { write: () => undefined }, Buffer.allocUnsafe(65536));
    } finally {
      pipeline.close();
      await source.close();
    }
    return decodeBlockMap(sink.bytes(), blockSize, checksumSize);
  }
}
