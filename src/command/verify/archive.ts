/** The archive's part of verify: every WAL segment, and the gaps between them. */
import { type BackstopError, isBackstopError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { openCodecs } from '../../codec/codecs.ts';
import { openPipeline, prepareSteps } from '../../codec/pipeline.ts';
import { decodeWalHeader, nextWalName, walHeaderSize } from '../../postgres/wal.ts';
import type { ArchiveId } from '../../repo/history.ts';
import { archiveIdPath, archivePath } from '../../repo/layout.ts';
import { begun } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { type ArchivedWal, listWal, walReadSteps } from '../../repo/wal-store.ts';
import { type VerifyTask, type VerifyVerdict, verdictAt } from './job.ts';
import { type ArchiveOutcome, newArchiveOutcome, type WalRange } from './outcome.ts';
import type { VerifyJob } from './run-jobs.ts';
import type { Told } from './tell.ts';
import { verifyTimelines } from './timelines.ts';

/** Names of segments that are wanted, first and last. */
export interface WalFilter {
  readonly start: string;
  readonly stop: string;
}

export interface ArchiveRequest {
  readonly repo: StanzaRepo;
  /** cipher-pass of archive.info. */
  readonly passphrase?: string;
  /** Absent: every segment. */
  readonly filter?: WalFilter | 'nothing';
  /** Option pg-version-force. */
  readonly forcedVersion: string | undefined;
  readonly told: Told;
  readonly log: Log;
}

const archiveIdPattern = /^\d+(\.\d+)?-\d+$/;
const directoryPattern = /^[0-9A-F]{16}$/;

/** The archive ids of the stanza, in the order in which its clusters came. */
export async function listArchiveIds(repo: StanzaRepo): Promise<ArchiveId[]> {
  const idOf = (name: string) => Number(name.slice(name.indexOf('-') + 1));
  const names = await repo.storage.names(archivePath(repo.stanza));
  return (names.filter(name => archiveIdPattern.test(name)) as ArchiveId[]).sort((a, b) => idOf(a) - idOf(b));
}

/**
 * Jobs for all segments. `outcomes` gets one for each archive id, which is complete when the jobs are done.
 * @throws version-not-supported when the WAL is of a PostgreSQL that nobody knows
 */
export async function* archiveJobs(
  request: ArchiveRequest,
  archiveIds: readonly ArchiveId[],
  outcomes: ArchiveOutcome[],
): AsyncGenerator<VerifyJob> {
  for (const archiveId of archiveIds) {
    const outcome = newArchiveOutcome(archiveId);
    outcomes.push(outcome);
    yield* archiveIdJobs(request, outcome);
  }
}

/** What is found counts for nothing but the status. */
const noFurther = ({ archiveId }: ArchiveOutcome): ArchiveOutcome => newArchiveOutcome(archiveId);

/** So many segments in a job: they may have 16 MB each. */
const jobSegments = 8;

async function* archiveIdJobs(request: ArchiveRequest, outcome: ArchiveOutcome): AsyncGenerator<VerifyJob> {
  const { repo, log } = request;
  const { archiveId } = outcome;
  const names = await repo.storage.names(archiveIdPath(repo.stanza, archiveId));
  const directories = names.filter(name => directoryPattern.test(name)).sort();
  if (directories.length === 0) log.detail(`archive path '${archiveId}' is empty`);
  if (request.filter === undefined) await verifyTimelines(request, archiveId, names);
  let segmentSize: number | undefined;
  const lists = ahead(directories, directory => listWal(repo, archiveId, directory));
  for (const [at, directory] of directories.entries()) {
    const wanted = (await lists(at)).filter(wal => isWanted(request, wal));
    const all = wanted.filter(({ partial }) => !partial);
    outcome.total += all.length;
    const segments = dropDuplicates(all, segment => {
      request.told.errors++;
      log.info(`duplicate WAL '${segment}' for '${archiveId}' exists, skipping`);
    });
    // the reference does not count them, but a standby may need one, and its name says what is in it
    const partials = wanted.filter(({ partial }) => partial);
    if (partials.length > 0) yield jobOf(request, noFurther(outcome), partials, segmentSize);
    if (segments.length === 0) {
      log.detail(`path '${archiveId}/${directory}' does not contain any valid WAL to be processed`);
      continue;
    }
    segmentSize ??= await findSegmentSize(request, segments);
    for (const { segment } of segments) addToRanges(outcome.ranges, segment, segmentSize ?? usualSegmentSize);
    for (let at = 0; at < segments.length; at += jobSegments) {
      yield jobOf(request, outcome, segments.slice(at, at + jobSegments), segmentSize);
    }
  }
}

/** Lists under way while one is worked on. */
const listsAhead = 4;

/** Work for each item, in order, begun a few items ahead of the one that is asked for. */
function ahead<T, R>(items: readonly T[], work: (item: T) => Promise<R>): (at: number) => Promise<R> {
  const begunWork: Promise<R>[] = [];
  return async at => {
    for (const item of items.slice(begunWork.length, at + 1 + listsAhead)) begunWork.push(begun(work(item)));
    const result = begunWork[at];
    if (result === undefined) throw new RangeError(`there is no item ${at}`);
    // a list of names is large, and wanted once
    delete begunWork[at];
    return await result;
  };
}

function isWanted({ filter }: ArchiveRequest, { segment }: ArchivedWal): boolean {
  if (filter === undefined) return true;
  return filter !== 'nothing' && segment >= filter.start && segment <= filter.stop;
}

/** Several files for one segment: nobody can say which is the right one, so none is looked at. */
function dropDuplicates(list: readonly ArchivedWal[], tell: (segment: string) => void): ArchivedWal[] {
  const result: ArchivedWal[] = [];
  for (let at = 0; at < list.length; ) {
    const first = list[at] as ArchivedWal;
    let end = at + 1;
    while (list[end]?.segment === first.segment) end++;
    if (end - at === 1) result.push(first);
    else tell(first.segment);
    at = end;
  }
  return result;
}

/** What initdb takes; stands in for a size that no segment could tell. */
const usualSegmentSize = 16 * 1024 * 1024;

/** A directory whose first so many segments are all broken says nothing of the size. */
const mostTries = 16;

/**
 * The segment size as the first segment says, or the next ones when that one is damaged.
 * @returns undefined when none can be read; the verdicts will tell of them
 * @throws version-not-supported
 */
async function findSegmentSize(request: ArchiveRequest, segments: readonly ArchivedWal[]): Promise<number | undefined> {
  let unknown: BackstopError | undefined;
  for (const wal of segments.slice(0, mostTries)) {
    try {
      return decodeWalHeader(await readStart(request, wal), request.forcedVersion).segmentSize;
    } catch (error) {
      if (!isBackstopError(error)) throw error;
      if (error.kind === 'version-not-supported') unknown ??= error;
      request.log.detail(`unable to tell the segment size from '${request.repo.fullPath(wal.path)}': ${error.message}`);
    }
  }
  if (unknown !== undefined) throw unknown;
  return undefined;
}

/** Enough stored bytes to get the first page's header out of any codec: bzip2 works on blocks of 900 KB. */
const startPiece = 64 * 1024;
const startLimit = 1024 * 1024;

class Enough extends Error {}

async function readStart({ repo, passphrase }: ArchiveRequest, wal: ArchivedWal): Promise<Buffer> {
  const steps = walReadSteps(wal, passphrase);
  const codecs = openCodecs();
  await prepareSteps(steps, codecs);
  const start = Buffer.alloc(walHeaderSize);
  let have = 0;
  const pipeline = openPipeline(steps, codecs, chunk => {
    const part = chunk.subarray(0, start.length - have);
    start.set(part, have);
    have += part.length;
    if (have === start.length) throw new Enough();
  });
  const source = await repo.storage.read(wal.path, { length: startLimit });
  try {
    const buffer = Buffer.allocUnsafe(startPiece);
    for (;;) {
      const count = await source.read(buffer);
      if (count === 0) break;
      pipeline.push(buffer.subarray(0, count));
    }
    pipeline.end();
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  } finally {
    pipeline.close();
    await source.close();
  }
  return start.subarray(0, have);
}

function addToRanges(ranges: WalRange[], segment: string, segmentSize: number): void {
  const last = ranges.at(-1);
  if (last !== undefined && follows(last.stop, segment, segmentSize)) last.stop = segment;
  else ranges.push({ start: segment, stop: segment });
}

function follows(segment: string, next: string, segmentSize: number): boolean {
  try {
    return nextWalName(segment, segmentSize) === next;
  } catch (error) {
    // a name that this segment size cannot give has no successor
    if (!isBackstopError(error)) throw error;
    return false;
  }
}

function jobOf(
  { repo, passphrase, told, log }: ArchiveRequest,
  outcome: ArchiveOutcome,
  segments: readonly ArchivedWal[],
  segmentSize: number | undefined,
): VerifyJob {
  const tasks = segments.map(
    ({ path, checksum, compression }): VerifyTask => ({
      path,
      checksum,
      ...(segmentSize === undefined ? {} : { size: segmentSize }),
      decode: {
        ...(compression === undefined ? {} : { compression }),
        ...(passphrase === undefined ? {} : { passphrase }),
        raw: false,
      },
    }),
  );
  const base = `${archivePath(repo.stanza)}/`;
  return {
    tasks,
    done(verdicts: readonly VerifyVerdict[], worker) {
      for (const [index, { path }] of tasks.entries()) {
        const verdict = verdictAt(verdicts, index);
        if (verdict === 'valid') outcome.valid++;
        // expire may have removed it meanwhile, and then nothing is wrong
        else if (verdict === 'missing') {
          outcome.faults.missing++;
          log.worker(worker).warn(`file missing '${path.slice(base.length)}'`);
        } else outcome.faults[told.fault(verdict, path.slice(base.length), worker)]++;
      }
    },
  };
}
