/**
 * Kernel locks (flock) that exclude, and are excluded by, pgBackRest (format, section 9.1).
 *
 * Node cannot call flock. The open descriptor is handed to util-linux `flock`, which locks the open file description and
 * ends; the lock stays with our descriptor until it is closed or the process dies, however it dies. Measured: 2 to 3 ms,
 * against 9 to 12 ms to load a foreign-function library.
 */

import { constants, fstatSync, ftruncateSync, openSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { pauseThread } from './clock.ts';
import { closeFile } from './close-file.ts';
import { BackstopError, systemError, systemReason } from './error.ts';
import { formatJson, type JsonObject, parseJson } from './json.ts';
import { isCount } from './json-fields.ts';
import { makePath } from './make-path.ts';

/** What the holder of a lock tells about itself. */
export interface LockContent {
  readonly execId: string;
  readonly pid: number;
  /** Percent done times 100. */
  readonly percentComplete?: number;
  /** Bytes in all and done, while a backup or restore runs. */
  readonly size?: number;
  readonly sizeComplete?: number;
}

/** How far the holder is: percent done times 100, bytes in all, bytes done. */
export interface Progress {
  readonly percentComplete: number;
  readonly size: number;
  readonly sizeComplete: number;
}

export interface Lock {
  /** What holds the lock: a process that inherits it shares the lock. Undefined once it is no longer ours. */
  readonly descriptor: number | undefined;
  /** Replaces what other processes read about us. */
  note(progress: Progress | undefined): void;
  /** Removes the file and frees the lock. */
  release(): void;
  /** Leaves the lock, and its file, to a process that has inherited the descriptor. */
  leave(): void;
}

/**
 * Takes the lock or fails: nobody's work is waited for, only a look at the file, which locks it for a moment.
 * @throws lock-acquire when another process holds it or the file cannot be made
 */
export function acquireLock(path: string, execId: string): Lock {
  const lock = take(path, execId, flockSoon);
  if (lock !== undefined) return lock;
  throw new BackstopError(
    'lock-acquire',
    `unable to acquire lock on file '${path}': Resource temporarily unavailable`,
    {
      hint: 'is another pgBackRest process running?',
    },
  );
}

/**
 * Takes the lock if it is free at this moment.
 * @returns undefined when somebody else holds it
 * @throws lock-acquire when the file cannot be made
 */
export function tryLock(path: string, execId: string): Lock | undefined {
  return take(path, execId, descriptor => tryFlock(descriptor, 'exclusive'));
}

/**
 * Takes over a lock that the process which started this one holds, and has given us with an open descriptor.
 * @returns undefined when the descriptor is not that of the lock's file
 * @throws lock-acquire when the file cannot be written
 */
export function adoptLock(path: string, descriptor: number, execId: string): Lock | undefined {
  return isOpen(descriptor, path) && sameFile(descriptor, path) ? held(path, descriptor, execId) : undefined;
}

function take(path: string, execId: string, lock: (descriptor: number) => boolean): Lock | undefined {
  for (;;) {
    const descriptor = openLockFile(path);
    let state: 'busy' | 'ours' | 'gone';
    try {
      // the holder before us removes its file: between our open and our lock we may have locked what no path names any more
      state = !lock(descriptor) ? 'busy' : sameFile(descriptor, path) ? 'ours' : 'gone';
    } catch (error) {
      closeFile(descriptor, path);
      throw error;
    }
    if (state === 'ours') return held(path, descriptor, execId);
    closeFile(descriptor, path);
    if (state === 'busy') return undefined;
  }
}

function held(path: string, descriptor: number, execId: string): Lock {
  const lock = new HeldLock(path, descriptor, execId);
  try {
    lock.write(undefined);
  } catch (error) {
    lock.release();
    throw systemError(error, { other: 'lock-acquire' }, `unable to write lock file '${path}'`);
  }
  return lock;
}

/** What a lock file says: nobody there, left over, held by someone (content when it can be read). */
export type LockState =
  | { readonly state: 'missing' | 'unlocked' }
  | { readonly state: 'held'; readonly content: LockContent | undefined };

/** Looks at a lock without keeping it. */
export function inspectLock(path: string): LockState {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { state: 'missing' };
    throw systemError(error, { other: 'file-open' }, `unable to open file '${path}' for read`);
  }
  try {
    // shared, so that two who look at a left-over file do not take each other for its holder
    if (tryFlock(descriptor, 'shared')) return { state: 'unlocked' };
    return { state: 'held', content: parseContent(readFileSync(descriptor, 'utf8')) };
  } finally {
    closeFile(descriptor, path);
  }
}

/** What the holder of a lock says of itself, or the one before where nobody holds it: a look at the file without the lock. */
export function readLockFile(path: string): LockContent | undefined {
  try {
    return parseContent(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw systemError(error, { other: 'file-open' }, `unable to open file '${path}' for read`);
  }
}

class HeldLock implements Lock {
  readonly #path: string;
  readonly #execId: string;
  #descriptor: number | undefined;
  /** Bytes in the file, at first those of its holder before us. */
  #length = Number.POSITIVE_INFINITY;

  constructor(path: string, descriptor: number, execId: string) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.#execId = execId;
  }

  get descriptor(): number | undefined {
    return this.#descriptor;
  }

  note(progress: Progress | undefined): void {
    try {
      this.write(progress);
    } catch (error) {
      // who watches learns less; the work need not end for it
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOSPC' && code !== 'EDQUOT') {
        throw systemError(error, { other: 'file-write' }, `unable to write lock file '${this.#path}'`);
      }
    }
  }

  write(progress: Progress | undefined): void {
    if (this.#descriptor === undefined) return;
    const content = {
      execId: this.#execId,
      pid: process.pid,
      ...(progress === undefined
        ? {}
        : { pctCplt: progress.percentComplete, sz: progress.size, szCplt: progress.sizeComplete }),
    };
    const bytes = Buffer.from(formatJson(content));
    // written over what was there: a reader never meets an empty file
    writeSync(this.#descriptor, bytes, 0, bytes.length, 0);
    if (bytes.length < this.#length) ftruncateSync(this.#descriptor, bytes.length);
    this.#length = bytes.length;
  }

  release(): void {
    if (this.#descriptor === undefined) return;
    try {
      unlinkSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        throw systemError(error, { other: 'file-remove' }, `unable to remove lock file '${this.#path}'`);
      }
    } finally {
      this.leave();
    }
  }

  leave(): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    // closed even where that fails: the number may soon be that of another file
    this.#descriptor = undefined;
    closeFile(descriptor, this.#path);
  }
}

function openLockFile(path: string): number {
  for (let attempt = 0; ; attempt++) {
    try {
      return openSync(path, constantsReadWriteCreate, 0o640);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && attempt === 0) {
        try {
          makePath(dirname(path), 0o750);
          continue;
        } catch (cause) {
          throw systemError(cause, { other: 'path-create' }, `unable to create path '${dirname(path)}'`);
        }
      }
      // the same words as when it is held
      throw new BackstopError('lock-acquire', `unable to acquire lock on file '${path}': ${systemReason(error)}`, {
        cause: error,
        hint: `does '${process.geteuid?.() ?? 'this user'}' have permissions on the '${path}' file?`,
      });
    }
  }
}

/** O_RDWR | O_CREAT: an existing file is neither truncated nor required. */
const constantsReadWriteCreate = 0o2 | 0o100;

/** Exit code of `flock -n` when the lock is held elsewhere, chosen by us (`-E`). */
const heldElsewhere = 75;

/** Milliseconds between the attempts to get a lock. */
const pauses: readonly number[] = [10, 20, 40, 80];

function flockSoon(descriptor: number): boolean {
  for (let attempt = 0; !tryFlock(descriptor, 'exclusive'); attempt++) {
    const pause = pauses[attempt];
    if (pause === undefined) return false;
    pauseThread(pause);
  }
  return true;
}

function tryFlock(descriptor: number, kind: 'exclusive' | 'shared'): boolean {
  // loading the module takes 3 ms, which commands without locks need not spend
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  const result = spawnSync('flock', ['-n', kind === 'shared' ? '-s' : '-x', '-E', String(heldElsewhere), '3'], {
    stdio: ['ignore', 'ignore', 'pipe', descriptor],
    // the child needs the search path only: secrets in the environment stay with us
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
    encoding: 'utf8',
  });
  if (result.status === 0) return true;
  if (result.status === heldElsewhere) return false;
  throw new BackstopError('execute', `unable to run 'flock': ${result.error?.message ?? result.stderr.trim()}`, {
    hint: 'the flock command of util-linux must be installed and on PATH.',
    ...(result.error === undefined ? {} : { cause: result.error }),
  });
}

function isOpen(descriptor: number, path: string): boolean {
  try {
    fstatSync(descriptor);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBADF') return false;
    throw systemError(error, { other: 'lock-acquire' }, `unable to get info for lock file '${path}'`);
  }
}

function sameFile(descriptor: number, path: string): boolean {
  try {
    const [held, named] = [fstatSync(descriptor), statSync(path)];
    return held.ino === named.ino && held.dev === named.dev;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw systemError(error, { other: 'lock-acquire' }, `unable to get info for lock file '${path}'`);
  }
}

function parseContent(text: string): LockContent | undefined {
  let value: JsonObject;
  try {
    value = parseJson(text) as JsonObject;
  } catch (error) {
    // the holder may be between truncate and write: held, but silent
    if (error instanceof BackstopError) return undefined;
    throw error;
  }
  const { execId, pid, pctCplt, sz, szCplt } = value ?? {};
  if (typeof execId !== 'string' || !isCount(pid)) return undefined;
  return {
    execId,
    pid,
    ...(isCount(pctCplt) ? { percentComplete: pctCplt } : {}),
    ...(isCount(sz) ? { size: sz } : {}),
    ...(isCount(szCplt) ? { sizeComplete: szCplt } : {}),
  };
}
