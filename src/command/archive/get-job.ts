/** What a worker does for archive-get: fetches segments into the spool. */
import { type BackstopError, errorToPlain, isBackstopError, isKind, type PlainError } from '../../base/error.ts';
import { openCodecs } from '../../codec/codecs.ts';
import type { WalName } from '../../postgres/wal.ts';
import type { ArchiveId } from '../../repo/history.ts';
import { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { ArchivedWal } from '../../repo/wal-store.ts';
import { openClusterStorage, openRepoStorage, type RepoSettings } from '../../storage/drivers.ts';
import type { ArchivedFile } from './archived-file.ts';
import { getFile } from './get-file.ts';

export interface GetThreadData {
  readonly command: 'archive-get';
  readonly repos: readonly RepoSettings[];
  readonly stanza: string;
  /** Bytes read at once. */
  readonly bufferSize: number;
  /** Bytes of a segment of the cluster. */
  readonly walSegmentSize: number;
  readonly retry: { readonly count: number; readonly interval: number };
}

/** One copy of a segment, as plain data. */
export interface CopyTask {
  readonly key: number;
  readonly archiveId: ArchiveId;
  readonly path: string;
  readonly wal?: ArchivedWal;
  readonly passphrase?: string;
}

export interface GetTask {
  readonly name: WalName;
  /** Path on this host. */
  readonly destination: string;
  /** In the order in which to try them. */
  readonly copies: readonly CopyTask[];
}

/** Where the segment came from, or why it could not be had: the others are fetched all the same. */
export type GetResult =
  | { readonly key: number; readonly archiveId: ArchiveId; readonly warnings: readonly string[] }
  | { readonly error: PlainError };

export type GetJobs = { readonly 'get-segment': { readonly input: GetTask; readonly output: GetResult } };

export async function openGetJobs(data: GetThreadData) {
  const worker = new GetWorker(data);
  return { 'get-segment': (task: GetTask) => worker.get(task) };
}

class GetWorker {
  readonly #data: GetThreadData;
  readonly #codecs = openCodecs();
  readonly #files = openClusterStorage({ key: 1 });
  readonly #repos = new Map<number, Promise<StanzaRepo>>();

  constructor(data: GetThreadData) {
    this.#data = data;
  }

  async get(task: GetTask): Promise<GetResult> {
    const { count, interval } = this.#data.retry;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#try(task);
      } catch (error) {
        if (!isBackstopError(error)) throw error;
        if (attempt >= count || !canPass(error)) return { error: errorToPlain(error) };
        if (attempt > 0) await new Promise(resolve => setTimeout(resolve, interval));
      }
    }
  }

  async #try({ name, destination, copies }: GetTask): Promise<GetResult> {
    const warnings: string[] = [];
    const opened: ArchivedFile[] = [];
    for (const { key, archiveId, path, wal, passphrase } of copies) {
      const source = {
        repo: await this.#open(key),
        archiveIds: [archiveId],
        ...(passphrase === undefined ? {} : { passphrase }),
      };
      opened.push({ source, archiveId, path, ...(wal === undefined ? {} : { wal }) });
    }
    const from = await getFile(await this.#files, opened, destination, name, {
      codecs: this.#codecs,
      bufferSize: this.#data.bufferSize,
      walSegmentSize: this.#data.walSegmentSize,
      warn: message => void warnings.push(message),
    });
    return { key: from.source.repo.key, archiveId: from.archiveId, warnings };
  }

  #open(key: number): Promise<StanzaRepo> {
    const known = this.#repos.get(key);
    if (known !== undefined) return known;
    const settings = this.#data.repos.find(repo => repo.key === key);
    if (settings === undefined) throw new Error(`no settings of repo${key}`);
    const opening = openRepoStorage(settings).then(storage => new StanzaRepo(settings, storage, this.#data.stanza));
    this.#repos.set(key, opening);
    return opening;
  }
}

/** Another try may heal it: bytes that are wrong will be wrong again. */
function canPass(error: BackstopError): boolean {
  return isKind(error, 'file-read', 'file-open', 'protocol', 'host-connect', 'service');
}
