/** Copies files from the cluster into the repository in a worker thread, and learns all about them on the way. */
import { BackstopError, isKind } from '../../base/error.ts';
import { type BufferPool, bufferPool } from '../../codec/buffer-pool.ts';
import { type Codecs, openCodecs, type StepSpec } from '../../codec/codecs.ts';
import { countResult, hashResult, openPipeline, type Pipeline, prepareSteps } from '../../codec/pipeline.ts';
import { loadXxh128, type Xxh128 } from '../../codec/xxhash.ts';
import { readControlFile } from '../../postgres/control.ts';
import {
  PageChecker,
  type PageChecksumResult,
  type PageChecksumSpec,
  pageChecksumKind,
} from '../../postgres/page-checksum.ts';
import {
  type BlockIncrementalResult,
  type BlockIncrementalSpec,
  blockIncrementalKind,
} from '../../repo/block/incremental.ts';
import { type BlockItem, decodeBlockMap } from '../../repo/block/map.ts';
import { bytesSource } from '../../repo/bytes-source.ts';
import { emptyChecksum } from '../../repo/manifest/manifest.ts';
import { begun, forAll, isObjectStore } from '../../repo/object-store.ts';
import { loadSteps, storeSteps } from '../../repo/stored-steps.ts';
import { openClusterStorage, openRepoStorage } from '../../storage/drivers.ts';
import { LockedError } from '../../storage/kept-files.ts';
import { readAgain } from '../../storage/posix/read-again.ts';
import { MemorySink, pump } from '../../storage/pump.ts';
import type { ByteSink, ByteSource, Storage } from '../../storage/storage.ts';
import type { BackupFileResult, BackupFilesInput, BackupFileTask, BackupThreadData, BlockTask } from './job.ts';

type Spec = StepSpec | PageChecksumSpec | BlockIncrementalSpec;

interface ClusterFiles {
  readonly storage: Storage;
  readonly path: string;
}

/** Where stored bytes go: a file of their own, or the bundle behind what it holds already. */
interface Destination {
  readonly sink: Pick<ByteSink, 'write'>;
  readonly bundleId: number;
  /** Bytes before this file's. */
  readonly offset: number;
  readonly raw: boolean;
  /** The prior backup's map of the file, when it is on its way already. */
  readonly map?: Promise<BlockItem[] | undefined> | undefined;
}

/** Reads begun ahead of their turn where an answer takes long. */
const readsAhead = 8;

/** Opens what the jobs of a thread need, once. */
export async function openBackupJobs(data: BackupThreadData) {
  const clusters = new Map<number, ClusterFiles>();
  for (const { key, path, host } of data.clusters) {
    clusters.set(key, { storage: await openClusterStorage({ key, ...(host === undefined ? {} : { host }) }), path });
  }
  const worker = new BackupWorker(data, await openRepoStorage(data.repo), clusters);
  await worker.prepare();
  return { 'backup-files': (input: BackupFilesInput) => worker.copyFiles(input) };
}

class BackupWorker {
  readonly #data: BackupThreadData;
  readonly #repo: Storage;
  readonly #clusters: ReadonlyMap<number, ClusterFiles>;
  readonly #codecs: Codecs = openCodecs();
  readonly #buffers: BufferPool;
  readonly #pages = new PageChecker();
  /** Small reads of the repository that are begun before it is known whether they will be needed. */
  readonly #ahead: number;
  #hashBlock: Xxh128 | undefined;

  constructor(data: BackupThreadData, repo: Storage, clusters: ReadonlyMap<number, ClusterFiles>) {
    this.#data = data;
    this.#repo = repo;
    this.#clusters = clusters;
    this.#buffers = bufferPool(data.bufferSize);
    this.#ahead = isObjectStore(repo) ? readsAhead : 0;
  }

  async prepare(): Promise<void> {
    await prepareSteps(storeSteps({ ...this.#data, raw: false }), this.#codecs);
  }

  /**
   * Copies files in order. All are written before the first is waited for: the disk syncs them together. An answer means
   * that every file is durable.
   */
  async copyFiles(input: BackupFilesInput): Promise<BackupFileResult[]> {
    const cluster = this.#clusters.get(input.pgKey);
    if (cluster === undefined) throw new BackstopError('assert', `no cluster ${input.pgKey}`);
    const buffer = this.#buffers.take();
    try {
      return input.bundle === undefined
        ? await this.#copySeparately(cluster, input.files, buffer)
        : await this.#copyBundle(cluster, input.files, input.bundle, buffer);
    } finally {
      this.#buffers.give(buffer);
    }
  }

  async #copySeparately(
    cluster: ClusterFiles,
    files: readonly BackupFileTask[],
    buffer: Buffer,
  ): Promise<BackupFileResult[]> {
    const commits: Promise<void>[] = [];
    try {
      const results: BackupFileResult[] = [];
      const resumable = await this.#checkResumable(cluster, files);
      for (const [index, task] of files.entries()) {
        const { isUnchanged = true, isStored = false } = resumable[index] ?? {};
        if (isUnchanged && isStored) {
          results.push({ outcome: 'resumed' });
          continue;
        }
        const result = await this.#copyFile(cluster, task, buffer, async source => {
          const sink = await this.#repo.write(task.repoPath, { atomic: false, permanent: true, sizeHint: task.size });
          let stored: BackupFileResult;
          try {
            stored = await this.#store(task, source, buffer, {
              sink,
              bundleId: 0,
              offset: 0,
              raw: false,
            });
          } catch (error) {
            await sink.abort();
            throw error;
          }
          if (stored.outcome !== 'copied') {
            await sink.abort();
            return stored;
          }
          const commit = sink.commit();
          // an early failure is reported by the wait for all; until then it must not look unhandled
          commit.catch(() => undefined);
          commits.push(commit);
          return task.resumed === undefined || !isUnchanged ? stored : { ...stored, resumeFailed: true };
        });
        if (result.outcome === 'vanished' && task.resumed !== undefined) await this.#removeResumed(task.repoPath);
        results.push(result);
      }
      await Promise.all(commits);
      return results;
    } catch (error) {
      await Promise.allSettled(commits);
      throw error;
    }
  }

  /** Looks at what an aborted backup stored: several files at once where an answer takes long. */
  async #checkResumable(
    cluster: ClusterFiles,
    files: readonly BackupFileTask[],
  ): Promise<({ readonly isUnchanged: boolean; readonly isStored: boolean } | undefined)[]> {
    if (files.every(({ resumed }) => resumed === undefined)) return [];
    const check = async (task: BackupFileTask) => {
      if (task.resumed === undefined) return undefined;
      const buffer = this.#buffers.take();
      try {
        const isUnchanged = await this.#isUnchanged(cluster, task, buffer);
        return { isUnchanged, isStored: isUnchanged && (await this.#isResumed(task, buffer)) };
      } finally {
        this.#buffers.give(buffer);
      }
    };
    return await forAll(files, check, Math.max(1, this.#ahead));
  }

  /** Removes what is in no manifest. Where it is locked it stays, and goes together with the backup. */
  async #removeResumed(path: string): Promise<void> {
    try {
      await this.#repo.remove(path);
    } catch (error) {
      if (!(error instanceof LockedError)) throw error;
    }
  }

  /** Whether what an aborted backup stored is whole. */
  async #isResumed({ resumed, repoPath }: BackupFileTask, buffer: Buffer): Promise<boolean> {
    if (resumed === undefined) return false;
    let source: ByteSource;
    try {
      // a byte more than there should be, so that a larger file is seen
      source = await this.#repo.read(repoPath, { length: resumed.sizeRepo + 1 });
    } catch (error) {
      if (isKind(error, 'file-missing')) return false;
      throw error;
    }
    try {
      const stored = await this.#hash(source, buffer);
      if (stored.size !== resumed.sizeRepo || stored.checksum !== resumed.checksumRepo) return false;
    } finally {
      await source.close();
    }
    // the backup that wrote it may have ended before its bytes were on disk
    await this.#repo.paths?.sync(repoPath);
    return true;
  }

  /** Whether the cluster's file still is what an aborted backup stored of it; taken on trust unless it is to be compared. */
  async #isUnchanged(cluster: ClusterFiles, task: BackupFileTask, buffer: Buffer): Promise<boolean> {
    const { resumed } = task;
    if (resumed === undefined || !resumed.compare) return true;
    const source = await this.#openSource(cluster, task);
    if (source === undefined) return false;
    try {
      const content = await this.#hash(source, buffer);
      return content.size === resumed.size && content.checksum === resumed.checksum;
    } finally {
      await source.close();
    }
  }

  /** A bundle that no file went into is not made. */
  async #copyBundle(
    cluster: ClusterFiles,
    files: readonly BackupFileTask[],
    bundle: { readonly id: number; readonly path: string },
    buffer: Buffer,
  ): Promise<BackupFileResult[]> {
    const sink = await this.#repo.write(bundle.path, { atomic: false, permanent: true });
    let offset = 0;
    const maps: (Promise<BlockItem[] | undefined> | undefined)[] = [];
    try {
      const results: BackupFileResult[] = [];
      for (const [index, task] of files.entries()) {
        for (let next = maps.length; next < files.length && next < index + this.#ahead; next++) {
          maps.push(this.#beginMap(files[next]));
        }
        const map = maps[index];
        maps[index] = undefined;
        const result = await this.#copyFile(cluster, task, buffer, async opened => {
          const source = await peek(opened, buffer);
          // a file that shrank to nothing takes no place, like every empty file of a bundled backup
          if (source === undefined) return emptyFile;
          const { bundleRaw: raw } = this.#data;
          const stored = await this.#store(task, source, buffer, { sink, bundleId: bundle.id, offset, raw, map });
          return stored.outcome === 'copied' ? { ...stored, bundleOffset: offset } : stored;
        });
        if (result.outcome === 'copied') offset += result.sizeRepo;
        results.push(result);
      }
      if (offset === 0) await sink.abort();
      else await sink.commit();
      return results;
    } catch (error) {
      await sink.abort();
      throw error;
    }
  }

  async #copyFile(
    cluster: ClusterFiles,
    task: BackupFileTask,
    buffer: Buffer,
    store: (source: ByteSource) => Promise<BackupFileResult>,
  ): Promise<BackupFileResult> {
    const opened = await this.#openSource(cluster, task);
    if (opened === undefined) return { outcome: 'vanished' };
    let source = opened;
    try {
      const { prior } = task;
      // a file that fits in one buffer costs nothing to compare first
      if (prior !== undefined && (prior.always || task.size <= buffer.length)) {
        const content = await this.#hash(source, buffer);
        if (content.size === prior.size && content.checksum === prior.checksum) {
          return { outcome: 'matched', ...content };
        }
        await source.close();
        const again = await this.#openSource(cluster, task);
        if (again === undefined) return { outcome: 'vanished' };
        source = again;
      }
      return await store(source);
    } finally {
      await source.close();
    }
  }

  async #store(
    task: BackupFileTask,
    source: ByteSource,
    buffer: Buffer,
    destination: Destination,
  ): Promise<BackupFileResult> {
    const { block } = task;
    const priorMap = await (destination.map ?? this.#beginMap(task));
    const spec = this.#specOf(task, destination);
    const altered = spec.some(step => step.step === 'hash' && step.id === 'stored');
    const kinds = {
      ...this.#codecs,
      'page-checksum': pageChecksumKind(this.#pages, (page, into) =>
        readAgain(task.path, page * this.#data.pageSize, into),
      ),
      'block-incremental': blockIncrementalKind(this.#codecs, await this.#blockHash(block), priorMap),
    };
    const pipelines: Pipeline[] = [];
    try {
      await pump(
        source,
        emit => {
          const pipeline = openPipeline<Spec>(spec, kinds, emit);
          pipelines.push(pipeline);
          return pipeline;
        },
        destination.sink,
        buffer,
      );
      const results = pipelines[0]?.results() ?? {};
      const size = countResult(results, 'content-size');
      const checksum = hashResult(results, 'content');
      const blocks = results.blocks as BlockIncrementalResult | undefined;
      if (blocks?.stored === false && size > 0) return { outcome: 'matched', checksum, size };
      const pages = results.pages as PageChecksumResult | undefined;
      return {
        outcome: 'copied',
        size,
        sizeRepo: altered ? countResult(results, 'stored-size') : size,
        checksum,
        ...(altered ? { checksumRepo: hashResult(results, 'stored') } : {}),
        ...(pages === undefined ? {} : { pages }),
        ...(blocks === undefined ? {} : { blockMapSize: blocks.mapSize }),
      };
    } finally {
      for (const pipeline of pipelines) pipeline.close();
    }
  }

  #specOf(task: BackupFileTask, { bundleId, offset, raw }: Destination): Spec[] {
    const { pageSize, pageHeaderCheck } = this.#data;
    const { block, pageSegment } = task;
    const spec: Spec[] = [
      { step: 'hash', algorithm: 'sha1', id: 'content' },
      { step: 'count', id: 'content-size' },
    ];
    if (pageSegment !== undefined) {
      spec.push({ step: 'page-checksum', id: 'pages', pageSize, segment: pageSegment, headerCheck: pageHeaderCheck });
    }
    const plain = spec.length;
    if (block === undefined) {
      spec.push(...storeSteps({ ...this.#data, raw }));
    } else {
      const { blockSize, checksumSize, superBlockSize, reference } = block;
      spec.push({
        step: 'block-incremental',
        id: 'blocks',
        blockSize,
        checksumSize,
        superBlockSize,
        reference,
        bundleId,
        offset,
        superBlockSteps: storeSteps({ ...this.#data, raw: true }),
        mapSteps: storeSteps({ ...this.#data, compressType: 'none', raw: true }),
      });
    }
    if (spec.length > plain) {
      spec.push({ step: 'hash', algorithm: 'sha1', id: 'stored' }, { step: 'count', id: 'stored-size' });
    }
    return spec;
  }

  async #blockHash(block: BlockTask | undefined): Promise<Xxh128> {
    if (block === undefined) return () => undefined;
    this.#hashBlock ??= await loadXxh128();
    return this.#hashBlock;
  }

  /** Begins to read the prior map of a file that is stored by blocks; a failure is told when it is wanted. */
  #beginMap(task: BackupFileTask | undefined): Promise<BlockItem[] | undefined> | undefined {
    return task?.block === undefined ? undefined : begun(this.#readMap(task.block));
  }

  async #readMap({ priorMap, blockSize, checksumSize }: BlockTask): Promise<BlockItem[] | undefined> {
    if (priorMap === undefined) return undefined;
    const spec = loadSteps({ ...this.#data, compressType: 'none', raw: true });
    const source = await this.#repo.read(priorMap.path, { offset: priorMap.offset, length: priorMap.length });
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

  async #hash(source: ByteSource, buffer: Buffer): Promise<{ checksum: string; size: number }> {
    const pipeline = openPipeline<StepSpec>(
      [
        { step: 'hash', algorithm: 'sha1', id: 'content' },
        { step: 'count', id: 'size' },
      ],
      this.#codecs,
      () => undefined,
    );
    try {
      await pump(source, () => pipeline, { write: () => undefined }, buffer);
      const results = pipeline.results();
      return { checksum: hashResult(results, 'content'), size: countResult(results, 'size') };
    } finally {
      pipeline.close();
    }
  }

  /** @returns undefined when the server removed the file, which it may */
  async #openSource(cluster: ClusterFiles, task: BackupFileTask): Promise<ByteSource | undefined> {
    if (task.isControl) {
      const { forcedVersion } = this.#data;
      const { image } = await readControlFile(cluster.storage, cluster.path, { forcedVersion });
      return bytesSource(image);
    }
    try {
      return await cluster.storage.read(task.path, { length: task.size });
    } catch (error) {
      if (task.mayVanish && isKind(error, 'file-missing')) return undefined;
      throw error;
    }
  }
}

const emptyFile: BackupFileResult = {
  outcome: 'copied',
  size: 0,
  sizeRepo: 0,
  checksum: emptyChecksum,
};

/** Reads the first piece. @returns undefined for an empty source; else one that gives that piece again first */
async function peek(source: ByteSource, buffer: Uint8Array): Promise<ByteSource | undefined> {
  const count = await source.read(buffer);
  if (count === 0) return undefined;
  let pending = count;
  return {
    read(into) {
      if (pending === 0) return source.read(into);
      // the piece is where the pump wants it already
      if (into.buffer !== buffer.buffer || into.byteOffset !== buffer.byteOffset) {
        throw new BackstopError('assert', 'a peeked source is read into another buffer');
      }
      pending = 0;
      return count;
    },
    close: () => source.close(),
  };
}
