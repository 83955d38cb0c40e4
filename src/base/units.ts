/** Sizes and percentages in pgBackRest's spelling (behaviour, section 6.4). */

/**
 * `1010.6KB`: 1024 steps, one decimal. The real tool floors to two decimals and then rounds half up to one; `.0` is
 * dropped. Units stop at GB, as the real tool's do: 2 TiB is `2048GB`.
 */
export function formatSize(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  const names = ['KB', 'MB', 'GB'] as const;
  let unit = 1024;
  let index = 0;
  while (index < names.length - 1 && bytes >= unit * 1024) {
    unit *= 1024;
    index++;
  }
  const hundredths = Math.floor((bytes / unit) * 100);
  const tenths = Math.floor((hundredths + 5) / 10);
  const whole = Math.floor(tenths / 10);
  const fraction = tenths % 10;
  return `${whole}${fraction === 0 ? '' : `.${fraction}`}${names[index]}`;
}

/** `33.46%` of a job; exactly `100.00` only when done reached total. A total of zero counts as done. */
export function formatPercent(done: number, total: number): string {
  return `${(percentHundredths(done, total) / 100).toFixed(2)}%`;
}

/** Percent times 100 as an integer, the way lock files keep it. */
export function percentHundredths(done: number, total: number): number {
  if (total <= 0 || done >= total) return 10000;
  // five digits are kept of the fraction, then rounded half up to four
  return Math.min(9999, Math.floor((Math.floor((done / total) * 100000) + 5) / 10));
}
