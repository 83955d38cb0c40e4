/**
 * Truth of results: whatever bit is turned in a repository, verify tells of the file it is in, and what is restored is
 * right or is not restored.
 */
import { afterAll, describe, expect, test, vi } from 'vitest';
import { allCombinations, allPairs } from '../../support/all-pairs.ts';
import { requireCompat } from '../../support/real-pgbackrest.ts';
import { fewOrAll, isFullSweep, Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { describeFlip, type Flip, Positions, withFlips } from './flips.ts';
import { Judge, toldOf } from './judge.ts';
import { listRepo, type RepoFile, shownPath } from './repo-file.ts';
import { type Make, TruthBed } from './truth-bed.ts';

vi.mock('../../../src/parallel/pool.ts', () => import('../../support/one-thread-pool.ts'));

const sweep = new Sweep('truth');
afterAll(() => sweep.report());

const real = requireCompat();
/** So many bits are turned in each file. */
const rounds = shortOrFull(4, 150);
/** Of each round so many files are used, one at a time. */
const uses = shortOrFull(2, 2);

const dimensions = {
  codec: ['none', 'gz', 'lz4', 'zst', 'bz2'],
  cipher: ['none', 'aes-256-cbc'],
  layout: ['plain', 'bundle', 'block'],
} as const;

const makes: readonly Make[] = isFullSweep() ? allCombinations(dimensions) : allPairs(dimensions);

/** Repositories of the real tool: their manifests may have no checksums of what is stored. */
const foreign: readonly Make[] =
  real === undefined
    ? []
    : makes
        .filter(({ layout, codec }) => layout !== 'block' && codec !== 'none')
        .filter((_, index) => isFullSweep() || index % 3 === 0)
        .map(make => ({ ...make, writer: real }));

const name = ({ codec, cipher, layout, writer }: Make): string =>
  `${codec}, cipher ${cipher}, ${layout}${writer === undefined ? '' : `, by the real ${writer.version}`}`;

describe.each(fewOrAll([...makes, ...foreign], 8).map(make => [name(make), make] as const))('%s', (_, make) => {
  test('a turned bit is told of, and nothing wrong is restored', { timeout: 1_200_000 }, async () => {
    const bed = await TruthBed.create(make);
    try {
      const judge = new Judge(sweep, bed);
      await judge.sound();
      const files = listRepo(bed.repo);
      const positions = new Positions(rounds, sweep.random);
      for (let round = 0; round < rounds; round++) {
        // of two copies one is left
        const side = round % 2 === 0 ? '.copy' : '';
        const flips = files
          .filter(({ path, twin }) => twin === undefined || path.endsWith('.copy') === (side !== ''))
          .map(file => positions.flip(file, round));
        await sweep.case(`round ${round}`, () => judge.round(flips));
        for (let use = 0; use < uses; use++) await judge.use(sweep.random.pick(flips));
        if (round % 10 === 0) await onePair(judge, files, positions, round);
      }
      await judge.sound();
    } finally {
      bed.dispose();
    }
  });
});

async function onePair(judge: Judge, files: readonly RepoFile[], positions: Positions, round: number): Promise<void> {
  const file = sweep.random.pick(files.filter(({ twin, path }) => twin !== undefined && !path.endsWith('.copy')));
  const copy = files.find(({ path }) => path === file.twin);
  if (copy === undefined) throw new Error(`${file.path} has no copy`);
  await judge.pair(positions.flip(file, round), positions.flip(copy, round));
}

describe.skipIf(real === undefined)('beside the real tool', () => {
  // 2.45 cannot read files that are stored by blocks
  const readable = makes.filter(({ layout }) => layout !== 'block').filter((_, index) => isFullSweep() || index < 2);

  test.each(readable.map(make => [name(make), make] as const))('%s: what it finds, we find', async (_, make) => {
    const bed = await TruthBed.create(make);
    try {
      const files = listRepo(bed.repo).filter(({ twin }) => twin === undefined);
      const positions = new Positions(shortOrFull(1, 25), sweep.random);
      for (let round = 0; round < shortOrFull(1, 25); round++) {
        const flips: Flip[] = files.map(file => positions.flip(file, round));
        await withFlips(bed.repo, flips, async () => {
          const theirs = await bed.bed.foreign(real?.path ?? '', 'verify', ['--log-level-console=info']);
          const ours = toldOf((await bed.verify()).log);
          const found = toldOf(theirs.output.split('\n'));
          sweep.tried('verify beside the real tool', found.size);
          expect(theirs.code, theirs.output).toBe(0);
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
  });
});

/** The file that is meant by what the real tool shows. */
function placeOf(shown: string, files: readonly RepoFile[]): RepoFile | undefined {
  const label = shown.slice(0, shown.indexOf('/'));
  return (
    files.find(file => shownPath(file) === shown) ?? files.find(file => file.kind === 'bundle' && file.label === label)
  );
}
