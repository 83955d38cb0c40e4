/** What a storage still holds of files that were removed: it keeps versions of them, or refuses to remove what is locked. */
import { formatTime } from '../base/clock.ts';
import { BackstopError } from '../base/error.ts';

/** Files that nobody sees any more since they were removed, and that are stored as versions all the same. */
export interface KeptVersions {
  readonly files: number;
  /** How many of them are locked; some less where not all that was removed had been locked. */
  readonly locked: number;
  /** When the last of them is no longer locked, in seconds since the epoch. */
  readonly lockedUntil: number;
}

/** Files that were not removed because they are locked: they are still there for everybody. */
export class LockedError extends BackstopError {
  readonly files: number;
  /** When the last of them is no longer locked, in seconds since the epoch; undefined: a person must unlock it. */
  readonly until: number | undefined;

  /** @param name of one of them */
  constructor(name: string, files: number, until: number | undefined, cause?: unknown) {
    const others = files > 1 ? ` and ${files - 1} other file(s)` : '';
    super('file-remove', `unable to remove '${name}'${others}: locked ${describeLock(until)}`, {
      hint: 'the storage keeps what has a retention or a legal hold, whoever wants to remove it.',
      cause,
    });
    this.files = files;
    this.until = until;
  }
}

/** @param until seconds since the epoch */
export const describeLock = (until: number | undefined): string =>
  until === undefined ? 'by a legal hold' : `until ${formatTime(until)}`;
