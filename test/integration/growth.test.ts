/**
 * The short form of `npm run bench:growth`: that memory does not grow with bytes, and processor time no faster than what
 * there is. Ratios only: another machine is slower, or busy, in both.
 */
import { tmpdir } from 'node:os';
import { beforeAll, expect, test } from 'vitest';
import { considerable, lastExponent } from '../bench/growth/exponent.ts';
import { growth } from '../bench/growth/growth.ts';
import type { Axis } from '../bench/growth/report.ts';

let axes: readonly Axis[];

const growths = (name: string) => {
  const found = axes.find(axis => axis.name === name)?.growths ?? [];
  expect(found.length).toBeGreaterThan(5);
  return found;
};

beforeAll(async () => {
  const common = { runs: 1, folder: tmpdir(), oursOnly: true, files: 1000, bytes: 16 * 2 ** 20 };
  const { axes: files } = await growth(['files in bundles'], { ...common, steps: [1, 5] });
  const { axes: bytes } = await growth(['bytes'], { ...common, steps: [1, 8] });
  axes = [...files, ...bytes];
});

test('no command holds what it copies: eight times the bytes, and the same memory', () => {
  // a worker that held a file would hold 28 MB more of each here, and there are two
  const larger = growths('bytes').filter(
    ({ points: [first, last] }) => (last?.largest ?? 0) > 1.25 * (first?.largest ?? 0),
  );
  expect(larger).toEqual([]);
});

test.each(['files in bundles', 'bytes'])('no command takes more than its part of processor time with more %s', name => {
  const faster = growths(name)
    .filter(({ points }) => (points.at(-1)?.cpu ?? 0) >= considerable)
    // far from the power of 2 that a search in all for each would have
    .filter(({ points }) => lastExponent(points, ({ cpu }) => cpu) > 1.4);
  expect(faster).toEqual([]);
});
