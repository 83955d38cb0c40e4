/** How a cost grows with what it is paid for. */

/** What one command cost at one size. */
export interface Point {
  /** Files or bytes. */
  readonly size: number;
  /** Seconds. */
  readonly wall: number;
  readonly cpu: number;
  /** Bytes of the largest process, and of all processes together. */
  readonly largest: number;
  readonly peak: number;
}

/** The power of the size that the cost grows with from the first point to the second: 1 is linear, 0 is not at all. */
export function exponent(
  from: { readonly size: number; readonly cost: number },
  to: { readonly size: number; readonly cost: number },
): number {
  return Math.log(to.cost / from.cost) / Math.log(to.size / from.size);
}

/**
 * The same for the largest two of several points: there, what a command costs at any size counts least.
 * @throws when there are fewer than two
 */
export function lastExponent(points: readonly Point[], cost: (point: Point) => number): number {
  const [from, to] = [...points].sort((a, b) => a.size - b.size).slice(-2);
  if (from === undefined || to === undefined) throw new Error('growth is seen at two sizes or more');
  return exponent({ size: from.size, cost: cost(from) }, { size: to.size, cost: cost(to) });
}

/** Processor time that grows faster than this is named: 1 and what measuring adds. */
export const linear = 1.1;

/** Seconds; what costs less at the largest size tells more of the machine's mood than of growth. */
export const considerable = 0.5;
