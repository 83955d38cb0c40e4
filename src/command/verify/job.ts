/** What a worker does for verify: reads stored files and compares them with what they should be. */
import { BackstopError, isBackstopError } from '../../base/error.ts';
import { type BufferPool, bufferPool } from '../../codec/buffer-pool.ts';
import { type Codecs, openCodecs, type StepSpec } from '../../codec/codecs.ts';
import type { CompressType } from '../../codec/compress.ts';
import { hashResult, openPipeline, prepareSteps } from '../../codec/pipeline.ts';
import { openRepoStorage, type RepoSettings } from '../../storage/drivers.ts';
import type { ByteSource, Storage } from '../../storage/storage.ts';

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

/** A source being read, and where it is. */
interface OpenSource {
  readonly path: string;
  readonly source: ByteSource;
  position: number;
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

  /** Looks at files in order. Members of one bundle that follow each other are read in one go. */
  async verifyFiles(tasks: readonly VerifyTask[]): Promise<VerifyVerdict[]> {
    const buffer = this.#buffers.take();
    const verdicts: VerifyVerdict[] = [];
    let open: OpenSource | undefined;
    try {
      for (const [index, task] of tasks.entries()) {
        try {
          if (open?.path !== task.path || open.position !== task.part?.offset) {
            await open?.source.close();
            open = undefined;
            open = await this.#open(tasks, index);
          }
          verdicts.push(await this.#verify(task, open, buffer));
        } catch (error) {
          verdicts.push(verdictOf(error));
          await open?.source.close();
          open = undefined;
        }
      }
      return verdicts;
    } finally {
      await open?.source.close();
      this.#buffers.give(buffer);
    }
  }

  /** Opens the file of a task, up to the end of the last part that lies without a gap behind it. */
  async #open(tasks: readonly VerifyTask[], index: number): Promise<OpenSource> {
    const { path, part } = tasks[index] as VerifyTask;
    if (part === undefined) return { path, source: await this.#repo.read(path), position: 0 };
    let end = part.offset;
    for (const next of tasks.slice(index)) {
      if (next.path !== path || next.part?.offset !== end) break;
      end += next.part.length;
    }
    const source = await this.#repo.read(path, { offset: part.offset, length: end - part.offset });
    return { path, source, position: part.offset };
  }

  async #verify(task: VerifyTask, open: OpenSource, buffer: Buffer): Promise<VerifyVerdict> {
    const steps = stepsOf(task);
    await prepareSteps(steps, this.#codecs);
    let size = 0;
    const most = mostBytes(task);
    const pipeline = openPipeline(steps, this.#codecs, chunk => {
      size += chunk.length;
      if (size > most) throw new TooLong();
    });
    try {
      let left = task.part?.length ?? Number.POSITIVE_INFINITY;
      while (left > 0) {
        const reading = open.source.read(left < buffer.length ? buffer.subarray(0, left) : buffer);
        const count = typeof reading === 'number' ? reading : await reading;
        if (count === 0) break;
        left -= count;
        open.position += count;
        pipeline.push(buffer.subarray(0, count));
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
  if (!isBackstopError(error)) throw error;
  return error.kind === 'file-missing' ? 'missing' : { code: error.code, message: error.message };
}

/** @throws assert for a verdict that has no file */
export function verdictAt(verdicts: readonly VerifyVerdict[], index: number): VerifyVerdict {
  const verdict = verdicts[index];
  if (verdict === undefined) throw new BackstopError('assert', 'worker gave too few verdicts');
  return verdict;
}
