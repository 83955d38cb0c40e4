/** Copies an archived file to where PostgreSQL wants it. */
import { dirname } from 'node:path';
import { BackstopError, type ErrorKind } from '../../base/error.ts';
import type { Codecs, StepSpec } from '../../codec/codecs.ts';
import { hashResult, openPipeline, type Pipeline, prepareSteps } from '../../codec/pipeline.ts';
import type { Emit } from '../../codec/step.ts';
import { checkWalChecksum, walChecksumId, walReadSteps } from '../../repo/wal-store.ts';
import { pump } from '../../storage/pump.ts';
import type { Storage } from '../../storage/storage.ts';
import { type RepoError, repoError } from '../repo-error.ts';
import { type ArchivedFile, shownPath } from './archived-file.ts';

export interface GetFileOptions {
  readonly codecs: Codecs;
  /** Bytes read at once. */
  readonly bufferSize: number;
  /** Bytes of a segment of the cluster: what gives more is none of its segments. */
  readonly walSegmentSize: number;
  readonly warn: (message: string) => void;
}

/**
 * Tries the copies until one can be read whole. The destination appears only then, complete.
 * @param files storage of this host
 * @param name as PostgreSQL asks for it, for messages
 * @returns the copy that was read
 * @throws the kind of the copies' errors when they all fail alike, else file-read
 */
export async function getFile(
  files: Storage,
  copies: readonly ArchivedFile[],
  destination: string,
  name: string,
  options: GetFileOptions,
): Promise<ArchivedFile> {
  await checkFolder(files, destination);
  const failed: (RepoError & { readonly copy: ArchivedFile })[] = [];
  const describe = ({ repo, copy, error }: (typeof failed)[number]) =>
    `${repo}: ${shownPath(copy)} [${error.name}] ${error.text}`;
  for (const copy of copies) {
    try {
      await copyFile(files, copy, destination, options);
      for (const failure of failed) options.warn(describe(failure));
      return copy;
    } catch (error) {
      failed.push({ ...repoError(copy.source.repo.key, error), copy });
    }
  }
  const kinds = new Set<ErrorKind>(failed.map(({ error }) => error.kind));
  const [kind] = kinds;
  throw new BackstopError(
    kind !== undefined && kinds.size === 1 ? kind : 'file-read',
    `unable to get ${name}:\n${failed.map(describe).join('\n')}`,
    { cause: failed[0]?.error },
  );
}

/** A mistyped destination must fail: directories are made by nobody but PostgreSQL. */
async function checkFolder(files: Storage, destination: string): Promise<void> {
  if ((await files.info(dirname(destination))) !== undefined) return;
  throw new BackstopError('file-missing', `unable to open '${destination}' for write in missing path`);
}

async function copyFile(
  files: Storage,
  copy: ArchivedFile,
  destination: string,
  { codecs, bufferSize, walSegmentSize }: GetFileOptions,
): Promise<void> {
  const { repo, passphrase } = copy.source;
  const steps: StepSpec[] = walReadSteps(copy.wal ?? {}, passphrase, walSegmentSize);
  await prepareSteps(steps, codecs);
  let pipeline: Pipeline | undefined;
  const open = (emit: Emit): Pipeline => {
    pipeline = openPipeline(steps, codecs, emit);
    return pipeline;
  };
  const source = await repo.storage.read(copy.path);
  try {
    // PostgreSQL asks again after a crash, so the file need not be durable
    const sink = await files.write(destination, { sync: false });
    try {
      await pump(source, open, sink, Buffer.allocUnsafe(bufferSize));
      if (copy.wal !== undefined)
        checkWalChecksum(repo, copy.wal, hashResult(pipeline?.results() ?? {}, walChecksumId));
      await sink.commit();
    } catch (error) {
      await sink.abort();
      throw error;
    }
  } finally {
    pipeline?.close();
    await source.close();
  }
}
