/**
 * Pushes one file to every repository that lacks it. The file is read once: its checksum, which becomes part of the
 * name, is computed while it is compressed and written.
 */
import { dirname } from 'node:path';
import { BackstopError } from '../../base/error.ts';
import type { Codecs, StepSpec } from '../../codec/codecs.ts';
import type { CompressType } from '../../codec/compress.ts';
import { countResult, hashResult, openPipeline, type Pipeline, prepareSteps } from '../../codec/pipeline.ts';
import type { Emit } from '../../codec/step.ts';
import { decodeWalHeader, isWalSegmentFile, type WalName, walHeaderSize } from '../../postgres/wal.ts';
import { begun, isObjectStore } from '../../repo/object-store.ts';
import { type ArchivedWal, findWal, formatArchivedName } from '../../repo/wal-store.ts';
import { pump } from '../../storage/pump.ts';
import type { ByteSink, Storage } from '../../storage/storage.ts';
import { type RepoError, repoError } from '../repo-error.ts';
import { Destination } from './destination.ts';
import type { ClusterIdentity, PushTarget } from './push-target.ts';

export interface PushFileOptions {
  readonly codecs: Codecs;
  /** Bytes read at once. */
  readonly bufferSize: number;
  /** For segments; absent: stored as they are. */
  readonly compression?: { readonly type: CompressType; readonly level: number };
  /** The cluster that a segment's header must name; absent: the header is not looked at. */
  readonly cluster?: ClusterIdentity;
  readonly forcedVersion?: string;
  /** Looks where a segment is already; absent: the repositories are asked. */
  readonly find?: FindSegment;
  /** A repository will lack the file whatever comes: then it is not read only to be compared. */
  readonly incomplete?: boolean;
}

/** @param name of the segment, with `.partial` if it is one */
export type FindSegment = (name: string, targets: readonly PushTarget[]) => Promise<FoundSegment>;

export interface FoundSegment {
  readonly missing: readonly PushTarget[];
  readonly existing: readonly ExistingSegment[];
  readonly errors: readonly RepoError[];
}

export interface ExistingSegment {
  readonly target: PushTarget;
  readonly wal: ArchivedWal;
}

export interface PushFileResult {
  /** Repositories that had the segment already, with the same content. */
  readonly existing: readonly PushTarget[];
  readonly errors: readonly RepoError[];
}

/**
 * @param files storage of this host
 * @param path absolute path of the file
 * @param name of the file in the archive, without checksum
 * @throws archive-mismatch when the segment is of another cluster, archive-duplicate when a repository has the segment
 *   with another content, and the errors of reading the file; errors of a repository are in the result
 */
export async function pushFile(
  files: Storage,
  path: string,
  name: string,
  targets: readonly PushTarget[],
  options: PushFileOptions,
): Promise<PushFileResult> {
  const isSegment = isWalSegmentFile(name);
  const size = isSegment && options.cluster !== undefined ? await checkHeader(files, path, options) : undefined;
  const nothingFound: FoundSegment = { missing: targets, existing: [], errors: [] };
  const find = options.find ?? findExisting;
  const finding = isSegment ? begun(find(name, targets)) : Promise.resolve(nothingFound);
  if (options.incomplete === true) {
    const { missing, existing, errors } = await finding;
    if (missing.length === 0) return { existing: existing.map(({ target }) => target), errors };
  }
  // the name of an object says the checksum of its content, which is then read twice: first while the lists are on their way
  const needsName = isSegment && targets.some(({ repo }) => isObjectStore(repo.storage));
  const known = needsName ? await readThrough(files, path, [], options) : undefined;
  const found = await finding;

  const errors = [...found.errors];
  if (found.missing.length + found.existing.length === 0) return { existing: [], errors };
  const destinations = found.missing.map(target => new Destination(target, options.codecs));
  const compression = isSegment && destinations.length > 0 ? options.compression : undefined;
  try {
    const nameFor = (checksum: string) => (isSegment ? formatArchivedName(name, checksum, compression?.type) : name);
    const stored = isSegment ? known && nameFor(known.checksum) : name;
    for (const destination of destinations) await destination.open(name, stored);

    const isRead = known !== undefined && destinations.length === 0;
    const { checksum, bytes } = isRead ? known : await readThrough(files, path, destinations, options, compression);
    if ((known?.checksum ?? checksum) !== checksum) throw changed(path);
    if (size !== undefined && bytes !== size) throw wrongSize(path, bytes, size);
    for (const copy of found.existing) checkSameContent(name, copy, checksum);
    await Promise.all(destinations.map(destination => destination.commit(nameFor(checksum))));
  } catch (error) {
    await Promise.all(destinations.map(destination => destination.abort()));
    throw error;
  }
  for (const { target, failure } of destinations) {
    if (failure !== undefined) errors.push(repoError(target.repo.key, failure.thrown));
  }
  for (const { target, wal } of found.existing) {
    try {
      // a push that was killed may have named the segment and not made the name durable
      await target.repo.storage.paths?.sync(dirname(wal.path));
    } catch (error) {
      errors.push(repoError(target.repo.key, error));
    }
  }
  return { existing: found.existing.map(({ target }) => target), errors };
}

/** @returns bytes that the segment must have */
async function checkHeader(files: Storage, path: string, options: PushFileOptions): Promise<number> {
  const source = await files.read(path, { length: walHeaderSize });
  try {
    const bytes = Buffer.alloc(walHeaderSize);
    const header = decodeWalHeader(bytes.subarray(0, await source.read(bytes)), options.forcedVersion);
    const { cluster } = options;
    if (cluster !== undefined && (header.version.text !== cluster.version || header.systemId !== cluster.systemId)) {
      throw new BackstopError(
        'archive-mismatch',
        `WAL file '${path}' version ${header.version.text}, system-id ${header.systemId} do not match stanza version ${cluster.version}, system-id ${cluster.systemId}`,
        { hint: 'are you archiving to the correct stanza?' },
      );
    }
    return header.segmentSize;
  } finally {
    await source.close();
  }
}

async function findExisting(name: string, targets: readonly PushTarget[]): Promise<FoundSegment> {
  const missing: PushTarget[] = [];
  const existing: ExistingSegment[] = [];
  const errors: RepoError[] = [];
  const segment = name.slice(0, 24) as WalName;
  const lookups = targets.map(target => ({
    target,
    finding: begun(findWal(target.repo, target.archiveId, segment, name.endsWith('.partial'))),
  }));
  for (const { target, finding } of lookups) {
    try {
      const [wal] = await finding;
      if (wal === undefined) missing.push(target);
      else existing.push({ target, wal });
    } catch (error) {
      errors.push(repoError(target.repo.key, error));
    }
  }
  return { missing, existing, errors };
}

/** Two contents for one segment: damage, or two primaries. The archive keeps what it has. */
function checkSameContent(name: string, { target, wal }: ExistingSegment, checksum: string): void {
  if (wal.checksum === checksum) return;
  throw new BackstopError(
    'archive-duplicate',
    `WAL file '${name}' already exists in the ${target.repo.name} archive with a different checksum`,
    { hint: 'are multiple primaries archiving to this stanza?' },
  );
}

/** Reads the file and gives it, compressed, to the destinations, if there are any. */
async function readThrough(
  files: Storage,
  path: string,
  destinations: readonly Destination[],
  { codecs, bufferSize }: PushFileOptions,
  compression?: PushFileOptions['compression'],
): Promise<{ checksum: string; bytes: number }> {
  const steps: StepSpec[] = [
    { step: 'hash', algorithm: 'sha1', id: 'checksum' },
    { step: 'count', id: 'bytes' },
    ...(compression === undefined ? [] : [{ step: 'compress', ...compression, raw: false } as const]),
  ];
  await prepareSteps(steps, codecs);
  let pipeline: Pipeline | undefined;
  const open = (emit: Emit): Pipeline => {
    pipeline = openPipeline(steps, codecs, emit);
    return pipeline;
  };
  const write = (chunk: Uint8Array): Promise<void> | undefined => {
    // what is awaited from the repositories meanwhile gets its turn
    if (destinations.length === 0) return new Promise(resolve => setImmediate(resolve));
    const waiting = destinations.flatMap(destination => destination.push(chunk) ?? []);
    return waiting.length === 0 ? undefined : Promise.all(waiting).then(() => undefined);
  };
  const source = await files.read(path);
  try {
    await pump(source, open, { write: write as ByteSink['write'] }, Buffer.allocUnsafe(bufferSize));
    const results = pipeline?.results() ?? {};
    return { checksum: hashResult(results, 'checksum'), bytes: countResult(results, 'bytes') };
  } finally {
    pipeline?.close();
    await source.close();
  }
}

function changed(path: string): BackstopError {
  return new BackstopError('file-read', `WAL file '${path}' changed while it was pushed`, {
    hint: 'PostgreSQL does not write to a segment once it is to be archived: who else does?',
  });
}

function wrongSize(path: string, bytes: number, expected: number): BackstopError {
  return new BackstopError(
    'format',
    `WAL file '${path}' has ${bytes} byte(s) but its header says that segments have ${expected}`,
    { hint: 'was the file cut short, by a full disk or an interrupted copy?' },
  );
}
