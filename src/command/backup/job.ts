/** What a worker does for a backup: copies files from the cluster into the repository, and learns all about them on the way. */
import { BackstopError, isKind } from '../../base/error.ts';
import { type BufferPool, bufferPool } from '../../codec/buffer-pool.ts';
import type { Codecs, StepSpec } from '../../codec/codecs.ts';
import { openCodecs } from '../../codec/codecs.ts';
import { countResult, hashResult, openPipeline, type Pipeline, prepareSteps } from '../../codec/pipeline.ts';
import { readControlFile } from '../../postgres/control.ts';
import {
  PageChecker,
  type PageChecksumResult,
  type PageChecksumSpec,
  pageChecksumKind,
} from '../../postgres/page-checksum.ts';
import type { CompressType } from '../../repo/manifest/manifest.ts';
import { openClusterStorage, openRepoStorage, type RepoSettings } from '../../storage/drivers.ts';
import { readAgain } from '../../storage/posix/read-again.ts';
import { pump } from '../../storage/pump.ts';
import type { ByteSource, Storage } from '../../storage/storage.ts';

/** What every worker of a backup knows from its start. */
export interface BackupThreadData {
  readonly command: 'backup';
  readonly repo: RepoSettings;
  readonly clusters: readonly { readonly key: number; readonly path: string; readonly host?: string }[];
  /** Bytes of a read. */
  readonly bufferSize: number;
  readonly compressType: CompressType;
  readonly compressLevel: number;
  /** Passphrase of the files of this backup set. */
  readonly cipherPass?: string;
  readonly pageSize: number;
  readonly pageHeaderCheck: boolean;
  readonly forcedVersion?: string;
  readonly retry: { readonly count: number; readonly interval: number };
}

export interface BackupFileTask {
  /** Absolute path in the cluster. */
  readonly path: string;
  /** Where it is stored, below repo-path. */
  readonly repoPath: string;
  /** Bytes to copy at most: what the manifest saw. Growth is WAL's business. */
  readonly size: number;
  /** The server may have removed it. */
  readonly mayVanish: boolean;
  /** global/pg_control, which is read until its CRC is right. */
  readonly isControl: boolean;
  /** Which gigabyte of its relation the file is, when its pages have checksums. */
  readonly pageSegment?: number;
  /** The prior backup's content: an equal file is not stored again. `always`: compare before anything is written. */
  readonly prior?: { readonly checksum: string; readonly size: number; readonly always: boolean };
}

export interface BackupFilesInput {
  readonly pgKey: number;
  readonly files: readonly BackupFileTask[];
}

export type BackupFileResult =
  | { readonly outcome: 'vanished' }
  | { readonly outcome: 'matched'; readonly checksum: string; readonly size: number }
  | {
      readonly outcome: 'copied';
      readonly size: number;
      readonly sizeRepo: number;
      readonly checksum: string;
      /** Present when the stored bytes are not the content. */
      readonly checksumRepo?: string;
      readonly pages?: PageChecksumResult;
    };

/** Jobs of a backup: several small files, or one large one. */
export type BackupJobs = {
  readonly 'backup-files': { readonly input: BackupFilesInput; readonly output: readonly BackupFileResult[] };
};

type Steps = Codecs & { readonly 'page-checksum': ReturnType<typeof pageChecksumKind> };
type Spec = StepSpec | PageChecksumSpec;

/** Opens the storages once for the thread. */
export async function openBackupJobs(data: BackupThreadData) {
  const repo = await openRepoStorage(data.repo);
  const clusters = new Map<number, { readonly storage: Storage; readonly path: string }>();
  for (const { key, path, host } of data.clusters) {
    clusters.set(key, { storage: await openClusterStorage({ key, ...(host === undefined ? {} : { host }) }), path });
  }
  const worker = new BackupWorker(data, repo, clusters, openCodecs(), bufferPool(data.bufferSize));
  await worker.prepare();
  return { 'backup-files': (input: BackupFilesInput) => worker.copyFiles(input) };
}

class BackupWorker {
  readonly #data: BackupThreadData;
  readonly #repo: Storage;
  readonly #clusters: ReadonlyMap<number, { readonly storage: Storage; readonly path: string }>;
  readonly #codecs: Codecs;
  readonly #buffers: BufferPool;
  readonly #pages = new PageChecker();

  constructor(
    data: BackupThreadData,
    repo: Storage,
    clusters: ReadonlyMap<number, { readonly storage: Storage; readonly path: string }>,
    codecs: Codecs,
    buffers: BufferPool,
  ) {
    this.#data = data;
    this.#repo = repo;
    this.#clusters = clusters;
    this.#codecs = codecs;
    this.#buffers = buffers;
  }

  async prepare(): Promise<void> {
    await prepareSteps(this.#storeSteps(), this.#codecs);
  }

  /**
   * Copies files in order. All are written before the first is waited for: the disk syncs them together. An answer means
   * that every file is durable.
   */
  async copyFiles(input: BackupFilesInput): Promise<BackupFileResult[]> {
    const cluster = this.#clusters.get(input.pgKey);
    if (cluster === undefined) throw new BackstopError('assert', `no cluster ${input.pgKey}`);
    const buffer = this.#buffers.take();
    const commits: Promise<void>[] = [];
    try {
      const results: BackupFileResult[] = [];
      for (const task of input.files) results.push(await this.#copyFile(cluster, task, buffer, commits));
      await Promise.all(commits);
      return results;
    } catch (error) {
      await Promise.allSettled(commits);
      throw error;
    } finally {
      this.#buffers.give(buffer);
    }
  }

  async #copyFile(
    cluster: { readonly storage: Storage; readonly path: string },
    task: BackupFileTask,
    buffer: Buffer,
    commits: Promise<void>[],
  ): Promise<BackupFileResult> {
    const opened = await this.#openSource(cluster, task);
    if (opened === undefined) return { outcome: 'vanished' };
    let source = opened;
    try {
      const { prior } = task;
      // a file that fits in one buffer costs nothing to compare first
      if (prior !== undefined && (prior.always || task.size <= buffer.length)) {
        const content = await this.#hash(source, buffer);
        if (content.size === prior.size && content.checksum === prior.checksum)
          return { outcome: 'matched', ...content };
        await source.close();
        const again = await this.#openSource(cluster, task);
        if (again === undefined) return { outcome: 'vanished' };
        source = again;
      }
      return await this.#store(task, source, buffer, commits);
    } finally {
      await source.close();
    }
  }

  async #store(
    task: BackupFileTask,
    source: ByteSource,
    buffer: Buffer,
    commits: Promise<void>[],
  ): Promise<BackupFileResult> {
    const { pageSize, pageHeaderCheck } = this.#data;
    const store = this.#storeSteps();
    const altered = store.length > 0;
    const withPages = task.pageSegment !== undefined;
    const spec: Spec[] = [
      { step: 'hash', algorithm: 'sha1', id: 'content' },
      { step: 'count', id: 'content-size' },
      ...(withPages
        ? [
            {
              step: 'page-checksum',
              id: 'pages',
              pageSize,
              segment: task.pageSegment,
              headerCheck: pageHeaderCheck,
            } as const,
          ]
        : []),
      ...store,
      ...(altered
        ? ([
            { step: 'hash', algorithm: 'sha1', id: 'stored' },
            { step: 'count', id: 'stored-size' },
          ] as const)
        : []),
    ];
    const kinds: Steps = {
      ...this.#codecs,
      'page-checksum': pageChecksumKind(this.#pages, (page, into) => readAgain(task.path, page * pageSize, into)),
    };
    const sink = await this.#repo.write(task.repoPath, { atomic: false, sizeHint: task.size });
    let pipeline: Pipeline | undefined;
    try {
      await pump(
        source,
        emit => {
          pipeline = openPipeline<Spec>(spec, kinds, emit);
          return pipeline;
        },
        sink,
        buffer,
      );
      if (pipeline === undefined) throw new BackstopError('assert', 'no pipeline was opened');
      const results = (pipeline as Pipeline).results();
      const size = countResult(results, 'content-size');
      const pages = withPages ? (results.pages as PageChecksumResult) : undefined;
      const commit = sink.commit();
      // an early failure is reported by the wait for all; until then it must not look unhandled
      commit.catch(() => undefined);
      commits.push(commit);
      return {
        outcome: 'copied',
        size,
        sizeRepo: altered ? countResult(results, 'stored-size') : size,
        checksum: hashResult(results, 'content'),
        ...(altered ? { checksumRepo: hashResult(results, 'stored') } : {}),
        ...(pages === undefined ? {} : { pages }),
      };
    } catch (error) {
      await sink.abort();
      throw error;
    } finally {
      pipeline?.close();
    }
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
  async #openSource(
    cluster: { readonly storage: Storage; readonly path: string },
    task: BackupFileTask,
  ): Promise<ByteSource | undefined> {
    if (task.isControl) {
      const { image } = await readControlFile(cluster.storage, cluster.path, {
        forcedVersion: this.#data.forcedVersion,
      });
      return bytesSource(image);
    }
    try {
      return await cluster.storage.read(task.path, { length: task.size });
    } catch (error) {
      if (task.mayVanish && isKind(error, 'file-missing')) return undefined;
      throw error;
    }
  }

  #storeSteps(): StepSpec[] {
    const { compressType: type, compressLevel: level, cipherPass } = this.#data;
    return [
      ...(type === 'none' ? [] : [{ step: 'compress', type, level, raw: false } as const]),
      ...(cipherPass === undefined ? [] : [{ step: 'encrypt', passphrase: cipherPass, raw: false } as const]),
    ];
  }
}

function bytesSource(bytes: Uint8Array): ByteSource {
  let at = 0;
  return {
    read(into) {
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      at += part.length;
      return part.length;
    },
    close: () => undefined,
  };
}
