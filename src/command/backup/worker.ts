/**
 * Copies files from the cluster into repositories in a worker thread, and learns all about them on the way. A file is read
 * once, whatever the number of repositories that it goes to.
 */
import { asBackstopError, BackstopError, errorToPlain, isKind } from '../../base/error.ts';
import { type BufferPool, bufferPool } from '../../codec/buffer-pool.ts';
import { type Codecs, openCodecs, type StepSpec } from '../../codec/codecs.ts';
import {
  countResult,
  hashResult,
  openPipeline,
  prepareSteps,
  type StepKinds,
  type StepResults,
} from '../../codec/pipeline.ts';
import { openSharedPipeline, type PipelineBranch, type SharedPipeline } from '../../codec/shared-pipeline.ts';
import { loadXxh128, type Xxh128 } from '../../codec/xxhash.ts';
import { shallRetry } from '../../parallel/thread-port.ts';
import { readControlFile } from '../../postgres/control.ts';
import { mayVanish } from '../../postgres/files.ts';
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
import { bytesSource } from '../../repo/bytes-source.ts';
import { controlName, emptyChecksum } from '../../repo/manifest/manifest.ts';
import { forAll } from '../../repo/object-store.ts';
import { storeSteps } from '../../repo/stored-steps.ts';
import { openClusterStorage, openRepoStorage } from '../../storage/drivers.ts';
import { readAgain } from '../../storage/posix/read-again.ts';
import { pump, pumpInto } from '../../storage/pump.ts';
import type { ByteSource, Storage } from '../../storage/storage.ts';
import { HeldSource } from './held-source.ts';
import type {
  BackupFileResult,
  BackupFilesInput,
  BackupFileTask,
  BackupThreadData,
  RepoOutput,
  RepoThreadData,
  StoreTask,
} from './job.ts';
import { type Content, type Destination, RepoShare, type StoreSteps, type WorkerRepo } from './repo-share.ts';
import { sourcePath } from './source.ts';

type Spec = StepSpec | PageChecksumSpec | BlockIncrementalSpec;

interface ClusterFiles {
  readonly storage: Storage;
  readonly path: string;
}

/** A file, and where it is read. */
interface SourceFile {
  readonly cluster: ClusterFiles;
  readonly task: BackupFileTask;
}

/** A file on its way into one repository. */
interface Store {
  readonly share: RepoShare;
  readonly task: StoreTask;
  readonly destination: Destination;
}

/** Opens what the jobs of a thread need, once. */
export async function openBackupJobs(data: BackupThreadData) {
  const clusters = new Map<number, ClusterFiles>();
  for (const { key, path, host } of data.clusters) {
    clusters.set(key, { storage: await openClusterStorage({ key, ...(host === undefined ? {} : { host }) }), path });
  }
  const worker = new BackupWorker(data, clusters);
  await worker.prepare();
  return { 'backup-files': (input: BackupFilesInput) => worker.copyFiles(input) };
}

class BackupWorker {
  readonly #data: BackupThreadData;
  readonly #clusters: ReadonlyMap<number, ClusterFiles>;
  readonly #repos = new Map<number, WorkerRepo>();
  /** Repositories in which nothing more is tried, and why. Only in a fan-out. */
  readonly #lost = new Map<number, BackstopError>();
  readonly #codecs: Codecs = openCodecs();
  readonly #buffers: BufferPool;
  readonly #pages = new PageChecker();
  #hashBlock: Xxh128 | undefined;

  constructor(data: BackupThreadData, clusters: ReadonlyMap<number, ClusterFiles>) {
    this.#data = data;
    this.#clusters = clusters;
    this.#buffers = bufferPool(data.bufferSize);
  }

  async prepare(): Promise<void> {
    for (const [index, data] of this.#data.repos.entries()) {
      await prepareSteps(storeSteps({ ...data, raw: false }), this.#codecs);
      try {
        const stored = { raw: plainSteps(data, true), framed: plainSteps(data, false) };
        this.#repos.set(index, { data, stored, storage: await openRepoStorage(data.repo) });
      } catch (error) {
        if (!this.#isFanOut) throw error;
        this.#lost.set(index, asBackstopError(error));
      }
    }
  }

  get #isFanOut(): boolean {
    return this.#data.repos.length > 1;
  }

  /**
   * Copies files in order. All are written before the first is waited for: the disk syncs them together. An answer means
   * that every file is durable. What fails in a repository of several is tried again there alone.
   */
  async copyFiles(input: BackupFilesInput): Promise<RepoOutput[]> {
    const cluster = this.#clusters.get(input.pgKey);
    if (cluster === undefined) throw new BackstopError('assert', `no cluster ${input.pgKey}`);
    const outputs = new Map<number, RepoOutput>();
    let repos = input.repos.filter(index => !this.#lost.has(index));
    for (let attempt = 0; repos.length > 0; attempt++) {
      const again: number[] = [];
      for (const [at, { failure, results }] of (await this.#copyJob(cluster, input, repos)).entries()) {
        const index = repos[at] ?? 0;
        if (failure === undefined) outputs.set(index, { results });
        else if (!this.#lost.has(index) && (await shallRetry(failure, attempt, this.#data.retry))) again.push(index);
        else this.#lost.set(index, this.#lost.get(index) ?? failure);
      }
      repos = again;
    }
    return input.repos.map(index => outputs.get(index) ?? { error: errorToPlain(this.#lost.get(index)) });
  }

  async #copyJob(cluster: ClusterFiles, input: BackupFilesInput, repos: readonly number[]): Promise<RepoShare[]> {
    const isLost = () => shares.every(({ failure }) => failure !== undefined);
    const onFailure = () => {
      if (isLost()) throw new BackstopError('runtime', 'no repository is left');
    };
    const names = input.files.map(({ name }) => name);
    const shares = repos.map(index => {
      const repo = this.#repos.get(index);
      if (repo === undefined) throw new BackstopError('assert', `no repository ${index}`);
      const at = input.repos.indexOf(index);
      const tasks = input.files.map(({ stores }) => stores[at]);
      return new RepoShare(repo, names, tasks, this.#codecs, this.#isFanOut ? onFailure : undefined);
    });
    const buffer = this.#buffers.take();
    try {
      await this.#checkResumed(cluster, input.files, shares);
      for (const [index, task] of input.files.entries()) {
        for (const share of shares) share.beginMaps(index);
        await this.#copyFile(cluster, task, index, shares, buffer);
      }
      await Promise.all(shares.map(share => share.attempt(() => share.commit())));
      await abortAll(shares.filter(({ failure }) => failure !== undefined));
    } catch (error) {
      await abortAll(shares);
      if (!isLost()) throw error;
    } finally {
      this.#buffers.give(buffer);
    }
    return shares;
  }

  /** Looks at what an aborted backup stored: several files at once where an answer takes long. */
  async #checkResumed(
    cluster: ClusterFiles,
    files: readonly BackupFileTask[],
    shares: readonly RepoShare[],
  ): Promise<void> {
    for (const share of shares) {
      if (files.every((_, index) => share.wants(index)?.resumed === undefined)) continue;
      const check = async (task: BackupFileTask, index: number) => {
        const buffer = this.#buffers.take();
        try {
          await share.checkResumed(
            index,
            resumed => this.#isContent(cluster, task, resumed, buffer),
            source => this.#hash(source, buffer),
          );
        } finally {
          this.#buffers.give(buffer);
        }
      };
      await share.attempt(async () => void (await forAll(files, check, share.readsAtOnce)));
    }
  }

  /** Whether the cluster's file has this content. */
  async #isContent(
    cluster: ClusterFiles,
    task: BackupFileTask,
    { size, checksum }: Content,
    buffer: Buffer,
  ): Promise<boolean> {
    const source = await this.#openSource(cluster, task);
    if (source === undefined) return false;
    try {
      const content = await this.#hash(source, buffer);
      return content.size === size && content.checksum === checksum;
    } finally {
      await source.close();
    }
  }

  async #copyFile(
    cluster: ClusterFiles,
    task: BackupFileTask,
    index: number,
    all: readonly RepoShare[],
    buffer: Buffer,
  ): Promise<void> {
    const shares = all.filter(share => share.wants(index) !== undefined);
    if (shares.length === 0) return;
    const opened = await this.#openSource(cluster, task);
    if (opened === undefined) return await vanish(shares, index);
    let source = new HeldSource(opened, buffer);
    try {
      const isEmpty = (await source.fill()) === 0;
      // a file that fits in one buffer costs nothing to compare first
      const isWhole = task.size <= buffer.length;
      const compared = shares.filter(share => {
        const prior = share.wants(index)?.prior;
        return prior !== undefined && (prior.always || isWhole);
      });
      if (compared.length > 0) {
        const content = await this.#hash(source, buffer);
        for (const share of compared) {
          const prior = share.wants(index)?.prior;
          if (content.size !== prior?.size || content.checksum !== prior.checksum) continue;
          await share.store(index, { outcome: 'matched', ...content });
        }
        const changed = shares.filter(share => share.wants(index) !== undefined);
        if (changed.length === 0) return;
        if (isWhole) source.rewind();
        else {
          await source.close();
          const again = await this.#openSource(cluster, task);
          if (again === undefined) return await vanish(changed, index);
          source = new HeldSource(again, buffer);
          await source.fill();
        }
      }
      await this.#store({ cluster, task }, index, { source, isEmpty }, shares, buffer);
    } finally {
      await source.close();
    }
  }

  /** Reads the source into all repositories that want the file. */
  async #store(
    file: SourceFile,
    index: number,
    { source, isEmpty }: { readonly source: ByteSource; readonly isEmpty: boolean },
    shares: readonly RepoShare[],
    buffer: Buffer,
  ): Promise<void> {
    const stores: Store[] = [];
    for (const share of shares) {
      const task = share.wants(index);
      if (task === undefined) continue;
      if (isEmpty && task.bundleId > 0) {
        // a file that shrank to nothing takes no place, like every empty file of a bundled backup
        await share.store(index, emptyFile);
        continue;
      }
      const destination = await share.attempt(() => share.open(index, task, file.task.size));
      if (destination !== undefined) stores.push({ share, task, destination });
    }
    if (stores.length === 0) return;
    const hashBlock = await this.#blockHash(stores);
    const pipelines: SharedPipeline[] = [];
    try {
      await pumpInto(
        source,
        into => {
          const pipeline = openSharedPipeline(
            stores.map((store): PipelineBranch<Spec> => {
              const { shared, own } = this.#specOf(store);
              return { shared, own, kinds: this.#kindsOf(file, store, hashBlock), sink: into(store.destination.sink) };
            }),
          );
          pipelines.push(pipeline);
          return pipeline;
        },
        buffer,
      );
      const results = pipelines[0]?.results() ?? [];
      for (const [at, { share }] of stores.entries()) {
        await share.attempt(() => share.store(index, resultOf(results[at] ?? {})));
      }
    } finally {
      for (const pipeline of pipelines) pipeline.close();
    }
  }

  /** How the steps of a file are made; most files have those that every thread has. */
  #kindsOf(file: SourceFile, { task, destination }: Store, hashBlock: Xxh128): StepKinds<Spec> {
    if (task.pageSegment === undefined && task.block === undefined) {
      // none of its steps is of another kind
      return this.#codecs as unknown as StepKinds<Spec>;
    }
    const path = sourcePath(file.cluster.path, file.task.name);
    return {
      ...this.#codecs,
      'page-checksum': pageChecksumKind(this.#pages, (page, piece) =>
        readAgain(path, page * this.#data.pageSize, piece),
      ),
      'block-incremental': blockIncrementalKind(this.#codecs, hashBlock, destination.priorMap),
    };
  }

  #specOf({ task, destination, share }: Store): Pick<PipelineBranch<Spec>, 'shared' | 'own'> {
    const { block, pageSegment } = task;
    const stored = share.repo.stored[destination.raw ? 'raw' : 'framed'];
    if (block === undefined && pageSegment === undefined) return stored;
    const { pageSize, pageHeaderCheck } = this.#data;
    const { data } = share.repo;
    const content: Spec[] = [...contentSteps];
    if (pageSegment !== undefined) {
      content.push({
        step: 'page-checksum',
        id: 'pages',
        pageSize,
        segment: pageSegment,
        headerCheck: pageHeaderCheck,
      });
    }
    if (block === undefined) return { shared: [...content, ...stored.shared.slice(contentSteps.length)], own: [] };
    const { bundleId, offset } = destination;
    const { blockSize, checksumSize, superBlockSize, reference } = block;
    const blocks: Spec = {
      step: 'block-incremental',
      id: 'blocks',
      blockSize,
      checksumSize,
      superBlockSize,
      reference,
      bundleId,
      offset,
      superBlockSteps: storeSteps({ ...data, raw: true }),
      mapSteps: storeSteps({ ...data, compressType: 'none', raw: true }),
    };
    return { shared: content, own: [blocks, ...storedSteps] };
  }

  async #blockHash(stores: readonly Store[]): Promise<Xxh128> {
    if (stores.every(({ task }) => task.block === undefined)) return () => undefined;
    this.#hashBlock ??= await loadXxh128();
    return this.#hashBlock;
  }

  async #hash(source: ByteSource, buffer: Buffer): Promise<Content> {
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
    if (task.name === controlName) {
      const { forcedVersion } = this.#data;
      const { image } = await readControlFile(cluster.storage, cluster.path, { forcedVersion });
      return bytesSource(image);
    }
    try {
      return await cluster.storage.read(sourcePath(cluster.path, task.name), { length: task.size });
    } catch (error) {
      if (mayVanish(task.name) && isKind(error, 'file-missing')) return undefined;
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

/** What is learned of the content. */
const contentSteps: readonly StepSpec[] = [
  { step: 'hash', algorithm: 'sha1', id: 'content' },
  { step: 'count', id: 'content-size' },
];

/** What is learned of stored bytes that are not the content. */
const storedSteps: readonly StepSpec[] = [
  { step: 'hash', algorithm: 'sha1', id: 'stored' },
  { step: 'count', id: 'stored-size' },
];

/** The steps of a file that has no page checksums and is not stored by blocks. */
function plainSteps(data: RepoThreadData, raw: boolean): StoreSteps {
  const steps = storeSteps({ ...data, raw });
  return { shared: steps.length === 0 ? contentSteps : [...contentSteps, ...steps, ...storedSteps], own: [] };
}

function resultOf(results: StepResults): BackupFileResult {
  const size = countResult(results, 'content-size');
  const checksum = hashResult(results, 'content');
  const blocks = results.blocks as BlockIncrementalResult | undefined;
  if (blocks?.stored === false && size > 0) return { outcome: 'matched', checksum, size };
  const altered = results.stored !== undefined;
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
}

async function vanish(shares: readonly RepoShare[], index: number): Promise<void> {
  for (const share of shares) await share.attempt(() => share.vanish(index));
}

/** Whatever this fails with, what led here is the failure to tell. */
async function abortAll(shares: readonly RepoShare[]): Promise<void> {
  await Promise.allSettled(shares.map(share => share.abort()));
}
