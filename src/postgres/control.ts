/**
 * `global/pg_control`: what a cluster is, and where its last checkpoint was.
 * Layout: repository format, section 10. All numbers are little-endian.
 */
import { type Clock, systemClock } from '../base/clock.ts';
import { BackstopError } from '../base/error.ts';
import type { Storage } from '../storage/storage.ts';
import { crc32c, legacyCrc32 } from './crc.ts';
import type { Lsn } from './lsn.ts';
import { type PostgresVersion, versionOf, versionOfControl } from './versions.ts';
import { checkWalSegmentSize } from './wal.ts';

export interface ControlData {
  readonly systemId: bigint;
  readonly version: PostgresVersion;
  /** As the file has it: with a forced version or a beta it may differ from the version's own. */
  readonly controlVersion: number;
  readonly catalogVersion: number;
  readonly checkpoint: Lsn;
  readonly timeline: number;
  /** Bytes of a page of a relation. */
  readonly pageSize: number;
  /** Bytes of a WAL segment. */
  readonly walSegmentSize: number;
  /** Every page has a checksum. */
  readonly checksums: boolean;
}

/** pg_control's place under PGDATA. */
export const controlFile = 'global/pg_control';

/** PostgreSQL keeps everything in one sector so that a write cannot be torn; the rest of the file is zeros. */
export const controlDataSize = 512;
export const controlFileSize = 8192;

/** Stands in the checkpoint of a restored cluster until it has started once: no real checkpoint can be there. */
export const restoreMarker: Lsn = 0xdeadn;

const systemIdOffset = 0;
const controlVersionOffset = 8;
const catalogVersionOffset = 12;
const checkpointOffset = 32;

/**
 * @param bytes the file, or at least its first 512 bytes
 * @param forcedVersion the version whose layout to use whatever the file says (option pg-version-force): for forks of
 *   PostgreSQL, which may have put fields of their own before the CRC
 * @throws version-not-supported, checksum, format
 */
export function decodeControl(bytes: Uint8Array, forcedVersion?: string): ControlData {
  const view = controlView(bytes);
  const controlVersion = view.getUint32(controlVersionOffset, true);
  const catalogVersion = view.getUint32(catalogVersionOffset, true);
  const version =
    forcedVersion === undefined ? versionOfControl(controlVersion, catalogVersion) : versionOf(forcedVersion);
  findCrc(view, version, forcedVersion !== undefined);
  const walSegmentSize = view.getUint32(version.control.walSegmentSize, true);
  checkWalSegmentSize(walSegmentSize);
  const pageSize = view.getUint32(version.control.pageSize, true);
  checkPageSize(pageSize);
  const checksumState = view.getUint32(version.control.checksums, true);
  if (checksumState > version.checksumStateMax) {
    throw new BackstopError(
      'format',
      `page checksum version is ${checksumState} but must be <= ${version.checksumStateMax}`,
    );
  }
  return {
    systemId: view.getBigUint64(systemIdOffset, true),
    version,
    controlVersion,
    catalogVersion,
    checkpoint: view.getBigUint64(checkpointOffset, true),
    timeline: view.getUint32(version.control.timeline, true),
    pageSize,
    walSegmentSize,
    checksums: checksumState === 1,
  };
}

/**
 * A copy of the file with the restore marker for its checkpoint, and the CRC that goes with it.
 * @throws like decodeControl, when the file is not valid to begin with
 */
export function encodeRestoreMarker(bytes: Uint8Array, forcedVersion?: string): Uint8Array {
  const { version } = decodeControl(bytes, forcedVersion);
  // not slice(): that of a Buffer shares its memory
  const marked = new Uint8Array(bytes);
  const view = controlView(marked);
  const crcOffset = findCrc(view, version, forcedVersion !== undefined);
  view.setBigUint64(checkpointOffset, restoreMarker, true);
  view.setUint32(crcOffset, computeCrc(view, version, crcOffset), true);
  return marked;
}

/** True when the cluster was restored and has not been started since (unless its `backup_label` is still there). */
export function hasRestoreMarker(control: ControlData): boolean {
  return control.checkpoint === restoreMarker;
}

/**
 * Checks that PostgreSQL could have been built with this page size.
 * @throws format
 */
export function checkPageSize(size: number): void {
  if (size < 1024 || size > 32768 || (size & (size - 1)) !== 0) {
    throw new BackstopError(
      'format',
      `page size is ${size} but only 1024, 2048, 4096, 8192, 16384, and 32768 are supported`,
    );
  }
}

export interface ReadControlOptions {
  readonly forcedVersion?: string | undefined;
  readonly clock?: Clock;
}

export interface ControlFile {
  readonly data: ControlData;
  /** What a backup keeps: the valid first sector and zeros, 8192 bytes. */
  readonly image: Uint8Array;
}

/**
 * Reads a cluster's pg_control. A server may be writing it, and some file systems show half of a write, so a bad file
 * is read again until it is good or until it is twice the same.
 * @param dataDirectory PGDATA, as a path of the storage
 * @throws file-missing when there is none, file-read when it is too short, else like decodeControl
 */
export async function readControlFile(
  storage: Storage,
  dataDirectory: string,
  options: ReadControlOptions = {},
): Promise<ControlFile> {
  const path = `${dataDirectory.replace(/\/+$/, '')}/${controlFile}`;
  const clock = options.clock ?? systemClock;
  let last: Uint8Array | undefined;
  for (let attempt = 1; ; attempt++) {
    const bytes = await readStart(storage, path);
    try {
      const data = decodeControl(bytes, options.forcedVersion);
      const image = new Uint8Array(controlFileSize);
      image.set(bytes);
      return { data, image };
    } catch (error) {
      const same = last !== undefined && Buffer.compare(last, bytes) === 0;
      if (same || attempt === readAttempts) throw error;
    }
    last = bytes;
    await clock.sleep(50);
  }
}

/** Readings that all differ: five seconds of them are not a checkpoint any more. */
const readAttempts = 100;

/** As readControlFile, when only the meaning is needed. */
export async function readControl(
  storage: Storage,
  dataDirectory: string,
  options: ReadControlOptions = {},
): Promise<ControlData> {
  return (await readControlFile(storage, dataDirectory, options)).data;
}

async function readStart(storage: Storage, path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(controlDataSize);
  const source = await storage.read(path, { length: controlDataSize });
  let filled = 0;
  try {
    while (filled < bytes.length) {
      const count = await source.read(bytes.subarray(filled));
      if (count === 0) break;
      filled += count;
    }
  } finally {
    await source.close();
  }
  if (filled < bytes.length) {
    throw new BackstopError('file-read', `unable to read ${controlDataSize} byte(s) from '${path}': it has ${filled}`, {
      hint: 'is pg_control truncated?',
    });
  }
  return bytes;
}

function controlView(bytes: Uint8Array): DataView {
  if (bytes.length < controlDataSize) {
    throw new BackstopError(
      'format',
      `pg_control has ${bytes.length} byte(s) but at least ${controlDataSize} are needed`,
    );
  }
  return new DataView(bytes.buffer, bytes.byteOffset, controlDataSize);
}

function computeCrc(view: DataView, version: PostgresVersion, end: number): number {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, end);
  return version.controlCrc === 'legacy' ? legacyCrc32(bytes) : crc32c(bytes);
}

/**
 * Where the CRC is that matches what stands before it.
 * @param scan also look behind the version's own place
 */
function findCrc(view: DataView, version: PostgresVersion, scan: boolean): number {
  const last = scan ? controlDataSize - 4 : version.control.crc;
  for (let offset = version.control.crc; offset <= last; offset += 4) {
    if (computeCrc(view, version, offset) === view.getUint32(offset, true)) return offset;
  }
  const computed = computeCrc(view, version, last).toString(16);
  const expected = view.getUint32(last, true).toString(16);
  throw new BackstopError('checksum', 'calculated pg_control checksum does not match expected value', {
    hint: [
      `calculated 0x${computed} but expected value is 0x${expected}`,
      ...(scan ? ['checksum values may be misleading due to forced version scan'] : []),
      'is pg_control corrupt?',
      'does pg_control have a different layout than expected?',
    ],
  });
}
