/**
 * What all sweeps share: how long they go on, their seed, and the tally of what was tried.
 *
 * The short form is part of `npm test` and takes the same way every time; `npm run test:sweep` runs the long form with a
 * seed of its own, which it prints, and `PGBACKSTOP_SWEEP_SEED` repeats.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../random.ts';
import { projectRoot } from '../unprivileged-project.ts';

/** The sweeps: `test/sweep/NAME` has the tests of one. */
export type SweepName = 'fault' | 'kill' | 'power-loss' | 'hostile' | 'truth' | 'model' | 'soak' | 'secrets';

export function isFullSweep(): boolean {
  return process.env.PGBACKSTOP_SWEEP === 'full';
}

/** One of two values: for `npm test`, and for the long form. */
export function shortOrFull<Value>(short: Value, full: Value): Value {
  return isFullSweep() ? full : short;
}

/** All of the cases in the long form, else about so many of them, from all over the list. */
export function fewOrAll<Case>(all: readonly Case[], few: number): readonly Case[] {
  const step = Math.max(1, Math.ceil(all.length / few));
  return isFullSweep() ? all : all.filter((_, index) => index % step === 0);
}

/** Counts what a sweep tried, and names the seed in every failure. */
export class Sweep {
  readonly name: SweepName;
  readonly seed: number;
  readonly random: Random;
  readonly #part: string | undefined;
  readonly #counts = new Map<string, number>();

  /** @param part of a sweep that has several test files: each has a tally of its own */
  constructor(name: SweepName, part?: string) {
    this.name = name;
    this.#part = part;
    this.seed = Number(process.env.PGBACKSTOP_SWEEP_SEED ?? (isFullSweep() ? Date.now() % 1_000_000 : 1));
    if (!Number.isSafeInteger(this.seed)) throw new Error('PGBACKSTOP_SWEEP_SEED is not a whole number');
    this.random = new Random(this.seed);
  }

  /** One more case of a kind, say 'backup, EIO'. */
  tried(kind: string, cases = 1): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + cases);
  }

  get cases(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Runs one case. @throws what it throws, with words that say how to see it again */
  async case<Result>(what: string, run: () => Promise<Result> | Result): Promise<Result> {
    try {
      return await run();
    } catch (error) {
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new Error(`${what} (again: ${this.again})\n${said}`, { cause: error });
    }
  }

  /** The command line that repeats this sweep. */
  get again(): string {
    const form = isFullSweep() ? 'npm run test:sweep --' : 'npm test -- test/sweep/';
    return `PGBACKSTOP_SWEEP_SEED=${this.seed} ${form}${isFullSweep() ? ' ' : ''}${this.name}`;
  }

  /**
   * So many of the numbers from 1 to `last`: all in the long form or where they are few, else the first, the last, and what
   * the seed picks between them.
   */
  numbers(last: number, short: number): number[] {
    const all = Array.from({ length: last }, (_, index) => index + 1);
    if (isFullSweep() || last <= short) return all;
    const chosen = new Set<number>([1, last]);
    while (chosen.size < short) chosen.add(this.random.between(1, last));
    return [...chosen].sort((a, b) => a - b);
  }

  /** Of the cases of a long form: all, or every N-th by `PGBACKSTOP_SWEEP_PART=N`; which ones the seed says. */
  mine<Case>(all: readonly Case[]): Case[] {
    const part = Number(process.env.PGBACKSTOP_SWEEP_PART ?? 1);
    if (!Number.isSafeInteger(part) || part < 1) throw new Error('PGBACKSTOP_SWEEP_PART is not a number from 1');
    return all.filter((_, index) => index % part === this.seed % part);
  }

  /**
   * Prints the tally, and keeps it in `.test/sweep/NAME.json`. Call it when all is done.
   * @param part of a sweep that is several test files, each with a tally of its own: `NAME-PART.json`
   */
  report(part = this.#part): void {
    const kinds = Object.fromEntries([...this.#counts].sort(([a], [b]) => a.localeCompare(b)));
    const folder = join(projectRoot(), '.test', 'sweep');
    mkdirSync(folder, { recursive: true });
    const name = part === undefined ? this.name : `${this.name}-${part}`;
    const text = { sweep: name, seed: this.seed, full: isFullSweep(), cases: this.cases, kinds };
    writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(text, undefined, 2)}\n`);
    console.log(`sweep ${name}: ${this.cases} cases, seed ${this.seed}`);
  }
}
