/** What a worker does for verify: reads stored files and compares them with what they should be. */
import { BackstopError, isBackstopError } from '../../base/error.ts';
import { type BufferPool, bufferPool } from '../../codec/buffer-pool.ts';
import { type Codecs, openCodecs, type StepSpec } from '../../codec/codecs.ts';
import type { CompressType } from '../../codec/compress.ts';
import { hashResult, openPipeline, prepareSteps } from '../../codec/pipeline.ts';
import { PartReader } from '../../repo/part-reader.ts';
import { openRepoStorage, type RepoSettings } from '../../storage/drivers.ts';
import type { ByteSource, Storage } from '../../storage/storage.ts';
import { turnAfter } from '../../storage/turns.ts';
import { UnreachableError } from '../../storage/unreachable.ts';

export interface VerifyThreadData {
  readonly command: 'verify';
  readonly repo: RepoSettings;
  readonly bufferSize: number;
  readonly retry: { readonly count: number; readonly interval: number };
}

/** What a file, or a part of one, should be. */
export interface VerifyTask {
  readonly path: string;
  /** Where a bundle's member begins, and how long it is; absent: the whole file. */
  readonly part?: { readonly offset: number; readonly length: number };
  /** Bytes that the whole file should have as it is stored, where that is known. */
  readonly storedSize?: number;
  /** SHA-1 and size of the bytes: those stored, or those that come out of decoding. */
  readonly checksum: string;
  /** Absent when nobody knows it. */
  readonly size?: number;
  /** How to decode the bytes before they are compared; absent: they are compared as they are stored. */
  readonly decode?: {
    readonly compression?: CompressType;
    readonly passphrase?: string;
    /** In the smaller framing of bundles. */
    readonly raw: boolean;
  };
}

/** What is wrong with a file, or that nothing is. */
export type VerifyVerdict =
  | 'valid'
  | 'missing'
  | 'checksum'
  | 'size'
  | { readonly code: number; readonly message: string };

export type VerifyJobs = {
  readonly 'verify-files': { readonly input: readonly VerifyTask[]; readonly output: readonly VerifyVerdict[] };
};

export async function openVerifyJobs(data: VerifyThreadData) {
  const worker = new VerifyWorker(await openRepoStorage(data.repo), openCodecs(), bufferPool(data.bufferSize));
  return { 'verify-files': (input: readonly VerifyTask[]) => worker.verifyFiles(input) };
}

class VerifyWorker {
  readonly #repo: Storage;
  readonly #codecs: Codecs;
  readonly #buffers: BufferPool;

  constructor(repo: Storage, codecs: Codecs, buffers: BufferPool) {
    this.#repo = repo;
    this.#codecs = codecs;
    this.#buffers = buffers;
  }

  /** Looks at files in order. Members of one bundle that lie near each other are read in one go. */
  async verifyFiles(tasks: readonly VerifyTask[]): Promise<VerifyVerdict[]> {
    const buffer = this.#buffers.take();
    const reader = new PartReader(
      this.#repo,
      tasks.map(({ path, part, storedSize }) => ({
        path,
        offset: 0,
        ...part,
        ...(storedSize === undefined ? {} : { expected: storedSize }),
      })),
    );
    try {
      const verdicts: VerifyVerdict[] = [];
      for (const [index, task] of tasks.entries()) {
        try {
          verdicts.push(await this.#verify(task, await reader.open(index), buffer));
        } catch (error) {
          verdicts.push(verdictOf(error));
        }
      }
      return verdicts;
    } finally {
      await reader.close();
      this.#buffers.give(buffer);
    }
  }

  async #verify(task: VerifyTask, source: ByteSource, buffer: Buffer): Promise<VerifyVerdict> {
    const steps = stepsOf(task);
    await prepareSteps(steps, this.#codecs);
    let size = 0;
    const most = mostBytes(task);
    const pipeline = openPipeline(steps, this.#codecs, chunk => {
      size += chunk.length;
      if (size > most) throw new TooLong();
    });
    try {
      for (;;) {
        const reading = source.read(buffer);
        const count = typeof reading === 'number' ? reading : await reading;
        if (count === 0) break;
        pipeline.push(buffer.subarray(0, count));
        const turn = turnAfter(count);
        if (turn !== undefined) await turn;
      }
      pipeline.end();
      if (hashResult(pipeline.results(), 'checksum') !== task.checksum) return 'checksum';
      return task.size === undefined || task.size === size ? 'valid' : 'size';
    } finally {
      pipeline.close();
    }
  }
}

function stepsOf({ decode }: VerifyTask): StepSpec[] {
  const { compression, passphrase, raw = false } = decode ?? {};
  return [
    ...(passphrase === undefined ? [] : [{ step: 'decrypt', passphrase, raw } as const]),
    ...(compression === undefined ? [] : [{ step: 'decompress', type: compression, raw } as const]),
    { step: 'hash', algorithm: 'sha1', id: 'checksum' },
  ];
}

/** The largest segment that initdb can be asked for. */
const largestSegment = 1024 * 1024 * 1024;

/**
 * A file that gives more bytes than this is not read to its end, for a small one could be made to give bytes for days. A file
 * of the wrong size is still told from one of the wrong content when it is not much larger.
 */
const mostBytes = ({ size = 0 }: VerifyTask): number => Math.max(size * 2, largestSegment);

class TooLong extends Error {}

function verdictOf(error: unknown): VerifyVerdict {
  if (error instanceof TooLong) return 'checksum';
  // a service that is gone says nothing of its files, and asking for each of them would take days
  if (!isBackstopError(error) || error instanceof UnreachableError) throw error;
  return error.kind === 'file-missing' ? 'missing' : { code: error.code, message: error.message };
}

/** @throws assert for a verdict that has no file */
export function verdictAt(verdicts: readonly VerifyVerdict[], index: number): VerifyVerdict {
  const verdict = verdicts[index];
  if (verdict === undefined) throw new BackstopError('assert', 'worker gave too few verdicts');
  return verdict;
}
