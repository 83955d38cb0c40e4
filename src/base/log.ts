/**
 * Log lines as pgBackRest prints them (behaviour, section 6.1): to stdout, or stderr, and to a file, each up to a level of its own.
 *
 * Lines are written synchronously, so that nothing is lost when the process ends or is killed.
 */

import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Clock, formatLogTime, pauseThread } from './clock.ts';
import { type BackstopError, errorName, systemError } from './error.ts';
import { makePath } from './make-path.ts';

export const logLevels = ['off', 'assert', 'error', 'warn', 'info', 'detail', 'debug', 'trace'] as const;
export type LogLevel = (typeof logLevels)[number];

const rank = Object.fromEntries(logLevels.map((level, index) => [level, index])) as Record<LogLevel, number>;

export interface Log {
  /** Logs an error with its code and hints; `assert` kinds go out at assert level. */
  error(error: BackstopError): void;
  warn(message: string): void;
  info(message: string): void;
  detail(message: string): void;
  /** @param where `file::function`, as developers look for it */
  debug(where: string, message: string): void;
  trace(where: string, message: string): void;
  /** Whether any output takes this level: guards work that is only done for the log. */
  enabled(level: LogLevel): boolean;
  /** The same log, speaking for worker N (`P01`). */
  worker(process: number): Log;
  /** The same log, every message prefixed: for one of several that speak at once. */
  withPrefix(prefix: string): Log;
}

export interface LogSettings {
  readonly console: LogLevel;
  readonly stderr: LogLevel;
  readonly file: LogLevel;
  readonly timestamp: boolean;
  /** Prefix of every message, such as `[DRY-RUN] `. */
  readonly prefix?: string;
  /** Digits of the process number: 2, or 3 when process-max is above 99. */
  readonly processDigits?: number;
}

/** The log of one process. Made by cli; everything else gets the `Log` interface. */
export class ProcessLog implements Log {
  readonly #settings: LogSettings;
  readonly #clock: Clock;
  readonly #process: number;
  readonly #shared: { file: number | undefined; fresh: boolean; used: boolean };

  constructor(settings: LogSettings, clock: Clock, from?: ProcessLog, process = 0) {
    this.#settings = settings;
    this.#clock = clock;
    this.#process = process;
    this.#shared = from === undefined ? { file: undefined, fresh: true, used: false } : from.#shared;
  }

  worker(process: number): Log {
    return new ProcessLog(this.#settings, this.#clock, this, process);
  }

  withPrefix(prefix: string): ProcessLog {
    return new ProcessLog({ ...this.#settings, prefix }, this.#clock, this, this.#process);
  }

  /** Appends to this file from now on. A file that cannot be opened is warned of and done without. */
  openFile(path: string): void {
    if (this.#settings.file === 'off') return;
    try {
      makePath(dirname(path), 0o750);
      this.#shared.file = openSync(path, 'a', 0o640);
      this.#shared.fresh = fstatSync(this.#shared.file).size === 0;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.warn(`unable to open log file '${path}': ${reason}\nNOTE: process will continue without log file.`);
    }
  }

  closeFile(): void {
    if (this.#shared.file !== undefined) closeSync(this.#shared.file);
    this.#shared.file = undefined;
  }

  enabled(level: LogLevel): boolean {
    const { console, stderr, file } = this.#settings;
    return (
      rank[level] <= rank[console] ||
      rank[level] <= rank[stderr] ||
      (this.#shared.file !== undefined && rank[level] <= rank[file])
    );
  }

  /** A line without time, for what is said before a command begins. */
  plain(level: LogLevel, message: string): void {
    if (rank[level] <= rank[this.#settings.stderr]) writeLog(2, stderrLine(level, message));
    else if (rank[level] <= rank[this.#settings.console]) writeLog(1, this.#line(level, message, false));
  }

  error(error: BackstopError): void {
    const level = error.kind === 'assert' ? 'assert' : 'error';
    const type = error.kind === 'unhandled' ? `${errorName(error.kind)}: ` : '';
    const stack = this.enabled('debug') || error.kind === 'unhandled' ? stackOf(error) : '';
    this.#write(level, `${type}${error.text}${stack}`, `[${String(error.code).padStart(3, '0')}]: `);
  }

  warn(message: string): void {
    this.#write('warn', message);
  }

  info(message: string): void {
    this.#write('info', message);
  }

  detail(message: string): void {
    this.#write('detail', message);
  }

  debug(where: string, message: string): void {
    this.#write('debug', `    ${where}: ${message}`);
  }

  trace(where: string, message: string): void {
    this.#write('trace', `        ${where}: ${message}`);
  }

  /** @param code of an error; it stands before the prefix */
  #write(level: LogLevel, message: string, code = ''): void {
    const { console, stderr, file, timestamp, prefix = '' } = this.#settings;
    const text = code + prefix + message;
    if (rank[level] <= rank[stderr]) {
      writeLog(2, stderrLine(level, text));
    } else if (rank[level] <= rank[console]) {
      // why a command failed should be read somewhere
      if (!writeLog(1, this.#line(level, text, timestamp)) && rank[level] <= rank.error) {
        writeLog(2, stderrLine(level, text));
      }
    }
    const { file: descriptor } = this.#shared;
    if (descriptor !== undefined && rank[level] <= rank[file]) {
      if (!this.#shared.used) {
        this.#shared.used = true;
        const gap = this.#shared.fresh ? '' : '\n';
        writeLog(descriptor, `${gap}-------------------PROCESS START-------------------\n`);
      }
      writeLog(descriptor, this.#line(level, text, timestamp));
    }
  }

  #line(level: LogLevel, text: string, timestamp: boolean): string {
    const time = timestamp ? `${formatLogTime(this.#clock.now())} ` : '';
    const process = String(this.#process).padStart(this.#settings.processDigits ?? 2, '0');
    const head = `${time}P${process} ${level.toUpperCase().padStart(6)}: `;
    return indented(head, text);
  }
}

/** stderr has neither time nor process. */
function stderrLine(level: LogLevel, text: string): string {
  return indented(`${level.toUpperCase()}: `, text);
}

/** Further lines of a text stand below its first. */
function indented(head: string, text: string): string {
  return `${head}${text.replaceAll('\n', `\n${' '.repeat(head.length)}`)}\n`;
}

function stackOf(error: BackstopError): string {
  const frames = error.stack?.split('\n    at ').slice(1) ?? [];
  return frames.length === 0 ? '' : `\nSTACK: ${frames.join('\n       ')}`;
}

/**
 * Writes all of the text. A pipe whose reader is slow answers EAGAIN (Node may have made it non-blocking): wait and
 * go on. A reader that is gone (EPIPE) is not our failure: the work goes on without it.
 */
export function writeAll(descriptor: number, text: string): void {
  let bytes: Uint8Array = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(descriptor, bytes));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') return;
      if (code !== 'EAGAIN') throw error;
      pauseThread(5);
    }
  }
}

/**
 * Writes a line of the log. That the file system behind it is full must not keep WAL from its archive.
 * @returns false when the line was lost
 */
function writeLog(descriptor: number, text: string): boolean {
  try {
    writeAll(descriptor, text);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') return false;
    throw error;
  }
}

/**
 * Writes a result to standard output.
 * @throws file-write
 */
export function writeResult(text: string): void {
  try {
    writeAll(1, text);
  } catch (error) {
    throw systemError(error, { other: 'file-write' }, 'unable to write to standard output');
  }
}

/** A log that drops everything, for code run outside a command. */
export const silentLog: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  detail: () => undefined,
  debug: () => undefined,
  trace: () => undefined,
  enabled: () => false,
  worker: () => silentLog,
  withPrefix: () => silentLog,
};
