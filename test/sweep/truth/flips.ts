/** Bits that are turned in files of a repository, and turned back. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../support/random.ts';
import type { RepoFile } from './repo-file.ts';

export interface Flip {
  readonly file: RepoFile;
  readonly at: number;
  /** 0 to 7. */
  readonly bit: number;
}

export const describeFlip = ({ file, at, bit }: Flip): string =>
  `bit ${bit} of byte ${at} of ${file.size} in ${file.kind} ${file.path}`;

/** Where to turn a bit in each round, so that the rounds together go through the whole file. */
export class Positions {
  readonly #rounds: number;
  readonly #random: Random;
  readonly #starts = new Map<string, number>();

  constructor(rounds: number, random: Random) {
    this.#rounds = rounds;
    this.#random = random;
  }

  /** Every byte has its turn in a file that has no more bytes than there are rounds. */
  flip(file: RepoFile, round: number): Flip {
    let start = this.#starts.get(file.path);
    if (start === undefined) {
      start = this.#random.between(0, this.#rounds - 1);
      this.#starts.set(file.path, start);
    }
    const turn = (round + start) % this.#rounds;
    const [from, to] = [turn, turn + 1].map(part => Math.floor((part * file.size) / this.#rounds)) as [number, number];
    const at = Math.min(file.size - 1, to > from ? this.#random.between(from, to - 1) : from);
    return { file, at, bit: this.#random.between(0, 7) };
  }
}

/** Turns the bits, does the work, and turns them back. */
export async function withFlips<Result>(
  repo: string,
  flips: readonly Flip[],
  work: () => Promise<Result>,
): Promise<Result> {
  const sound = flips.map(({ file, at, bit }) => {
    const path = join(repo, file.path);
    const bytes = readFileSync(path);
    const damaged = Buffer.from(bytes);
    damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << bit), at);
    writeFileSync(path, damaged);
    return { path, bytes };
  });
  try {
    return await work();
  } finally {
    for (const { path, bytes } of sound.reverse()) writeFileSync(path, bytes);
  }
}
