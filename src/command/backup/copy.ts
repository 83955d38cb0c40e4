/** Copies the files of the plans with the worker pool, each file read once for all repositories that take it. */
import { BackstopError, errorFromPlain } from '../../base/error.ts';
import { formatPercent } from '../../base/units.ts';
import { runHere } from '../../parallel/here.ts';
import type { Job } from '../../parallel/job.ts';
import { WorkerPool } from '../../parallel/pool.ts';
import { mayVanish } from '../../postgres/files.ts';
import type { Session } from '../session.ts';
import type { BackupCluster } from './database.ts';
import type { FanOut } from './fan-out.ts';
import type { BackupFileTask, BackupJobs, BackupThreadData } from './job.ts';
import { type QueuedJob, queueSources, widestBundle } from './queue.ts';
import { type RepoCopy, RepoCopying, warnPages } from './repo-copy.ts';
import { sourcePath } from './source.ts';

export interface CopySettings {
  readonly cluster: BackupCluster;
  readonly fanOut: FanOut;
  /** Plans for the same files: indexes mean the same in all. */
  readonly repos: readonly RepoCopy[];
  /** Waits until files may be read. */
  readonly come: () => Promise<void>;
}

/** A job that is under way: which files it reads, and for whom. */
interface SentJob extends QueuedJob {
  readonly repos: readonly RepoCopying[];
}

/** Up to so many bytes, and files, no worker is started: what two of them take to start is more than the work. */
const little = { bytes: 2 * 1024 * 1024, files: 64 };

/** So many bytes, or files, are work for a further worker. */
const share = { bytes: 8 * 1024 * 1024, files: 256 };

/** Milliseconds between two looks at whether the server still is what it was. */
const roleInterval = 30_000;

/** @returns bytes of the files that were copied in this backup, by number of the repository */
export async function copyCluster(
  session: Session<'backup'>,
  { cluster, fanOut, repos, come }: CopySettings,
): Promise<ReadonlyMap<number, number>> {
  const [first] = repos;
  if (first === undefined) throw new BackstopError('assert', 'a copy without repositories');
  const { settings, clock } = session;
  const { files } = first.manifest;
  const { standby } = cluster;
  const data = threadData(session, cluster, repos);
  const copy = filesToCopy(repos);
  const bytes = copy.reduce((sum, index) => sum + files.size(index), 0);
  const isLittle = standby === undefined && bytes <= little.bytes && copy.length <= little.files;
  const enough = Math.ceil(bytes / share.bytes) + Math.ceil(copy.length / share.files);
  const pool = new WorkerPool<BackupJobs, SentJob>({
    threadFile: session.threadFile,
    // with a standby the first worker reads from the primary, what little there is, and the others never do
    size: Math.min(settings.values['process-max'], Math.max(1, enough)) + (standby === undefined ? 0 : 1),
    data,
  });
  const progress = new CopyProgress(session, bytes);
  const sourceOf = (index: number) => (standby !== undefined && mayVanish(files.name(index)) ? standby : cluster);
  const pathOf = (index: number) => sourcePath(sourceOf(index).path, files.name(index));
  const bundle = widestBundle(repos.map(({ options }) => options.bundle));
  const queues = queueSources(files, copy, bundle, index => sourceOf(index) !== cluster);
  const jobs = [...queues.primary, ...queues.standby];
  const fromPrimary = queues.primary.values();
  const fromStandby = queues.standby.values();
  const all = repos.map(repo => new RepoCopying(repo, jobs, settings.values['manifest-save-threshold']));
  let roleChecked = clock.monotonic();
  try {
    for (const repo of all) repo.tellUncopied(cluster.path);
    const nextJob = (worker: number): Job<BackupJobs, SentJob> | undefined => {
      const from = standby !== undefined && worker > 0 ? fromStandby : fromPrimary;
      for (let next = from.next(); next.done !== true; next = from.next()) {
        const job = next.value;
        const takers = fanOut.only(all);
        const indexes = job.files.filter(index => takers.some(repo => repo.takes(index)));
        const [some] = indexes;
        if (some === undefined) continue;
        const tasks = indexes.map((index): BackupFileTask => {
          const name = files.name(index);
          const stores = takers.map(repo => (repo.takes(index) ? repo.taskOf(index, name) : undefined));
          return { name, size: files.size(index), stores };
        });
        const input = { pgKey: sourceOf(some).key, repos: takers.map(repo => all.indexOf(repo)), files: tasks };
        return { name: 'backup-files', input, tag: { files: indexes, repos: takers } };
      }
      return undefined;
    };
    if (!isLittle) pool.warm(standby === undefined ? jobs.length : 1 + queues.standby.length);
    await come();
    const openHere = async () => (await import('./worker.ts')).openBackupJobs(data);
    const outcomes = isLittle
      ? runHere<BackupJobs, SentJob>(openHere, () => nextJob(0), data.retry)
      : pool.run(nextJob);
    for await (const { tag, output, worker } of outcomes) {
      const log = session.log.worker(worker);
      for (const [at, index] of tag.files.entries()) {
        progress.add(files.size(index));
        const origin = { path: () => pathOf(index), worker, percent: () => progress.percent };
        let told = false;
        for (const [place, repo] of tag.repos.entries()) {
          const share = output[place];
          if (share === undefined) throw new BackstopError('assert', 'worker gave too few outputs');
          if (!('results' in share) || !repo.takes(index) || fanOut.only([repo]).length === 0) continue;
          const result = share.results[at];
          if (result === undefined) throw new BackstopError('assert', 'worker gave too few results');
          repo.record(index, result, origin);
          if (told || result.outcome !== 'copied' || result.pages === undefined || result.pages.valid) continue;
          told = true;
          warnPages(log, pathOf(index), result.size, cluster.control.pageSize, result.pages);
        }
      }
      for (const [place, repo] of tag.repos.entries()) {
        const share = output[place];
        if (share !== undefined && 'error' in share) fanOut.drop(repo.key, errorFromPlain(share.error));
      }
      await fanOut.each(all, repo => repo.saveIfDue());
      if (clock.monotonic() - roleChecked > roleInterval) {
        roleChecked = clock.monotonic();
        await cluster.checkRole();
      }
    }
  } finally {
    progress.end();
    await pool.close();
  }
  for (const repo of all) repo.dropVanished();
  return new Map(all.map(({ key, bytes }) => [key, bytes]));
}

/** The files that any of the repositories takes, in the order of their indexes. */
function filesToCopy([first, ...others]: readonly RepoCopy[]): readonly number[] {
  if (others.length === 0) return first?.plan.copy ?? [];
  return [...new Set([first, ...others].flatMap(repo => repo?.plan.copy ?? []))].sort((a, b) => a - b);
}

function threadData(session: Session<'backup'>, cluster: BackupCluster, repos: readonly RepoCopy[]): BackupThreadData {
  const { values } = session.settings;
  return {
    command: 'backup',
    repos: repos.map(({ repo, manifest: { header }, compressLevel }) => ({
      repo: repo.settings,
      stanza: repo.stanza,
      label: header.label,
      compressType: header.options.compressType,
      compressLevel,
      ...(header.cipherPass === undefined ? {} : { cipherPass: header.cipherPass }),
      bundleRaw: header.bundleRaw,
    })),
    clusters: [cluster, ...(cluster.standby === undefined ? [] : [cluster.standby])].map(({ key, path }) => ({
      key,
      path,
    })),
    bufferSize: values['buffer-size'],
    pageSize: cluster.control.pageSize,
    pageHeaderCheck: values['page-header-check'],
    ...(values['pg-version-force'] === undefined ? {} : { forcedVersion: values['pg-version-force'] }),
    retry: { count: values['job-retry'], interval: values['job-retry-interval'] },
  };
}

/** Counts bytes and tells the lock file, where info reads it, and the terminal. */
class CopyProgress {
  readonly #session: Session<'backup'>;
  readonly #total: number;
  #done = 0;

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
    this.#session.progress({ size: this.#total, sizeComplete: this.#done });
  }
}
