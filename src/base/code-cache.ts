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
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { Script } from 'node:vm';
import { letHeapsGrow } from './heap.ts';
import { keepInCache } from './user-cache.ts';

/** Bytes of the digest before the code. */
const digestSize = 32;

/** A CommonJS program that has been loaded. */
export interface LoadedProgram {
  /** `module.exports`. */
  readonly exports: unknown;
  /** Whether code of an earlier run was used. */
  readonly cached: boolean;
  /** Keeps the code that is compiled by now for the next run, when this one had none. Never throws. */
  keep(): void;
}

/**
 * Loads a program from one file.
 * @param file absolute path of an ASCII text: a function of CommonJS's names (exports, require, module, __filename,
 *   __dirname); a file with another content has another name
 * @param folder the user's cache, where compiled code is kept; undefined: nowhere
 * @param kind which of several codes of this program: what runs differs by command
 */
export function loadProgram(file: string, folder: string | undefined, kind: string): LoadedProgram {
  const name = `${basename(file, '.cjs')}-${process.version}-${process.arch}-${kind}`;
  const code = folder === undefined ? undefined : readCode(join(folder, name));
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
      if (folder === undefined || cached) return;
      const content = () => {
        // V8 would refuse in the next run what was made under other flags than that one starts with
        letHeapsGrow();
        const made = script.createCachedData();
        return [digestOf(made), made];
      };
      keepInCache(folder, name, content, { sync: true });
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
