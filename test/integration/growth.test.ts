/**
 * The short form of `npm run bench:growth`: that memory does not grow with bytes, and processor time no faster than what
 * there is. Ratios only: another machine is slower in both.
 */
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { considerable, lastExponent } from '../bench/growth/exponent.ts';
import { growth } from '../bench/growth/growth.ts';
import type { Growth } from '../bench/growth/report.ts';

const options = { files: 500, bytes: 16 * 2 ** 20, steps: [1, 6], runs: 1, folder: tmpdir(), oursOnly: true };

/** A worker that held what it copies would hold 20 MB more of each file, and there are two. */
const holdsMore = ({ points: [first, last] }: Growth): boolean => (last?.largest ?? 0) > 1.25 * (first?.largest ?? 0);

/** Far from the power of 2 that a search in all for each would have. */
const growsFaster = ({ points }: Growth): boolean =>
  (points.at(-1)?.cpu ?? 0) >= considerable && lastExponent(points, ({ cpu }) => cpu) > 1.4;

/** What grows does so each time; a machine that is busy for a while adds to some of what is measured. */
const attempts = 3;

/** @returns what is wrong in each attempt */
async function wrongEachTime(axis: string, wrong: (growth: Growth) => boolean): Promise<Growth[]> {
  let found: Growth[] = [];
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const { axes } = await growth([axis], options);
    const all = axes.flatMap(({ growths }) => growths);
    expect(all.length).toBeGreaterThan(5);
    const now = all.filter(wrong);
    found = attempt === 1 ? now : now.filter(({ command }) => found.some(before => before.command === command));
    if (found.length === 0) break;
  }
  return found;
}

test('bytes: no command holds what it copies, and none takes more than its part of processor time', async () => {
  expect(await wrongEachTime('bytes', each => holdsMore(each) || growsFaster(each))).toEqual([]);
});

test('files: no command takes more than its part of processor time', async () => {
  expect(await wrongEachTime('files in bundles', growsFaster)).toEqual([]);
});
