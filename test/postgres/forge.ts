/** pg_control files, WAL headers and page checksums of any version, for tests that need a cluster's face but no cluster. */
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

/** The checksum that a page ought to have: the algorithm in plain JavaScript, word by word. */
export function plainChecksum(page: Buffer, block: number): number {
  const seeds = [
    0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c, 0xf8d4474f,
    0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb, 0xe58f764b, 0x187636bc,
    0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4, 0x783125bb, 0x6ca8eaa2, 0xe407eac6,
    0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
  ];
  const bytes = Buffer.from(page);
  bytes.writeUInt16LE(0, 8);
  const sums = [...seeds];
  for (let word = 0; word < page.length / 4 + 64; word++) {
    const value = word < page.length / 4 ? bytes.readUInt32LE(word * 4) : 0;
    const mixed = ((sums[word % 32] ?? 0) ^ value) >>> 0;
    sums[word % 32] = (Math.imul(mixed, 16777619) ^ (mixed >>> 17)) >>> 0;
  }
  const folded = (sums.reduce((a, b) => a ^ b) ^ block) >>> 0;
  return (folded % 65535) + 1;
}
