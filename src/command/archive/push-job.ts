/** What a worker does for asynchronous archive-push: sends one file to the repositories that it is told to. */
import { errorFromPlain, errorToPlain, type PlainError } from '../../base/error.ts';
import { type Codecs, openCodecs } from '../../codec/codecs.ts';
import type { RetrySettings } from '../../parallel/thread-port.ts';
import type { ArchiveId } from '../../repo/history.ts';
import { begun } from '../../repo/object-store.ts';
import { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { ArchivedWal } from '../../repo/wal-store.ts';
import { openClusterStorage, openRepoStorage, type RepoSettings } from '../../storage/drivers.ts';
import type { Storage } from '../../storage/storage.ts';
import { UnreachableError } from '../../storage/unreachable.ts';
import { type RepoError, repoError } from '../repo-error.ts';
import { type FindSegment, type PushFileOptions, pushFile } from './push-file.ts';
import type { PushTarget } from './push-target.ts';

/** A repository as workers know it: what its info file says was read once, by the main thread. */
export interface PushTargetData {
  readonly repo: RepoSettings;
  readonly archiveId: ArchiveId;
  readonly passphrase?: string;
}

export interface PushThreadData {
  readonly command: 'archive-push';
  readonly stanza: string;
  readonly targets: readonly PushTargetData[];
  readonly options: Omit<PushFileOptions, 'codecs' | 'find' | 'incomplete'>;
  readonly retry: RetrySettings;
}

export interface PushTask {
  /** Absolute path of the file. */
  readonly path: string;
  readonly name: string;
  readonly targets: readonly {
    /** Number of the repository. */
    readonly key: number;
    /** The segment as it is there already. */
    readonly existing?: ArchivedWal;
  }[];
  /** There are other repositories that will not get it. */
  readonly incomplete: boolean;
}

export interface PushOutput {
  /** Repositories that have the file now. */
  readonly stored: readonly number[];
  /** Those among them that had it before. */
  readonly existing: readonly number[];
  readonly errors: readonly PlainRepoError[];
  /** What is wrong with the file itself. */
  readonly failure?: PlainError;
}

/** An error of one repository, as it crosses threads. */
export interface PlainRepoError {
  readonly key: number;
  readonly error: PlainError;
  /** The repository cannot be asked at all. */
  readonly unreachable: boolean;
}

export type PushJobs = { readonly 'push-file': { readonly input: PushTask; readonly output: PushOutput } };

export async function openPushJobs(data: PushThreadData) {
  const files = await openClusterStorage({ key: 1 });
  const targets = new Map(data.targets.map(target => [target.repo.key, begun(openTarget(target, data.stanza))]));
  const worker = new PushWorker(files, targets, data.options);
  return { 'push-file': (input: PushTask) => worker.push(input), close: () => worker.close() };
}

async function openTarget({ repo, ...rest }: PushTargetData, stanza: string): Promise<PushTarget> {
  return { repo: new StanzaRepo(repo, await openRepoStorage(repo), stanza), ...rest };
}

class PushWorker {
  readonly #files: Storage;
  readonly #targets: ReadonlyMap<number, Promise<PushTarget>>;
  readonly #options: PushThreadData['options'];
  readonly #codecs: Codecs = openCodecs();

  constructor(files: Storage, targets: ReadonlyMap<number, Promise<PushTarget>>, options: PushThreadData['options']) {
    this.#files = files;
    this.#targets = targets;
    this.#options = options;
  }

  async push({ path, name, targets, incomplete }: PushTask): Promise<PushOutput> {
    const errors: PlainRepoError[] = [];
    const opened: PushTarget[] = [];
    for (const { key } of targets) {
      try {
        const target = await this.#targets.get(key);
        if (target !== undefined) opened.push(target);
      } catch (error) {
        errors.push(plainRepoError(key, error));
      }
    }
    const known = new Map(targets.map(({ key, existing }) => [key, existing]));
    const find: FindSegment = async (_, among) => ({
      missing: among.filter(({ repo }) => known.get(repo.key) === undefined),
      existing: among.flatMap(target => {
        const wal = known.get(target.repo.key);
        return wal === undefined ? [] : [{ target, wal }];
      }),
      errors: [],
    });
    try {
      const result = await pushFile(this.#files, path, name, opened, {
        ...this.#options,
        codecs: this.#codecs,
        find,
        incomplete: incomplete || errors.length > 0,
      });
      for (const { repo } of opened) {
        const failed = result.errors.find(other => other.repo === repo.name);
        if (failed !== undefined) errors.push(plainRepoError(repo.key, failed.error));
      }
      const broken = new Set(errors.map(({ key }) => key));
      return {
        stored: opened.map(({ repo }) => repo.key).filter(key => !broken.has(key)),
        existing: result.existing.map(({ repo }) => repo.key),
        errors,
      };
    } catch (error) {
      return { stored: [], existing: [], errors, failure: errorToPlain(error) };
    }
  }

  async close(): Promise<void> {
    for (const opened of await Promise.allSettled(this.#targets.values())) {
      if (opened.status === 'fulfilled') await opened.value.repo.storage.close();
    }
    await this.#files.close();
  }
}

export function plainRepoError(key: number, thrown: unknown): PlainRepoError {
  return { key, error: errorToPlain(thrown), unreachable: thrown instanceof UnreachableError };
}

export function repoErrorOf({ key, error }: PlainRepoError): RepoError {
  return repoError(key, errorFromPlain(error));
}
