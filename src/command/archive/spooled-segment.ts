/** A segment that lies in the spool: whether it can be trusted, and its way to where PostgreSQL wants it. */
import { constants, copyFileSync, fstatSync, openSync, readSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { closeFile } from '../../base/close-file.ts';
import { BackstopError, isBackstopError, systemError } from '../../base/error.ts';
import { exists } from '../../base/exists.ts';
import type { ControlData } from '../../postgres/control.ts';
import { decodeWalHeader, walHeaderSize } from '../../postgres/wal.ts';
import { removeSpoolFile, temporarySuffix } from '../spool.ts';

/** What the cluster's own segments have in common. */
export type SegmentOwner = Pick<ControlData, 'systemId' | 'walSegmentSize'>;

/**
 * Gives a fetched segment to PostgreSQL. What is not a whole segment of the cluster is removed instead.
 * @param path in the spool
 * @param forcedVersion option pg-version-force
 * @returns whether the destination has it; `unsound`: something was there that is no segment of this cluster
 * @throws file-missing when the destination's directory is not there
 */
export function takeSegment(
  path: string,
  destination: string,
  owner: SegmentOwner,
  forcedVersion: string | undefined,
): 'taken' | 'absent' | 'unsound' {
  const found = inspect(path, owner, forcedVersion);
  if (found === 'unsound') removeSpoolFile(path);
  if (found !== 'sound') return found;
  if (!exists(dirname(destination))) {
    throw new BackstopError('file-missing', `unable to open '${destination}' for write in missing path`);
  }
  try {
    renameSync(path, destination);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // another process took it
    if (code === 'ENOENT') return 'absent';
    if (code !== 'EXDEV')
      throw systemError(error, { other: 'file-move' }, `unable to move '${path}' to '${destination}'`);
    copyAcross(path, destination);
  }
  return 'taken';
}

/** PostgreSQL asks again after a crash, so the copy need not be durable; it must be whole when it appears. */
function copyAcross(path: string, destination: string): void {
  const temporary = destination + temporarySuffix;
  try {
    copyFileSync(path, temporary);
    renameSync(temporary, destination);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw systemError(error, { other: 'file-write' }, `unable to copy '${path}' to '${destination}'`);
  }
  removeSpoolFile(path);
}

function inspect(path: string, owner: SegmentOwner, forcedVersion: string | undefined): 'sound' | 'absent' | 'unsound' {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'absent';
    if (code === 'ELOOP' || code === 'ENXIO') return 'unsound';
    throw systemError(error, { other: 'file-open' }, `unable to open file '${path}' for read`);
  }
  try {
    const info = fstatSync(descriptor);
    if (!info.isFile() || info.size !== owner.walSegmentSize) return 'unsound';
    const start = Buffer.alloc(walHeaderSize);
    const header = decodeWalHeader(start.subarray(0, readSync(descriptor, start)), forcedVersion);
    return header.systemId === owner.systemId && header.segmentSize === owner.walSegmentSize ? 'sound' : 'unsound';
  } catch (error) {
    if (isBackstopError(error)) return 'unsound';
    throw systemError(error, { other: 'file-read' }, `unable to read '${path}'`);
  } finally {
    closeFile(descriptor, path);
  }
}
