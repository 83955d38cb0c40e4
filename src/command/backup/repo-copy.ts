/** What one repository has of the copy: its plan, the tasks for workers, and what came back in its manifest. */
import { BackstopError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { formatSize } from '../../base/units.ts';
import { relationSegment } from '../../postgres/files.ts';
import type { PageChecksumResult } from '../../postgres/page-checksum.ts';
import { superBlockSize as superBlockSizeOf } from '../../repo/block/size.ts';
import { backupFile } from '../../repo/layout.ts';
import type { ManifestFile } from '../../repo/manifest/file-table.ts';
import { emptyChecksum, type Manifest, storedIn } from '../../repo/manifest/manifest.ts';
import type { BackupFileResult, BlockTask, StoreTask } from './job.ts';
import { type BackupPlan, takeOver } from './plan.ts';
import { numberBundles, type QueuedJob } from './queue.ts';
import type { BackupRepo } from './repo.ts';
import type { ResumedFiles } from './resume.ts';
import { sourcePath } from './source.ts';

export interface RepoCopy extends BackupRepo {
  readonly manifest: Manifest;
  readonly plan: BackupPlan;
  /** Manifest of the prior backup. */
  readonly prior: Manifest | undefined;
  /** Files of an aborted backup that may be kept, by index. */
  readonly resumed: ResumedFiles;
  readonly compressLevel: number;
  /** Plain bytes of a super block in this backup. */
  readonly superBlockSize: number;
  /** Saves the manifest as it is. */
  readonly saveProgress: () => Promise<void>;
}

/** Of a result: the texts are made when they are wanted. */
interface Origin {
  readonly path: () => string;
  readonly worker: number;
  readonly percent: () => string;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class RepoCopying {
  readonly #copy: RepoCopy;
  readonly #takes: Uint8Array;
  readonly #bundleIds: Uint32Array;
  readonly #vanished = new Set<number>();
  /** Bytes after which the manifest is saved for a resume. */
  readonly #threshold: number;
  #bytes = 0;
  #unsaved = 0;

  /** @param jobs all of the copy, in the order in which they begin */
  constructor(copy: RepoCopy, jobs: readonly QueuedJob[], saveThreshold: number) {
    const { manifest, plan, options, session } = copy;
    this.#copy = copy;
    this.#takes = new Uint8Array(manifest.files.length);
    for (const index of plan.copy) this.#takes[index] = 1;
    this.#bundleIds = numberBundles(manifest.files, jobs, options.bundle, index => this.takes(index));
    this.#threshold = session.settings.values.resume
      ? Math.max(plan.copySize / 100, saveThreshold)
      : Number.POSITIVE_INFINITY;
  }

  get key(): number {
    return this.#copy.key;
  }

  /** Bytes of the files that were copied. */
  get bytes(): number {
    return this.#bytes;
  }

  takes(index: number): boolean {
    return this.#takes[index] === 1;
  }

  /** Logs the files that nobody reads. @param pgPath where the cluster is */
  tellUncopied(pgPath: string): void {
    const { manifest, plan, session } = this.#copy;
    const { header, files } = manifest;
    const { log } = session;
    if (!log.enabled('detail')) return;
    for (const index of plan.empty) log.detail(`store zero-length file ${sourcePath(pgPath, files.name(index))}`);
    for (const { index, label } of header.bundle || header.options.hardlink ? [] : plan.references) {
      log.detail(`reference ${files.name(index)} to ${label}`);
    }
  }

  /** @param name of the file in the manifest */
  taskOf(index: number, name: string): StoreTask {
    const { manifest, prior, resumed } = this.#copy;
    const { header, files } = manifest;
    const bundleId = this.#bundleIds[index] ?? 0;
    const blockSize = files.blockSize(index);
    const priorIndex = prior?.files.find(name);
    const before = priorIndex === undefined ? undefined : prior?.files.get(priorIndex);
    const kept = resumed.get(index);
    const comparable =
      before?.checksum !== undefined && before.size === files.size(index) ? before.checksum : undefined;
    // of the same size and time, and yet to be read: the time is in doubt, the content may well be the same
    const doubted = before?.timestamp === files.timestamp(index);
    const task: Mutable<StoreTask> = { bundleId };
    if (kept?.checksum !== undefined) {
      task.resumed = {
        checksum: kept.checksum,
        size: kept.size,
        sizeRepo: kept.sizeRepo,
        checksumRepo: kept.checksumRepo ?? kept.checksum,
        compare: header.options.delta,
      };
    }
    if (blockSize > 0) task.block = this.#blockTask(index, before);
    if (files.hasPages(index)) task.pageSegment = relationSegment(name);
    if (comparable !== undefined) {
      task.prior = { checksum: comparable, size: files.size(index), always: header.options.delta || doubted };
    }
    return task;
  }

  #blockTask(index: number, before: ManifestFile | undefined): BlockTask {
    const { manifest, prior, repo, superBlockSize } = this.#copy;
    const { header, files } = manifest;
    const blockSize = files.blockSize(index);
    const hasMap =
      prior !== undefined && before !== undefined && before.blockMapSize > 0 && before.blockSize === blockSize;
    return {
      blockSize,
      checksumSize: files.blockChecksumSize(index),
      superBlockSize: superBlockSizeOf(superBlockSize, blockSize),
      reference: header.references.length - 1,
      ...(hasMap
        ? {
            priorMap: {
              path: backupFile(repo.stanza, storedIn(prior, before), before, ''),
              offset: (before.bundleId > 0 ? before.bundleOffset : 0) + before.sizeRepo - before.blockMapSize,
              length: before.blockMapSize,
            },
          }
        : {}),
    };
  }

  /**
   * Writes one result into the manifest and the log.
   * @param from where the file was, of which worker it comes, and how far the copy is
   */
  record(index: number, result: BackupFileResult, from: Origin): void {
    const { manifest, prior, resumed, session } = this.#copy;
    const { files } = manifest;
    const detail = session.log.enabled('detail') ? session.log.worker(from.worker) : undefined;
    const bundleId = this.#bundleIds[index] ?? 0;
    switch (result.outcome) {
      case 'vanished':
        this.#vanished.add(index);
        detail?.detail(`skip file removed by database ${from.path()}`);
        return;
      case 'matched': {
        const priorIndex = prior?.files.find(files.name(index));
        if (prior === undefined || priorIndex === undefined) throw new BackstopError('assert', 'match without prior');
        takeOver(manifest, index, prior, priorIndex);
        detail?.detail(
          `match file from prior backup ${from.path()} (${formatSize(result.size)}, ${from.percent()}) checksum ${result.checksum}`,
        );
        return;
      }
      case 'resumed': {
        const kept = resumed.get(index);
        if (kept === undefined) throw new BackstopError('assert', 'resumed a file that was not kept');
        const { mode, user, group } = files.get(index);
        files.set(index, { ...kept, mode, user, group });
        detail?.detail(
          `checksum resumed file ${from.path()} (${formatSize(kept.size)}, ${from.percent()})${kept.checksum === undefined ? '' : ` checksum ${kept.checksum}`}`,
        );
        this.#count(kept.size);
        return;
      }
      case 'copied': {
        const { pages } = result;
        if (result.resumeFailed === true) {
          session.log
            .worker(from.worker)
            .warn(
              `resumed backup file ${from.path()} does not have expected checksum ${resumed.get(index)?.checksum}. The file will be recopied and backup will continue but this may be an issue unless the resumed backup path in the repository is known to be corrupted.`,
            );
        }
        const seen = files.size(index);
        files.noteCopied(index, {
          size: result.size,
          sizeRepo: result.sizeRepo,
          checksum: result.size === 0 ? emptyChecksum : result.checksum,
          checksumRepo: result.checksumRepo,
          bundleId: result.sizeRepo > 0 ? bundleId : 0,
          bundleOffset: result.bundleOffset ?? 0,
          // a file that shrank to nothing has no map
          blockMapSize: result.blockMapSize ?? 0,
          checksumPage: pages?.valid,
          checksumPageErrors: pages === undefined || pages.valid || !pages.align ? undefined : pages.errors,
        });
        this.#count(result.size);
        if (detail === undefined) return;
        const size = result.size === seen ? formatSize(seen) : `${formatSize(seen)}->${formatSize(result.size)}`;
        const checksum = result.size === 0 ? '' : ` checksum ${result.checksum}`;
        const bundle = result.bundleOffset === undefined ? '' : `bundle ${bundleId}/${result.bundleOffset}, `;
        const verb = bundleId > 0 && result.size === 0 ? 'store truncated' : 'backup';
        detail.detail(`${verb} file ${from.path()} (${bundle}${size}, ${from.percent()})${checksum}`);
      }
    }
  }

  /** Saves the manifest when much has been copied since it was saved. */
  async saveIfDue(): Promise<void> {
    if (this.#unsaved < this.#threshold) return;
    this.#unsaved = 0;
    await this.#copy.saveProgress();
  }

  /** Drops from the manifest what the server has removed. Indexes change. */
  dropVanished(): void {
    if (this.#vanished.size > 0) this.#copy.manifest.files.sort(index => !this.#vanished.has(index));
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#unsaved += bytes;
  }
}

/** @param pages what is wrong with the pages of a file */
export function warnPages(log: Log, path: string, size: number, pageSize: number, pages: PageChecksumResult): void {
  if (!pages.align) {
    log.warn(`page misalignment in file ${path}: file size ${size} is not divisible by page size ${pageSize}`);
    return;
  }
  const texts = pages.errors.map(error => (typeof error === 'number' ? String(error) : `${error[0]}-${error[1]}`));
  const [first] = pages.errors;
  const one = pages.errors.length === 1 && typeof first === 'number';
  log.warn(`invalid page checksum${one ? '' : 's'} found in file ${path} at page${one ? '' : 's'} ${texts.join(', ')}`);
}
