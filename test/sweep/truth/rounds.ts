/** The rounds of one make of repository: bits that are turned in all of its files, and what verify and the other commands say. */
import { allCombinations, allPairs } from '../../support/all-pairs.ts';
import { isFullSweep, type Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { Positions } from './flips.ts';
import { Judge } from './judge.ts';
import { listRepo, type RepoFile } from './repo-file.ts';
import { type Make, TruthBed } from './truth-bed.ts';

/** So many bits are turned in each file. */
const rounds = shortOrFull(4, 60);
/** Of each round so many files are used, one at a time. */
const uses = 2;

const dimensions = {
  codec: ['none', 'gz', 'lz4', 'zst', 'bz2'],
  cipher: ['none', 'aes-256-cbc'],
  layout: ['plain', 'bundle', 'block'],
} as const;

export const makes: readonly Make[] = isFullSweep() ? allCombinations(dimensions) : allPairs(dimensions);

export const nameOf = ({ codec, cipher, layout, writer }: Make): string =>
  `${codec}, cipher ${cipher}, ${layout}${writer === undefined ? '' : `, by the real ${writer.version}`}`;

/** A turned bit is told of, and nothing wrong is restored. @throws with all that is needed to see it again */
export async function turnBits(sweep: Sweep, make: Make): Promise<void> {
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
      await sweep.case(`${nameOf(make)}, round ${round}`, () => judge.round(flips));
      for (let use = 0; use < uses; use++) await judge.use(sweep.random.pick(flips));
      if (round % 10 === 0) await onePair(sweep, judge, files, positions, round);
    }
    await judge.sound();
  } finally {
    bed.dispose();
  }
  // a long one takes too long to be told at its end only
  if (isFullSweep()) console.log(`${nameOf(make)}: ${sweep.cases} bits and uses so far`);
}

async function onePair(
  sweep: Sweep,
  judge: Judge,
  files: readonly RepoFile[],
  positions: Positions,
  round: number,
): Promise<void> {
  const file = sweep.random.pick(files.filter(({ twin, path }) => twin !== undefined && !path.endsWith('.copy')));
  const copy = files.find(({ path }) => path === file.twin);
  if (copy === undefined) throw new Error(`${file.path} has no copy`);
  await judge.pair(positions.flip(file, round), positions.flip(copy, round));
}
