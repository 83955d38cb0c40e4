import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  asBackstopError,
  BackstopError,
  type ErrorKind,
  errorCodes,
  errorFromPlain,
  errorName,
  errorToPlain,
  isBackstopError,
  isKind,
  systemError,
} from '../../src/base/error.ts';

describe('codes', () => {
  it('are different for every kind, and are exit codes', () => {
    const codes = Object.values(errorCodes);
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of codes) expect(code).toSatisfy((value: number) => value >= 25 && value <= 125);
  });

  // numbers that scripts in the field branch on
  it.each<[ErrorKind, number, string]>([
    ['checksum', 26, 'ChecksumError'],
    ['format', 29, 'FormatError'],
    ['option-invalid-value', 32, 'OptionInvalidValueError'],
    ['pg-running', 38, 'PgRunningError'],
    ['path-not-empty', 40, 'PathNotEmptyError'],
    ['archive-duplicate', 45, 'ArchiveDuplicateError'],
    ['lock-acquire', 50, 'LockAcquireError'],
    ['backup-mismatch', 51, 'BackupMismatchError'],
    ['file-missing', 55, 'FileMissingError'],
    ['term', 63, 'TermError'],
    ['archive-timeout', 82, 'ArchiveTimeoutError'],
    ['crypto', 95, 'CryptoError'],
    ['clock', 106, 'ClockError'],
  ])('%s is %i, %s', (kind, code, name) => {
    const error = new BackstopError(kind, 'something failed');
    expect([error.code, error.name, errorName(kind)]).toEqual([code, name, name]);
  });
});

describe('an error', () => {
  it('shows its hints below its message', () => {
    expect(new BackstopError('format', 'bad').text).toBe('bad');
    expect(new BackstopError('format', 'bad', { hint: 'do this' }).text).toBe('bad\nHINT: do this');
    expect(new BackstopError('format', 'bad', { hint: ['this', 'that'] }).text).toBe('bad\nHINT: this\nHINT: that');
  });

  it('crosses threads whole', () => {
    const error = new BackstopError('file-missing', 'no file', { hint: ['look', 'again'], cause: new Error('why') });
    const copy = errorFromPlain(structuredClone(errorToPlain(error)));
    expect([copy.kind, copy.code, copy.text, copy.stack]).toEqual([error.kind, error.code, error.text, error.stack]);
    expect(isBackstopError(copy)).toBe(true);
  });

  it('is known by its kind', () => {
    const error: unknown = new BackstopError('crypto', 'x');
    expect(isKind(error, 'format', 'crypto')).toBe(true);
    expect(isKind(error, 'format')).toBe(false);
    for (const other of [undefined, null, 'crypto', { kind: 'crypto' }, new Error('crypto')]) {
      expect(isBackstopError(other)).toBe(false);
      expect(isKind(other, 'crypto')).toBe(false);
    }
  });

  it('of somebody else is a defect that keeps its message and stack', () => {
    const bug = new TypeError('x is not a function');
    const wrapped = asBackstopError(bug);
    expect([wrapped.kind, wrapped.code, wrapped.message, wrapped.stack]).toEqual([
      'unhandled',
      124,
      bug.message,
      bug.stack,
    ]);
    expect(wrapped.cause).toBe(bug);
    expect(asBackstopError(wrapped)).toBe(wrapped);
    expect(asBackstopError('text').message).toBe('text');
    expect(asBackstopError(undefined).message).toBe('undefined');
  });
});

describe('a failed system call', () => {
  function failure(call: () => unknown): unknown {
    try {
      call();
    } catch (error) {
      return error;
    }
    throw new Error('did not fail');
  }

  it('says what was tried, the number, and the reason', () => {
    const error = failure(() => readFileSync('/nowhere/x'));
    const own = systemError(error, { missing: 'file-missing', other: 'file-open' }, "unable to open file '/nowhere/x'");
    expect(own.kind).toBe('file-missing');
    expect(own.message).toBe("unable to open file '/nowhere/x': [2] No such file or directory");
    expect(own.cause).toBe(error);
  });

  it('has the other kind when something else is wrong, or when missing is no case of its own', () => {
    const missing = failure(() => readFileSync('/nowhere/x'));
    expect(systemError(missing, { other: 'file-open' }, 'x').kind).toBe('file-open');
    const folder = failure(() => readFileSync('/'));
    expect(systemError(folder, { missing: 'file-missing', other: 'file-read' }, 'unable to read')).toMatchObject({
      kind: 'file-read',
      message: 'unable to read: [21] Illegal operation on a directory',
    });
  });

  it.each([
    ['ENOSPC', 'is the file system full?'],
    ['EDQUOT', 'is the file system full?'],
    ['EACCES', 'does this user have permission on the path and all its parents?'],
  ])('%s comes with a hint', (code, hint) => {
    const error = Object.assign(new Error(`${code}: reason, write`), { code, errno: -1 });
    expect(systemError(error, { other: 'file-write' }, 'x').hints).toEqual([hint]);
  });

  it('that is one of ours already stays what it is', () => {
    const own = new BackstopError('stop', 'x');
    expect(systemError(own, { other: 'file-open' }, 'y')).toBe(own);
  });
});
