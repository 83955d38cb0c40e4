/** pg_control files and WAL headers of any version, for tests that need a cluster's face but no cluster. */
import { crc32c, legacyCrc32 } from '../../src/postgres/crc.ts';
import { versionOf } from '../../src/postgres/versions.ts';

export interface ForgedControl {
  readonly systemId?: bigint;
  readonly controlVersion?: number;
  readonly catalogVersion?: number;
  readonly checkpoint?: bigint;
  readonly timeline?: number;
  readonly pageSize?: number;
  readonly walSegmentSize?: number;
  readonly checksums?: number;
  /** Bytes between the version's last field and the CRC, as a fork of PostgreSQL may have. */
  readonly crcShift?: number;
}

/** A pg_control of 8192 bytes with a right CRC. */
export function forgeControl(versionText: string, fields: ForgedControl = {}): Uint8Array {
  const version = versionOf(versionText);
  const { timeline, pageSize, walSegmentSize, checksums, crc } = version.control;
  const bytes = new Uint8Array(8192);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, fields.systemId ?? 6569239123849665679n, true);
  view.setUint32(8, fields.controlVersion ?? version.controlVersion, true);
  view.setUint32(12, fields.catalogVersion ?? version.catalogVersion, true);
  view.setBigUint64(32, fields.checkpoint ?? 0x16_b374_d848n, true);
  view.setUint32(timeline, fields.timeline ?? 1, true);
  view.setUint32(pageSize, fields.pageSize ?? 8192, true);
  view.setUint32(walSegmentSize, fields.walSegmentSize ?? 16 * 1024 * 1024, true);
  view.setUint32(checksums, fields.checksums ?? 1, true);
  const end = crc + (fields.crcShift ?? 0);
  bytes.fill(0xa5, crc, end);
  const compute = version.controlCrc === 'legacy' ? legacyCrc32 : crc32c;
  view.setUint32(end, compute(bytes.subarray(0, end)), true);
  return bytes;
}

export interface ForgedWal {
  readonly magic?: number;
  readonly info?: number;
  readonly systemId?: bigint;
  readonly segmentSize?: number;
}

/** The first bytes of a WAL segment. */
export function forgeWalHeader(versionText: string, fields: ForgedWal = {}): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, fields.magic ?? versionOf(versionText).walMagic, true);
  view.setUint16(2, fields.info ?? 0x0002, true);
  view.setBigUint64(24, fields.systemId ?? 6569239123849665679n, true);
  view.setUint32(32, fields.segmentSize ?? 16 * 1024 * 1024, true);
  return bytes;
}
