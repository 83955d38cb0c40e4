/** A position in the WAL, such as `0/3000028`, as a number. */
export function positionOf(lsn: string): bigint {
  const [high = '', low = ''] = lsn.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

/** Seconds since 1970 of a time as PostgreSQL writes it. */
export const secondsOf = (time: string): number =>
  Date.parse(time.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00')) / 1000;
