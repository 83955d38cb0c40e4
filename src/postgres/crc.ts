/** The two CRCs that have protected pg_control. The file is a few hundred bytes, so neither needs a table. */

/** CRC-32C (Castagnoli), from PostgreSQL 9.5 on. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/**
 * The CRC of PostgreSQL 9.4 and before: the table of a bit-reflected CRC-32 used with the shifts of a plain one. That
 * was a mistake nobody could take back; it is no standard CRC and must be computed as it was.
 */
export function legacyCrc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    let entry = ((crc >>> 24) ^ byte) & 0xff;
    for (let bit = 0; bit < 8; bit++) entry = entry & 1 ? (entry >>> 1) ^ 0xedb88320 : entry >>> 1;
    crc = entry ^ (crc << 8);
  }
  return ~crc >>> 0;
}
