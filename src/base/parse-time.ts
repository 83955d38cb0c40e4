/** Reads times as users and PostgreSQL write them. */

const pattern = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})(\.\d{1,6})?\s?(?:(Z)|([+-])(\d{2}):?(\d{2})?)?$/;

/**
 * `2026-11-21 02:09:56.074+00`. Without an offset it is local time.
 * @returns seconds since the epoch, with fraction; undefined when it is no time, or one that never was
 */
export function parseTimestamp(text: string): number | undefined {
  const match = pattern.exec(text.trim());
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number);
  const [, , , , , , , fraction, zulu, sign, offsetHours, offsetMinutes] = match;
  const zoned = zulu !== undefined || sign !== undefined;
  const milliseconds = zoned
    ? Date.UTC(year, month - 1, day, hour, minute, second)
    : new Date(year, month - 1, day, hour, minute, second).getTime();
  const check = new Date(milliseconds);
  const sameDay = (zoned ? check.getUTCDate() : check.getDate()) === day;
  if (!sameDay || month > 12 || hour > 23 || minute > 59 || second > 59) return undefined;
  const offset = (Number(offsetHours ?? 0) * 60 + Number(offsetMinutes ?? 0)) * 60 * (sign === '-' ? -1 : 1);
  return milliseconds / 1000 - offset + Number(fraction ?? 0);
}

/** What such a time looks like, for hints. */
export const timestampForm =
  'time format must be YYYY-MM-DD HH:MM:SS with optional msec and optional timezone (+/- HH or HHMM or HH:MM) - if timezone is omitted, local time is assumed (for UTC use +00)';
