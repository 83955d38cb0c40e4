/** What verify of the real tool finds, ours finds too. */
import { afterAll, describe, expect, test, vi } from 'vitest';
import { requireCompat } from '../../support/real-pgbackrest.ts';
import { isFullSweep, Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { describeFlip, type Flip, Positions, withFlips } from './flips.ts';
import { toldOf } from './judge.ts';
import { listRepo, type RepoFile, shownPath } from './repo-file.ts';
import { makes, nameOf } from './rounds.ts';
import { TruthBed } from './truth-bed.ts';

vi.mock('../../../src/parallel/pool.ts', () => import('../../support/one-thread-pool.ts'));

const sweep = new Sweep('truth', 'beside');
let compared = 0;
afterAll(() => {
  sweep.report();
  if (real !== undefined) expect(compared).toBeGreaterThan(0);
});

const real = requireCompat();
const rounds = shortOrFull(1, 4);
/** Seconds: it may wait for ever for a process of its own that has met a damaged file. */
const patience = 15;

describe.skipIf(real === undefined)('beside the real tool', () => {
  // 2.45 cannot read files that are stored by blocks
  const readable = makes.filter(({ layout }) => layout !== 'block').filter((_, index) => isFullSweep() || index < 2);

  test.each(readable.map(make => [nameOf(make), make] as const))(
    '%s: what it finds, we find',
    { timeout: 1_200_000 },
    async (_, make) => {
      const bed = await TruthBed.create(make);
      try {
        const files = listRepo(bed.repo).filter(({ twin }) => twin === undefined);
        const positions = new Positions(rounds, sweep.random);
        for (let round = 0; round < rounds; round++) {
          const flips: Flip[] = files.map(file => positions.flip(file, round));
          await withFlips(bed.repo, flips, async () => {
            const theirs = await bed.bed.foreign(real?.path ?? '', 'verify', ['--log-level-console=info'], patience);
            const ours = toldOf((await bed.verify()).log);
            const found = toldOf(theirs.output.split('\n'));
            expect(ours.size).toBeGreaterThan(0);
            // of some damage it ends with an error, or not at all, and tells of nothing
            if (theirs.code !== 0) return sweep.tried('found by ours alone');
            sweep.tried('found by both', found.size);
            compared++;
            expect(found.size, theirs.output).toBeGreaterThan(0);
            // of a bundle they name the member
            const damaged = [...found].map(shown => placeOf(shown, files));
            const missed = flips.filter(({ file }) => damaged.includes(file) && !ours.has(shownPath(file)));
            expect(missed.map(describeFlip), sweep.again).toEqual([]);
            expect(damaged, theirs.output).not.toContain(undefined);
          });
        }
      } finally {
        bed.dispose();
      }
      if (isFullSweep()) console.log(`${nameOf(make)}: ${sweep.cases} found, ${compared} rounds compared so far`);
    },
  );
});

/** The file that is meant by what the real tool shows. */
function placeOf(shown: string, files: readonly RepoFile[]): RepoFile | undefined {
  const label = shown.slice(0, shown.indexOf('/'));
  return (
    files.find(file => shownPath(file) === shown) ?? files.find(file => file.kind === 'bundle' && file.label === label)
  );
}
