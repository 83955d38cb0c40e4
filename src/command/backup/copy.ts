/** Copies the files of the plan with the worker pool, and writes what comes back into the manifest. */
import { BackstopError } from '../../base/error.ts';
import { formatPercent, formatSize, percentHundredths } from '../../base/units.ts';
import { WorkerPool } from '../../parallel/pool.ts';
import { mayVanish, relationSegment } from '../../postgres/files.ts';
import { backupFile } from '../../repo/layout.ts';
import { compressSuffix, emptyChecksum, type Manifest } from '../../repo/manifest/manifest.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { Session } from '../session.ts';
import type { BackupCluster } from './database.ts';
import type { BackupFileResult, BackupFileTask, BackupJobs, BackupThreadData } from './job.ts';
import { type BackupPlan, takeOver } from './plan.ts';
import { queueFiles } from './queue.ts';
import { sourcePaths } from './source.ts';

export interface CopySettings {
  readonly repo: StanzaRepo;
  readonly manifest: Manifest;
  readonly plan: BackupPlan;
  readonly prior: Manifest | undefined;
  readonly cluster: BackupCluster;
  readonly compressLevel: number;
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
  const pool = new WorkerPool<BackupJobs, readonly number[]>({
    threadFile: session.threadFile,
    size: settings.values['process-max'],
    data: threadData(session, copy),
  });
  const progress = new CopyProgress(session, plan.copySize);
  const pathOf = sourcePaths(manifest, cluster.path);
  const jobs = queueFiles(files, plan.copy);
  const vanished = new Set<number>();
  const suffix = compressSuffix(header.options.compressType);
  const threshold = Math.max(plan.copySize / 100, settings.values['manifest-save-threshold']);
  let next = 0;
  let bytes = 0;
  let unsaved = 0;
  let roleChecked = clock.monotonic();
  try {
    for (const { index, label } of plan.references) {
      if (log.enabled('detail')) log.detail(`reference ${files.name(index)} to ${label}`);
    }
    const outcomes = pool.run(() => {
      const job = jobs[next++];
      if (job === undefined) return undefined;
      const tasks = job.map(index => taskOf(copy, index, pathOf, suffix));
      return { name: 'backup-files', input: { pgKey: cluster.key, files: tasks }, tag: job };
    });
    for await (const { tag, output, worker } of outcomes) {
      for (const [at, index] of tag.entries()) {
        const result = output[at];
        if (result === undefined) throw new BackstopError('assert', 'worker gave too few results');
        progress.add(files.size(index));
        const size = record(copy, index, result, pathOf, { log: log.worker(worker), percent: progress.percent });
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
  void repo;
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
    clusters: [{ key: cluster.key, path: cluster.path }],
    bufferSize: values['buffer-size'],
    compressType: header.options.compressType,
    compressLevel,
    ...(header.cipherPass === undefined ? {} : { cipherPass: header.cipherPass }),
    pageSize: cluster.control.pageSize,
    pageHeaderCheck: values['page-header-check'],
    ...(values['pg-version-force'] === undefined ? {} : { forcedVersion: values['pg-version-force'] }),
    retry: { count: values['job-retry'], interval: values['job-retry-interval'] },
  };
}

function taskOf(copy: CopySettings, index: number, pathOf: (name: string) => string, suffix: string): BackupFileTask {
  const { manifest, prior, repo } = copy;
  const file = manifest.files.get(index);
  const priorIndex = prior?.files.find(file.name);
  const before = priorIndex === undefined ? undefined : prior?.files.get(priorIndex);
  const comparable = before !== undefined && before.checksum !== undefined && before.size === file.size;
  return {
    path: pathOf(file.name),
    repoPath: backupFile(repo.stanza, manifest.header.label, file, suffix),
    size: file.size,
    mayVanish: mayVanish(file.name),
    isControl: file.name === 'pg_data/global/pg_control',
    ...(file.checksumPage === undefined ? {} : { pageSegment: relationSegment(file.name) }),
    ...(comparable && before?.checksum !== undefined
      ? { prior: { checksum: before.checksum, size: before.size, always: manifest.header.options.delta } }
      : {}),
  };
}

/** Writes one result into the manifest and the log. @returns bytes copied */
function record(
  copy: CopySettings,
  index: number,
  result: BackupFileResult,
  pathOf: (name: string) => string,
  { log, percent }: { log: Session['log']; percent: string },
): number {
  const { manifest, prior } = copy;
  const file = manifest.files.get(index);
  const path = pathOf(file.name);
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
    case 'copied': {
      const { pages } = result;
      manifest.files.set(index, {
        ...file,
        size: result.size,
        sizeRepo: result.sizeRepo,
        checksum: result.size === 0 ? emptyChecksum : result.checksum,
        ...(result.checksumRepo === undefined ? {} : { checksumRepo: result.checksumRepo }),
        ...(pages === undefined ? {} : { checksumPage: pages.valid }),
        ...(pages === undefined || pages.valid || !pages.align ? {} : { checksumPageErrors: pages.errors }),
      });
      const size =
        result.size === file.size ? formatSize(file.size) : `${formatSize(file.size)}->${formatSize(result.size)}`;
      const checksum = result.size === 0 ? '' : ` checksum ${result.checksum}`;
      log.detail(`backup file ${path} (${size}, ${percent})${checksum}`);
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
