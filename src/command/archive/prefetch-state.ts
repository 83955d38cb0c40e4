/**
 * What the last background archive-get is at: `SPOOL/archive/STANZA/prefetch`. Foreground processes learn from
 * it, without a look at the directory, whether the process that holds the lock works for them. pgBackRest does not know the
 * file: without it nothing is known, and nothing is wrong.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isBackstopError, systemError } from '../../base/error.ts';
import { formatJson, parseJson } from '../../base/json.ts';
import { isCount } from '../../base/json-fields.ts';
import { countWalNames, fitsSegmentSize, isWalName, type WalName } from '../../postgres/wal.ts';
import { removeSpoolFile, type SpoolPaths, temporarySuffix } from '../spool.ts';

export interface PrefetchState {
  /** The kernel's name of this boot: what was written before a crash of the machine may be cut short. */
  readonly boot: string;
  readonly pid: number;
  /** As processStart() says: another process may get its number once it has ended. */
  readonly start: string;
  /** First segment of the queue, and how many there are at most. */
  readonly first: WalName;
  readonly count: number;
  /** The segment at which the archive ended. */
  readonly missing?: WalName;
  /** Repositories that did not answer, by key, with the second since the epoch in which that was. */
  readonly slow: ReadonlyMap<number, number>;
}

/** A file of ours is small: more is not ours. */
const longestState = 64 * 1024;

/** @returns undefined when there is none that can be understood */
export function readPrefetchState(paths: SpoolPaths): PrefetchState | undefined {
  let text: string;
  try {
    text = readFileSync(stateFile(paths), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw systemError(error, { other: 'file-open' }, `unable to read '${stateFile(paths)}'`);
  }
  return text.length > longestState ? undefined : parseState(text);
}

function parseState(text: string): PrefetchState | undefined {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    // what an older or newer version wrote, or half a file: as if there were none
    if (isBackstopError(error)) return undefined;
    throw error;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { boot, pid, start, first, count, missing, slow } = value as Record<string, unknown>;
  if (typeof boot !== 'string' || !isCount(pid) || pid < 2 || !isCount(count)) return undefined;
  if (typeof first !== 'string' || !isWalName(first)) return undefined;
  const keys = Object.entries(typeof slow === 'object' && slow !== null ? slow : {});
  return {
    boot,
    pid,
    start: typeof start === 'string' ? start : '',
    first,
    count,
    ...(typeof missing === 'string' && isWalName(missing) ? { missing } : {}),
    slow: new Map(
      keys.flatMap(([key, since]) => (/^\d{1,3}$/.test(key) && isCount(since) ? [[Number(key), since]] : [])),
    ),
  };
}

/** @throws file-write */
export function writePrefetchState(paths: SpoolPaths, { slow, ...state }: PrefetchState): void {
  const path = stateFile(paths);
  try {
    writeFileSync(path + temporarySuffix, formatJson({ ...state, slow: Object.fromEntries(slow) }), { mode: 0o640 });
    renameSync(path + temporarySuffix, path);
  } catch (error) {
    throw systemError(error, { other: 'file-write' }, `unable to write '${path}'`);
  }
}

/** Whether there is one: a look without reading. */
export function hasPrefetchState(paths: SpoolPaths): boolean {
  return existsSync(stateFile(paths));
}

/** Nothing is known any more, and the process that wrote it is to end. */
export function removePrefetchState(paths: SpoolPaths): void {
  removeSpoolFile(stateFile(paths));
}

const stateFile = ({ root }: SpoolPaths): string => `${root}/prefetch`;

/** Whether the process that wrote this is there. */
export function isAtWork(state: PrefetchState | undefined): state is PrefetchState {
  return (
    state !== undefined && state.start !== '' && state.start === processStart(state.pid) && state.boot === bootId()
  );
}

/** Whether the process that wrote this fetches the segment or has it on its list, as long as it is there. */
export function isOnList(state: PrefetchState, name: WalName, segmentSize: number): boolean {
  // damaged, or of a cluster with other segments
  if (!fitsSegmentSize(state.first, segmentSize)) return false;
  const at = countWalNames(state.first, name, segmentSize) - 1;
  return state.first.slice(0, 8) === name.slice(0, 8) && at >= 0 && at < state.count;
}

/**
 * When a process began, in ticks since the boot; empty when it is not there. One that has ended and that nobody has asked
 * about is not there either: containers keep those for long.
 */
export function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // the name before it may hold anything
    const [state = '', ...more] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? '' : (more[18] ?? '');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw systemError(error, { other: 'file-read' }, `unable to look for process ${pid}`);
  }
}

/** Empty where the kernel does not say. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EACCES') return '';
    throw systemError(error, { other: 'file-read' }, 'unable to read the boot id');
  }
}
