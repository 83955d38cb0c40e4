/** Positions in the WAL: 64-bit, so bigint. PostgreSQL writes them as two hexadecimal halves, `16/B374D848`. */
import { BackstopError } from '../base/error.ts';

export type Lsn = bigint;

const pattern = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** @throws format when the text is not an LSN */
export function parseLsn(text: string): Lsn {
  const match = pattern.exec(text);
  if (match === null) {
    throw new BackstopError('format', `invalid LSN '${text}'`, { hint: 'an LSN looks like 16/B374D848' });
  }
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** `16/B374D848`: upper-case, without leading zeros, as PostgreSQL 9.4 to 18 write it. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase();
}

/** Negative, zero or positive, for sorting. */
export function compareLsn(a: Lsn, b: Lsn): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
