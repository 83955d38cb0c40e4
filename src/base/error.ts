/**
 * Every error a user can meet: one kind, one exit code, one message, one hint.
 *
 * The codes are pgBackRest's (level 2.59.1), because scripts branch on them.
 */

/** Kind of failure -> process exit code. The name shown in text is the CamelCase kind plus `Error`. */
export const errorCodes = {
  assert: 25,
  checksum: 26,
  config: 27,
  'file-invalid': 28,
  format: 29,
  'command-required': 30,
  'option-invalid': 31,
  'option-invalid-value': 32,
  'option-required': 37,
  'pg-running': 38,
  protocol: 39,
  'path-not-empty': 40,
  'file-open': 41,
  'file-read': 42,
  'param-required': 43,
  'archive-mismatch': 44,
  'archive-duplicate': 45,
  'version-not-supported': 46,
  'path-create': 47,
  'command-invalid': 48,
  'host-connect': 49,
  'lock-acquire': 50,
  'backup-mismatch': 51,
  'file-sync': 52,
  'path-open': 53,
  'path-sync': 54,
  'file-missing': 55,
  'db-connect': 56,
  'db-query': 57,
  'db-mismatch': 58,
  'file-remove': 60,
  'path-remove': 61,
  stop: 62,
  term: 63,
  'file-write': 64,
  'feature-not-supported': 67,
  'archive-command-invalid': 68,
  'link-expected': 69,
  'link-destination': 70,
  'host-invalid': 72,
  'path-missing': 73,
  'file-move': 74,
  'backup-set-invalid': 75,
  'tablespace-map': 76,
  'link-map': 78,
  'file-close': 79,
  'db-missing': 80,
  'db-invalid': 81,
  'archive-timeout': 82,
  'file-mode': 83,
  'archive-disabled': 87,
  'file-owner': 88,
  'user-missing': 89,
  'file-exists': 93,
  memory: 94,
  crypto: 95,
  'param-invalid': 96,
  'path-close': 97,
  'file-info': 98,
  'json-format': 99,
  kernel: 100,
  service: 101,
  execute: 102,
  'repo-invalid': 103,
  command: 104,
  access: 105,
  clock: 106,
  runtime: 122,
  unhandled: 124,
  unknown: 125,
} as const;

export type ErrorKind = keyof typeof errorCodes;

/** The kind with this exit code; undefined when there is none. */
export function errorKindOf(code: number): ErrorKind | undefined {
  for (const kind of Object.keys(errorCodes) as ErrorKind[]) if (errorCodes[kind] === code) return kind;
  return undefined;
}

/** An error as plain data: what crosses threads and, later, hosts. */
export interface PlainError {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hints: readonly string[];
  readonly stack?: string;
}

const brand = Symbol.for('pgbackstop.error');

export interface BackstopErrorOptions {
  /** What the user can do next; each becomes a `HINT:` line. */
  readonly hint?: string | readonly string[];
  readonly cause?: unknown;
}

/** A failure with a meaning. The message is lower-case and says what failed on what; the hint says what to do next. */
export class BackstopError extends Error {
  readonly kind: ErrorKind;
  readonly hints: readonly string[];
  readonly [brand] = true;

  constructor(kind: ErrorKind, message: string, options: BackstopErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = errorName(kind);
    this.kind = kind;
    this.hints = options.hint === undefined ? [] : typeof options.hint === 'string' ? [options.hint] : options.hint;
  }

  /** The process exit code that stands for this kind. */
  get code(): number {
    return errorCodes[this.kind];
  }

  /** The message with its hints, one per line, as it is logged. */
  get text(): string {
    return [this.message, ...this.hints.map(hint => `HINT: ${hint}`)].join('\n');
  }
}

/** `archive-mismatch` -> `ArchiveMismatchError`. */
export function errorName(kind: ErrorKind): string {
  return `${kind.replace(/(^|-)([a-z])/g, (_, _dash: string, letter: string) => letter.toUpperCase())}Error`;
}

/** True for our own errors, also those made by another copy of this module (another bundle, another thread). */
export function isBackstopError(error: unknown): error is BackstopError {
  return typeof error === 'object' && error !== null && brand in error;
}

/** True when the error is one of ours and of one of these kinds. */
export function isKind(error: unknown, ...kinds: readonly ErrorKind[]): error is BackstopError {
  return isBackstopError(error) && kinds.includes(error.kind);
}

/** Makes any thrown value one of ours. A value that is not ours is a defect and becomes `unhandled`. */
export function asBackstopError(error: unknown): BackstopError {
  if (isBackstopError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  const wrapped = new BackstopError('unhandled', message, { cause: error });
  if (error instanceof Error && error.stack !== undefined) wrapped.stack = error.stack;
  return wrapped;
}

export function errorToPlain(error: unknown): PlainError {
  const own = asBackstopError(error);
  return {
    kind: own.kind,
    message: own.message,
    hints: own.hints,
    ...(own.stack === undefined ? {} : { stack: own.stack }),
  };
}

export function errorFromPlain(plain: PlainError): BackstopError {
  const error = new BackstopError(plain.kind, plain.message, { hint: plain.hints });
  if (plain.stack !== undefined) error.stack = plain.stack;
  return error;
}

/** The kinds for the failing system calls of one place: which kind a missing file or another failure has there. */
export interface SystemErrorKinds {
  readonly missing?: ErrorKind;
  readonly other: ErrorKind;
}

/**
 * Turns a failed system call into one of our errors: `unable to open file '/x': [13] Permission denied`.
 * @param action what was tried, lower-case, with its object: `unable to open file '/x'`
 */
export function systemError(error: unknown, kinds: SystemErrorKinds, action: string): BackstopError {
  if (isBackstopError(error)) return error;
  const { code, errno } = error as NodeJS.ErrnoException;
  const missing = code === 'ENOENT' || code === 'ENOTDIR';
  const kind = missing && kinds.missing !== undefined ? kinds.missing : kinds.other;
  const number = errno === undefined ? '' : `[${Math.abs(errno)}] `;
  const hint =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'is the file system full?'
      : code === 'EACCES' || code === 'EPERM'
        ? 'does this user have permission on the path and all its parents?'
        : undefined;
  return new BackstopError(kind, `${action}: ${number}${systemReason(error)}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Why a system call failed, in the system's words: `Permission denied`. */
export function systemReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  // Node's text is "ENOENT: no such file or directory, open '/x'": keep the middle, the action already names the file
  return code === undefined ? message : capitalize(message.split(': ')[1]?.split(',')[0] ?? message);
}

const capitalize = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
