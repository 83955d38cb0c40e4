/**
 * Starts a program with the code that V8 compiled of it in an earlier run. PostgreSQL starts us for every WAL segment, and
 * compiling would be a third of the processor time that this takes.
 *
 * What was compiled is kept below the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`), a file for each build, Node
 * and command. It is only used when nobody but the user, or root, can have written it, and when it is whole: V8 itself does
 * not look, and code that is damaged would crash. Nothing depends on it: where it cannot be kept, every run compiles.
 * `NODE_DISABLE_COMPILE_CACHE=1` turns it off, as it does Node's own.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Script } from 'node:vm';

/** Bytes of the digest before the code. */
const digestSize = 32;

/** Files that are kept, of all builds together: some 400 kB each. Two versions of us under two of Node do not need more. */
const mostFiles = 64;

/** A CommonJS program that has been loaded. */
export interface LoadedProgram {
  /** `module.exports`. */
  readonly exports: unknown;
  /** Whether code of an earlier run was used. */
  readonly cached: boolean;
  /** Keeps the code that is compiled by now for the next run, when this one had none. Never throws. */
  keep(): void;
}

/** @returns the folder for the code, or undefined when there is to be none */
export function codeCacheFolder(environment: NodeJS.ProcessEnv): string | undefined {
  if (environment.NODE_DISABLE_COMPILE_CACHE) return undefined;
  const { XDG_CACHE_HOME: given, HOME: home = homeOfUser() } = environment;
  // a relative path is to be ignored, says the specification of these folders; PostgreSQL starts us in its data directory
  if (given?.startsWith('/')) return join(given, 'pgbackstop');
  return home?.startsWith('/') ? join(home, '.cache', 'pgbackstop') : undefined;
}

/** @returns undefined for a user that the system does not know, as containers have them */
function homeOfUser(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}

/**
 * Loads a program from one file.
 * @param file absolute path of an ASCII text: a function of CommonJS's names (exports, require, module, __filename,
 *   __dirname); a file with another content has another name
 * @param folder where compiled code is kept; undefined: nowhere
 * @param kind which of several codes of this program: what runs differs by command
 */
export function loadProgram(file: string, folder: string | undefined, kind: string): LoadedProgram {
  const path = folder && join(folder, `${basename(file, '.cjs')}-${process.version}-${process.arch}-${kind}`);
  const code = path === undefined ? undefined : readCode(path);
  const script = new Script(readFileSync(file, 'latin1'), {
    filename: file,
    ...(code === undefined ? {} : { cachedData: code }),
  });
  const cached = code !== undefined && script.cachedDataRejected !== true;
  const module = { exports: {} };
  const run = script.runInThisContext() as (...names: unknown[]) => void;
  run(module.exports, createRequire(file), module, file, dirname(file));
  return {
    exports: module.exports,
    cached,
    keep: () => {
      if (path !== undefined && !cached) keepCode(path, () => script.createCachedData());
    },
  };
}

/** @returns undefined when there is no code, or none to be trusted */
function readCode(path: string): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined; // not there yet, or not for us: the program is compiled
  }
  try {
    const { uid, mode } = fstatSync(file);
    const onlyOurs = (uid === process.geteuid?.() || uid === 0) && (mode & 0o022) === 0;
    if (!onlyOurs || (mode & constants.S_IFMT) !== constants.S_IFREG) return undefined;
    const bytes = readFileSync(file);
    const code = bytes.subarray(digestSize);
    return digestOf(code).equals(bytes.subarray(0, digestSize)) ? code : undefined;
  } catch {
    return undefined; // cannot be read: the program is compiled
  } finally {
    closeSync(file);
  }
}

const digestOf = (code: Buffer): Buffer => createHash('sha256').update(code).digest();

/** The file is there whole or not at all, also after a crash of the machine. */
function keepCode(path: string, compile: () => Buffer): void {
  const folder = dirname(path);
  const temporary = `${path}.${process.pid}`;
  try {
    makeFolder(dirname(folder));
    makeFolder(folder);
    if ((lstatSync(folder).mode & 0o022) !== 0) return;
    const file = openSync(temporary, 'wx', 0o600);
    try {
      const code = compile();
      writeSync(file, digestOf(code));
      writeSync(file, code);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    removeOldest(folder);
  } catch {
    // no room, no right, no home: the next run compiles too, and what was asked for is done
    remove(temporary);
  }
}

/**
 * Makes a folder in one that is ours. In the home of another user, which sudo may leave us, nothing is made, and no link
 * of that user leads us to where we would remove files.
 * @throws when the folder is not ours
 */
function makeFolder(path: string): void {
  const isOurs = (folder: string) => lstatSync(folder, { throwIfNoEntry: false })?.uid === process.geteuid?.();
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined && isOurs(dirname(path))) mkdirSync(path, 0o700);
  if (!isOurs(path)) throw new Error(`${path} is not ours`);
}

function removeOldest(folder: string): void {
  const paths = readdirSync(folder).map(name => join(folder, name));
  if (paths.length <= mostFiles) return;
  const ages = paths.map(path => ({ path, made: statSync(path).mtimeMs })).sort((a, b) => b.made - a.made);
  for (const { path } of ages.slice(mostFiles)) remove(path);
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // is not there, or stays: it is only a cache
  }
}
