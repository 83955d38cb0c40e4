/** Restores the files of a manifest with the worker pool. */
import { BackstopError } from '../../base/error.ts';
import { formatPercent, formatSize } from '../../base/units.ts';
import { WorkerPool } from '../../parallel/pool.ts';
import { backupFile } from '../../repo/layout.ts';
import { compressSuffix, controlName, emptyChecksum, type Manifest, storedIn } from '../../repo/manifest/manifest.ts';
import { isObjectStore } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { temporarySuffix } from '../../storage/posix/posix-storage.ts';
import type { Session } from '../session.ts';
import type { RestoreFileResult, RestoreFileTask, RestoreJobs } from './job.ts';
import type { RestoreLayout } from './layout.ts';
import type { RestoreOwners } from './owner.ts';
import { queueRestore } from './queue.ts';

export interface RestoreCopy {
  readonly repo: StanzaRepo;
  readonly manifest: Manifest;
  readonly layout: RestoreLayout;
  readonly owners: RestoreOwners;
  /** Delta or force, and the directory is one that they may be used on. */
  readonly mayRemove: boolean;
  /** An earlier restore into this directory did not end. */
  readonly unfinished: boolean;
  /** Files of databases that are not wanted. */
  readonly isZeroed: ((name: string) => boolean) | undefined;
}

/** @returns bytes of all files */
export async function restoreFiles(session: Session<'restore'>, copy: RestoreCopy): Promise<number> {
  const { repo, manifest } = copy;
  const { log, settings } = session;
  const { values } = settings;
  const { header, files } = manifest;
  const pool = new WorkerPool<RestoreJobs, readonly number[]>({
    threadFile: session.threadFile,
    size: values['process-max'],
    data: {
      command: 'restore',
      repo: repo.settings,
      bufferSize: values['buffer-size'],
      compressType: header.options.compressType,
      ...(header.cipherPass === undefined ? {} : { cipherPass: header.cipherPass }),
      stanza: repo.stanza,
      references: header.references,
      retry: { count: values['job-retry'], interval: values['job-retry-interval'] },
    },
  });
  let total = 0;
  for (let index = 0; index < files.length; index++) total += files.size(index);
  const jobs = queueRestore(manifest, isObjectStore(repo.storage) ? values['process-max'] : undefined);
  let next = 0;
  let done = 0;
  try {
    const outcomes = pool.run(() => {
      const job = jobs[next++];
      if (job === undefined) return undefined;
      return { name: 'restore-files', input: job.map(index => taskOf(session, copy, index)), tag: job };
    });
    for await (const { tag, output, worker } of outcomes) {
      for (const [at, index] of tag.entries()) {
        const result = output[at];
        if (result === undefined) throw new BackstopError('assert', 'worker gave too few results');
        done += files.size(index);
        if (log.enabled('detail')) log.worker(worker).detail(lineOf(copy, index, result, formatPercent(done, total)));
      }
      session.progress({ size: total, sizeComplete: done });
    }
  } finally {
    session.progress(undefined);
    await pool.close();
  }
  return total;
}

function taskOf(
  session: Session<'restore'>,
  { repo, manifest, layout, owners, mayRemove, unfinished, isZeroed }: RestoreCopy,
  index: number,
): RestoreFileTask {
  const { delta, force } = session.settings.values;
  const file = manifest.files.get(index);
  const { header } = manifest;
  const isControl = file.name === controlName;
  const checksum = file.size === 0 ? emptyChecksum : file.checksum;
  if (checksum === undefined) throw new BackstopError('format', `manifest has no checksum for '${file.name}'`);
  const suffix = compressSuffix(header.options.compressType);
  // after a crash a file can have its time and size without its bytes
  const byTime = force && !unfinished;
  const keep = !mayRemove || isControl ? 'nothing' : byTime ? { before: header.timestampCopyStart } : 'content';
  return {
    name: file.name,
    path: layout.pathOf(file.name) + (isControl ? temporarySuffix : ''),
    size: file.size,
    checksum,
    timestamp: file.timestamp,
    mode: file.mode,
    owner: owners.of(file),
    repoPath: backupFile(repo.stanza, storedIn(manifest, file), file, suffix),
    offset: file.bundleId > 0 ? file.bundleOffset : 0,
    sizeRepo: file.sizeRepo,
    ...(file.blockMapSize > 0
      ? { block: { blockSize: file.blockSize, checksumSize: file.blockChecksumSize, mapSize: file.blockMapSize } }
      : {}),
    raw: file.bundleId > 0 && header.bundleRaw,
    keep: delta || force ? keep : 'nothing',
    syncKept: unfinished,
    zero: isZeroed?.(file.name) ?? false,
  };
}

function lineOf({ manifest, layout }: RestoreCopy, index: number, result: RestoreFileResult, percent: string): string {
  const file = manifest.files.get(index);
  const found =
    result === 'same-content'
      ? ` - exists and ${file.size === 0 ? 'is zero size' : 'matches backup'}`
      : result === 'same-time'
        ? ` - exists and matches size ${file.size} and modification time ${file.timestamp}`
        : '';
  const reference = file.reference === undefined ? '' : `${file.reference}/`;
  const bundle = file.bundleId > 0 ? `bundle ${reference}${file.bundleId}/${file.bundleOffset}, ` : '';
  // bi, and how much of the file it was where that is not all: what is stored by blocks
  const written = typeof result === 'object' ? result.blockBytes : result === 'zeroed' ? 0 : undefined;
  const isPart = written !== undefined && written !== file.size;
  const blocks = file.blockMapSize > 0 && written !== undefined ? `bi ${isPart ? `${formatSize(written)}/` : ''}` : '';
  const checksum = file.size === 0 || result === 'zeroed' ? '' : ` checksum ${file.checksum}`;
  return `restore ${result === 'zeroed' ? 'zeroed ' : ''}file ${layout.pathOf(file.name)}${found} (${bundle}${blocks}${formatSize(file.size)}, ${percent})${checksum}`;
}
