/** Copies the files of the plan with the worker pool, and writes what comes back into the manifest. */
import { BackstopError } from '../../base/error.ts';
import { formatPercent, formatSize, percentHundredths } from '../../base/units.ts';
import { WorkerPool } from '../../parallel/pool.ts';
import { mayVanish, relationSegment } from '../../postgres/files.ts';
import { superBlockSize as superBlockSizeOf } from '../../repo/block/size.ts';
import { backupFile, bundleFile } from '../../repo/layout.ts';
import type { ManifestFile } from '../../repo/manifest/file-table.ts';
import { compressSuffix, emptyChecksum, type Manifest, storedIn } from '../../repo/manifest/manifest.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { Session } from '../session.ts';
import type { BackupCluster } from './database.ts';
import type { BackupFileResult, BackupFileTask, BackupJobs, BackupThreadData, BlockTask } from './job.ts';
import { type BackupPlan, takeOver } from './plan.ts';
import { type BundleOptions, type QueuedJob, queueSources } from './queue.ts';
import type { ResumedFiles } from './resume.ts';
import { sourcePath } from './source.ts';

export interface CopySettings {
  readonly repo: StanzaRepo;
  readonly manifest: Manifest;
  readonly plan: BackupPlan;
  readonly prior: Manifest | undefined;
  /** Files of an aborted backup that may be kept, by index. */
  readonly resumed: ResumedFiles;
  readonly cluster: BackupCluster;
  readonly compressLevel: number;
  readonly bundle: BundleOptions | undefined;
  /** Plain bytes of a super block in this backup. */
  readonly superBlockSize: number;
  /** Saves the manifest as it is, for a resume; absent when that is not wanted. */
  readonly saveProgress: (() => Promise<void>) | undefined;
}

/** Milliseconds between two looks at whether the server still is what it was. */
const roleInterval = 30_000;

/** @returns bytes of the files that were copied in this backup */
export async function copyCluster(session: Session<'backup'>, copy: CopySettings): Promise<{ readonly bytes: number }> {
  const { manifest, plan, cluster, repo } = copy;
  const { log, settings, clock } = session;
  const { header, files } = manifest;
  const { standby } = cluster;
  const pool = new WorkerPool<BackupJobs, QueuedJob>({
    threadFile: session.threadFile,
    // with a standby the first worker reads from the primary, what little there is, and the others never do
    size: settings.values['process-max'] + (standby === undefined ? 0 : 1),
    data: threadData(session, copy),
  });
  const progress = new CopyProgress(session, plan.copySize);
  const sourceOf = (index: number) => (standby !== undefined && mayVanish(files.name(index)) ? standby : cluster);
  const pathOf = (index: number) => sourcePath(sourceOf(index).path, files.name(index));
  const queues = queueSources(files, plan.copy, copy.bundle, index => sourceOf(index) !== cluster);
  const fromPrimary = queues.primary.values();
  const fromStandby = queues.standby.values();
  const vanished = new Set<number>();
  const suffix = compressSuffix(header.options.compressType);
  const threshold = Math.max(plan.copySize / 100, settings.values['manifest-save-threshold']);
  let bytes = 0;
  let unsaved = 0;
  let roleChecked = clock.monotonic();
  try {
    for (const index of plan.empty) {
      if (log.enabled('detail')) log.detail(`store zero-length file ${sourcePath(cluster.path, files.name(index))}`);
    }
    for (const { index, label } of header.bundle || header.options.hardlink ? [] : plan.references) {
      if (log.enabled('detail')) log.detail(`reference ${files.name(index)} to ${label}`);
    }
    const outcomes = pool.run(worker => {
      const from = standby !== undefined && worker > 0 ? fromStandby : fromPrimary;
      const { value: job } = from.next();
      const [first] = job?.files ?? [];
      if (job === undefined || first === undefined) return undefined;
      const tasks = job.files.map(index => taskOf(copy, index, pathOf, suffix, job.bundleId));
      const bundle =
        job.bundleId === undefined
          ? {}
          : { bundle: { id: job.bundleId, path: bundleFile(repo.stanza, header.label, job.bundleId) } };
      return { name: 'backup-files', input: { pgKey: sourceOf(first).key, files: tasks, ...bundle }, tag: job };
    });
    for await (const { tag, output, worker } of outcomes) {
      for (const [at, index] of tag.files.entries()) {
        const result = output[at];
        if (result === undefined) throw new BackstopError('assert', 'worker gave too few results');
        progress.add(files.size(index));
        const size = record(copy, index, result, pathOf, tag.bundleId ?? 0, {
          log: log.worker(worker),
          percent: progress.percent,
        });
        if (result.outcome === 'vanished') vanished.add(index);
        bytes += size;
        unsaved += size;
      }
      if (copy.saveProgress !== undefined && unsaved >= threshold) {
        unsaved = 0;
        await copy.saveProgress();
      }
      if (clock.monotonic() - roleChecked > roleInterval) {
        roleChecked = clock.monotonic();
        await cluster.checkRole();
      }
    }
  } finally {
    progress.end();
    await pool.close();
  }
  if (vanished.size > 0) files.sort(index => !vanished.has(index));
  return { bytes };
}

function threadData(
  session: Session<'backup'>,
  { repo, manifest, cluster, compressLevel }: CopySettings,
): BackupThreadData {
  const { values } = session.settings;
  const { header } = manifest;
  return {
    command: 'backup',
    repo: repo.settings,
    clusters: [cluster, ...(cluster.standby === undefined ? [] : [cluster.standby])].map(({ key, path }) => ({
      key,
      path,
    })),
    bufferSize: values['buffer-size'],
    compressType: header.options.compressType,
    compressLevel,
    ...(header.cipherPass === undefined ? {} : { cipherPass: header.cipherPass }),
    bundleRaw: header.bundleRaw,
    pageSize: cluster.control.pageSize,
    pageHeaderCheck: values['page-header-check'],
    ...(values['pg-version-force'] === undefined ? {} : { forcedVersion: values['pg-version-force'] }),
    retry: { count: values['job-retry'], interval: values['job-retry-interval'] },
  };
}

function taskOf(
  copy: CopySettings,
  index: number,
  pathOf: (index: number) => string,
  suffix: string,
  bundleId = 0,
): BackupFileTask {
  const { manifest, prior, repo } = copy;
  const file = manifest.files.get(index);
  const priorIndex = prior?.files.find(file.name);
  const before = priorIndex === undefined ? undefined : prior?.files.get(priorIndex);
  const kept = copy.resumed.get(index);
  const comparable = before !== undefined && before.checksum !== undefined && before.size === file.size;
  // of the same size and time, and yet to be read: the time is in doubt, the content may well be the same
  const doubted = before?.timestamp === file.timestamp;
  return {
    path: pathOf(index),
    repoPath: backupFile(repo.stanza, manifest.header.label, { ...file, bundleId }, suffix),
    size: file.size,
    mayVanish: mayVanish(file.name),
    isControl: file.name === 'pg_data/global/pg_control',
    ...(kept?.checksum === undefined
      ? {}
      : {
          resumed: {
            checksum: kept.checksum,
            size: kept.size,
            sizeRepo: kept.sizeRepo,
            checksumRepo: kept.checksumRepo ?? kept.checksum,
            compare: manifest.header.options.delta,
          },
        }),
    ...(file.blockSize === 0 ? {} : { block: blockTask(copy, file, before) }),
    ...(file.checksumPage === undefined ? {} : { pageSegment: relationSegment(file.name) }),
    ...(comparable && before?.checksum !== undefined
      ? { prior: { checksum: before.checksum, size: before.size, always: manifest.header.options.delta || doubted } }
      : {}),
  };
}

function blockTask(
  { manifest, prior, repo, superBlockSize }: CopySettings,
  file: ManifestFile,
  before: ManifestFile | undefined,
): BlockTask {
  const { header } = manifest;
  const hasMap =
    prior !== undefined && before !== undefined && before.blockMapSize > 0 && before.blockSize === file.blockSize;
  return {
    blockSize: file.blockSize,
    checksumSize: file.blockChecksumSize,
    superBlockSize: superBlockSizeOf(superBlockSize, file.blockSize),
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

/** Writes one result into the manifest and the log. @returns bytes copied */
function record(
  copy: CopySettings,
  index: number,
  result: BackupFileResult,
  pathOf: (index: number) => string,
  bundleId: number,
  { log, percent }: { log: Session['log']; percent: string },
): number {
  const { manifest, prior } = copy;
  const file = manifest.files.get(index);
  const path = pathOf(index);
  switch (result.outcome) {
    case 'vanished':
      log.detail(`skip file removed by database ${path}`);
      return 0;
    case 'matched': {
      const priorIndex = prior?.files.find(file.name);
      if (prior === undefined || priorIndex === undefined) throw new BackstopError('assert', 'match without prior');
      takeOver(manifest, index, prior, priorIndex);
      log.detail(
        `match file from prior backup ${path} (${formatSize(result.size)}, ${percent}) checksum ${result.checksum}`,
      );
      return 0;
    }
    case 'resumed': {
      const kept = copy.resumed.get(index);
      if (kept === undefined) throw new BackstopError('assert', 'resumed a file that was not kept');
      manifest.files.set(index, { ...kept, mode: file.mode, user: file.user, group: file.group });
      log.detail(
        `checksum resumed file ${path} (${formatSize(kept.size)}, ${percent})${kept.checksum === undefined ? '' : ` checksum ${kept.checksum}`}`,
      );
      return kept.size;
    }
    case 'copied': {
      const { pages } = result;
      if (result.resumeFailed === true) {
        log.warn(
          `resumed backup file ${path} does not have expected checksum ${copy.resumed.get(index)?.checksum}. The file will be recopied and backup will continue but this may be an issue unless the resumed backup path in the repository is known to be corrupted.`,
        );
      }
      manifest.files.set(index, {
        ...file,
        size: result.size,
        sizeRepo: result.sizeRepo,
        checksum: result.size === 0 ? emptyChecksum : result.checksum,
        ...(result.checksumRepo === undefined ? {} : { checksumRepo: result.checksumRepo }),
        bundleId: result.sizeRepo > 0 ? bundleId : 0,
        bundleOffset: result.bundleOffset ?? 0,
        // a file that shrank to nothing has no map, and so no blocks
        ...(result.size === 0 ? { blockSize: 0, blockChecksumSize: 0 } : {}),
        blockMapSize: result.blockMapSize ?? 0,
        ...(pages === undefined ? {} : { checksumPage: pages.valid }),
        ...(pages === undefined || pages.valid || !pages.align ? {} : { checksumPageErrors: pages.errors }),
      });
      const size =
        result.size === file.size ? formatSize(file.size) : `${formatSize(file.size)}->${formatSize(result.size)}`;
      const checksum = result.size === 0 ? '' : ` checksum ${result.checksum}`;
      const bundle = result.bundleOffset === undefined ? '' : `bundle ${bundleId}/${result.bundleOffset}, `;
      const verb = bundleId > 0 && result.size === 0 ? 'store truncated' : 'backup';
      log.detail(`${verb} file ${path} (${bundle}${size}, ${percent})${checksum}`);
      if (pages !== undefined && !pages.valid) warnPages(log, path, result.size, copy.cluster.control.pageSize, pages);
      return result.size;
    }
  }
}

function warnPages(
  log: Session['log'],
  path: string,
  size: number,
  pageSize: number,
  pages: { readonly align: boolean; readonly errors: readonly (number | readonly [number, number])[] },
): void {
  if (!pages.align) {
    log.warn(`page misalignment in file ${path}: file size ${size} is not divisible by page size ${pageSize}`);
    return;
  }
  const texts = pages.errors.map(error => (typeof error === 'number' ? String(error) : `${error[0]}-${error[1]}`));
  const [first] = pages.errors;
  const one = pages.errors.length === 1 && typeof first === 'number';
  log.warn(`invalid page checksum${one ? '' : 's'} found in file ${path} at page${one ? '' : 's'} ${texts.join(', ')}`);
}

/** Counts bytes and tells the lock file, where info reads it, and the terminal. */
class CopyProgress {
  readonly #session: Session<'backup'>;
  readonly #total: number;
  #done = 0;
  #told = -1;

  constructor(session: Session<'backup'>, total: number) {
    this.#session = session;
    this.#total = total;
    this.#tell();
  }

  add(bytes: number): void {
    this.#done += bytes;
    this.#tell();
  }

  get percent(): string {
    return formatPercent(this.#done, this.#total);
  }

  end(): void {
    this.#session.progress(undefined);
  }

  #tell(): void {
    const percentComplete = percentHundredths(this.#done, this.#total);
    // a tenth of a percent is often enough for those who watch
    if (this.#told >= 0 && percentComplete - this.#told < 10) return;
    this.#told = percentComplete;
    this.#session.progress({ percentComplete, size: this.#total, sizeComplete: this.#done });
  }
}
