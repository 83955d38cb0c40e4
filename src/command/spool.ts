/**
 * The spool: what the background processes of asynchronous archiving and the foreground ones, which PostgreSQL starts,
 * leave for each other (format, section 9.3). pgBackRest reads and writes the same files.
 *
 * Everything here is synchronous: the foreground does nothing else, and the files are small and local.
 */
import {
  closeSync,
  constants,
  fstatSync,
  futimesSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { closeFile } from '../base/close-file.ts';
import { BackstopError, type ErrorKind, errorKindOf, systemError } from '../base/error.ts';
import { formatJson } from '../base/json.ts';
import { makePath } from '../base/make-path.ts';

/** Where the files of a stanza lie. */
export interface SpoolPaths {
  readonly root: string;
  /** Status of what is pushed. */
  readonly out: string;
  /** What was fetched, and status of it. */
  readonly in: string;
  /** Says which cluster the status files are of. Not in `out` or `in`, where pgBackRest removes what it does not know. */
  readonly cluster: string;
}

export function spoolPaths(spoolPath: string, stanza: string): SpoolPaths {
  const root = `${spoolPath}/archive/${stanza}`;
  return { root, out: `${root}/out`, in: `${root}/in`, cluster: `${root}/cluster` };
}

export const okSuffix = '.ok';
export const errorSuffix = '.error';
/** Name of the status that speaks of all files. */
export const globalStatus = 'global';

/** Suffix of what is not complete yet. */
export const temporarySuffix = '.pgbackrest.tmp';

/** What a status file says of a WAL file. */
export type SpoolStatus =
  | {
      readonly kind: 'ok';
      /** What the foreground is to say; the code is not 0 when somebody made an error into this. */
      readonly note?: { readonly code: number; readonly message: string };
      /** When it was written: milliseconds since the epoch, with fractions. */
      readonly mtime: number;
    }
  | { readonly kind: 'error'; readonly error: BackstopError };

/** Milliseconds to which some file systems round times down. */
const coarsestTime = 2000;

/** More than this no status says. */
const longestStatus = 64 * 1024;

/**
 * Reads what is known of a WAL file. `.ok` speaks first, then its own `.error`, then that of all files.
 * @param folder `out` or `in`
 * @returns undefined when there is nothing
 * @throws format when the file says nothing that can be understood, file-open, file-read
 */
export function readStatus(folder: string, name: string): SpoolStatus | undefined {
  const ok = readStatusFile(`${folder}/${name}${okSuffix}`);
  if (ok !== undefined) {
    const note = parseStatus(ok.text, `${folder}/${name}${okSuffix}`);
    return { kind: 'ok', mtime: ok.mtime, ...(note === undefined ? {} : { note }) };
  }
  for (const file of [`${folder}/${name}${errorSuffix}`, `${folder}/${globalStatus}${errorSuffix}`]) {
    const found = readStatusFile(file);
    if (found === undefined) continue;
    const said = parseStatus(found.text, file);
    if (said === undefined || said.code === 0) {
      throw new BackstopError('format', `status file '${file}' does not say which error it is`);
    }
    return { kind: 'error', error: errorOf(said) };
  }
  return undefined;
}

/** The warning that the note of an `.ok` is. @param name of the WAL file */
export function warningOf(name: string, note: { readonly code: number; readonly message: string }): string {
  if (note.code === 0) return note.message;
  return `WAL segment '${name}' was not pushed due to error [${note.code}] and was manually skipped: ${note.message}`;
}

/**
 * Says that a WAL file is done.
 * @param notBefore milliseconds since the epoch: the time of the WAL file, which the status must not be older than, even
 *   where the clock was set back since
 */
export function writeOk(folder: string, name: string, warning?: string, notBefore?: number): void {
  writeStatus(`${folder}/${name}${okSuffix}`, warning === undefined ? '' : `0\n${warning}`, notBefore);
}

/** Says why a WAL file, or `globalStatus`, could not be done. */
export function writeError(folder: string, name: string, error: BackstopError): void {
  writeStatus(`${folder}/${name}${errorSuffix}`, `${error.code}\n${cut(error.text)}`);
}

/** Removes the error of a WAL file and the one of all files. */
export function clearErrors(folder: string, name: string): void {
  removeSpoolFile(`${folder}/${name}${errorSuffix}`);
  removeSpoolFile(`${folder}/${globalStatus}${errorSuffix}`);
}

/** Already gone is success, and a directory that somebody put there is removed with what is in it. */
export function removeSpoolFile(path: string): void {
  try {
    rmSync(path, { force: true, recursive: true });
  } catch (error) {
    // of a directory, what is in it
    const { path: inside = path } = error as NodeJS.ErrnoException;
    throw systemError(error, { other: 'file-remove' }, `unable to remove file '${inside}'`);
  }
}

/** Names in a directory of the spool; none when it is not there. */
export function spoolNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw systemError(error, { other: 'path-open' }, `unable to list files for path '${folder}'`);
  }
}

/** Removes what is in a directory of the spool. @param kept names that stay */
export function emptySpoolPath(folder: string, kept: readonly string[] = []): void {
  for (const name of spoolNames(folder)) if (!kept.includes(name)) removeSpoolFile(`${folder}/${name}`);
}

/** Makes a directory of the spool, with its parents. */
export function makeSpoolPath(folder: string): void {
  try {
    makePath(folder, 0o750);
  } catch (error) {
    throw systemError(error, { other: 'path-create' }, `unable to create path '${folder}'`);
  }
}

/** The cluster that the spool's status files are of. */
export interface SpoolCluster {
  readonly systemId: bigint;
  /** Of PostgreSQL, as in `15`. */
  readonly version: string;
}

/**
 * Whether the status files can be of this cluster. Where nothing is said, as in a spool of pgBackRest, they can.
 * @throws file-open, file-read
 */
export function isSpoolOf(paths: SpoolPaths, cluster: SpoolCluster): boolean {
  const found = readStatusFile(paths.cluster);
  return found === undefined || found.text === formatCluster(cluster);
}

/**
 * Makes the spool that of this cluster: what is of another one is removed. Only for who holds the archive lock.
 * @returns whether there was something of another cluster
 */
export function claimSpool(paths: SpoolPaths, cluster: SpoolCluster): boolean {
  const found = readStatusFile(paths.cluster);
  const text = formatCluster(cluster);
  if (found?.text === text) return false;
  if (found !== undefined) {
    for (const folder of [paths.out, paths.in]) emptySpoolPath(folder);
    // what else is known is of the other cluster, too: what was fetched ahead, and what was dropped
    emptySpoolPath(paths.root, ['out', 'in']);
  }
  makeSpoolPath(paths.root);
  writeStatus(paths.cluster, text);
  return found !== undefined;
}

function formatCluster({ systemId, version }: SpoolCluster): string {
  return formatJson({ 'system-id': systemId, version });
}

/** @returns undefined when there is no such file */
function readStatusFile(path: string): { readonly text: string; readonly mtime: number } | undefined {
  let descriptor: number;
  try {
    // neither through a link nor waiting for somebody at the other end of a pipe
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') throw new BackstopError('format', `status file '${path}' is a link`, { cause: error });
    throw systemError(error, { other: 'file-open' }, `unable to open file '${path}' for read`);
  }
  try {
    const info = fstatSync(descriptor);
    if (!info.isFile()) throw new BackstopError('format', `status file '${path}' is not a file`);
    if (info.size > longestStatus) throw new BackstopError('format', `status file '${path}' has ${info.size} bytes`);
    return { text: readFileSync(descriptor, 'utf8'), mtime: info.mtimeMs };
  } catch (error) {
    throw systemError(error, { other: 'file-read' }, `unable to read file '${path}'`);
  } finally {
    closeFile(descriptor, path);
  }
}

/** `CODE\nMESSAGE`, or nothing. @throws format */
function parseStatus(text: string, file: string): { code: number; message: string } | undefined {
  if (text === '') return undefined;
  const [first, ...rest] = text.split('\n');
  if (rest.length === 0) throw new BackstopError('format', `status file '${file}' must have at least two lines`);
  const message = rest.join('\n').trim();
  if (message === '') throw new BackstopError('format', `status file '${file}' has no message`);
  if (first === undefined || !/^\d{1,3}$/.test(first)) {
    throw new BackstopError('format', `status file '${file}' does not begin with the code of an error`);
  }
  return { code: Number(first), message };
}

function errorOf({ code, message }: { readonly code: number; readonly message: string }): BackstopError {
  const kind: ErrorKind = errorKindOf(code) ?? 'unknown';
  const lines = message.split('\n');
  const hints: string[] = [];
  for (let last = lines.at(-1); last?.startsWith('HINT: ') && lines.length > 1; last = lines.at(-1)) {
    hints.unshift(last.slice('HINT: '.length));
    lines.pop();
  }
  return new BackstopError(kind, lines.join('\n'), { hint: hints });
}

/** Nobody sees half of it; not durable: a status that is lost with the machine is worked out again. */
function writeStatus(path: string, text: string, notBefore?: number): void {
  const temporary = `${path}${temporarySuffix}`;
  try {
    const descriptor = openSync(
      temporary,
      constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
      0o640,
    );
    try {
      const bytes = Buffer.from(text);
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
      // later than the other file by what the coarsest file systems round down
      if (notBefore !== undefined && fstatSync(descriptor).mtimeMs < notBefore) {
        const seconds = Math.ceil((notBefore + 1) / coarsestTime) * (coarsestTime / 1000);
        futimesSync(descriptor, seconds, seconds);
      }
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    throw systemError(error, { missing: 'path-missing', other: 'file-write' }, `unable to write status file '${path}'`);
  }
}

/** A text that fits into a status: both tools read it as a whole. */
function cut(text: string): string {
  return text.length <= longestStatus / 4 ? text : `${text.slice(0, longestStatus / 4)}...`;
}
