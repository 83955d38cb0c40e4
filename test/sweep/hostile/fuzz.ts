/**
 * Gives a parser input that somebody made who wants it to fail: each case must end soon, within some memory, with a result
 * or with an error of ours that fits.
 *
 * fast-check makes the inputs, and the smallest of those that fail: it is kept in `.test/sweep/hostile-NAME.bin`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { type ErrorKind, isBackstopError } from '../../../src/base/error.ts';
import { type Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { projectRoot } from '../../support/unprivileged-project.ts';
import type { Watchdog } from './watchdog.ts';

/** What makes inputs: a description, which fast-check makes smaller, and the bytes that it stands for. */
export interface Inputs<Description> {
  readonly arbitrary: fc.Arbitrary<Description>;
  build(description: Description): Buffer;
}

export interface Target<Description> {
  readonly name: string;
  readonly inputs: Inputs<Description>;
  /** Reads the input and uses what it was given. @throws what the parser throws, and an error of its own for a wrong result */
  readonly read: (input: Buffer) => unknown;
  /** Kinds of error that fit. */
  readonly kinds: readonly ErrorKind[];
  /** How many cases, in `npm test` and in the long form. */
  readonly cases: readonly [short: number, full: number];
  /** Seconds of processor time that one case may take, besides those for its bytes. */
  readonly seconds?: number;
  /** Megabytes that one case may add to the most that this process ever had. */
  readonly megabytes?: number;
}

const secondsPerByte = 1e-5;

/** A case that ended in a way in which none may end. */
class Misbehaviour extends Error {
  override readonly name = 'Misbehaviour';
}

export class Fuzz {
  readonly #sweep: Sweep;
  readonly #watchdog: Watchdog;

  constructor(sweep: Sweep, watchdog: Watchdog) {
    this.#sweep = sweep;
    this.#watchdog = watchdog;
  }

  /** Tries all cases of a target. @throws for the first that misbehaves, made as small as it gets */
  async run<Description>(target: Target<Description>): Promise<void> {
    const tally = { read: 0, refused: 0 };
    const property = fc.asyncProperty(target.inputs.arbitrary, async description => {
      const input = target.inputs.build(description);
      tally[await this.#try(target, input)]++;
    });
    const found = await fc.check(property, {
      seed: this.#sweep.seed,
      numRuns: shortOrFull(Math.ceil(target.cases[0] / 2), target.cases[1]),
      // what hangs would hang in every smaller form, too
      interruptAfterTimeLimit: shortOrFull(120_000, 1_500_000),
      markInterruptAsFailure: true,
    });
    for (const [how, cases] of Object.entries(tally)) if (cases > 0) this.#sweep.tried(`${target.name}: ${how}`, cases);
    if (!found.failed) return;
    const [description] = found.counterexample ?? [];
    const kept = description === undefined ? 'none' : keep(target.name, target.inputs.build(description));
    const said = found.errorInstance instanceof Error ? found.errorInstance.stack : String(found.errorInstance);
    throw new Error(
      `${target.name}: case ${found.numRuns}, made smaller ${found.numShrinks} times, is kept in ${kept} (again: ${this.#sweep.again})\n${said}`,
    );
  }

  async #try<Description>(target: Target<Description>, input: Buffer): Promise<'read' | 'refused'> {
    const before = process.resourceUsage();
    this.#watchdog.enter(target.name, input);
    let end: 'read' | 'refused' = 'read';
    try {
      const reading = target.read(input);
      if (reading instanceof Promise) await reading;
    } catch (error) {
      if (!isBackstopError(error)) throw error;
      if (!target.kinds.includes(error.kind)) {
        throw new Misbehaviour(`an error of kind '${error.kind}' does not fit\n${error.stack}`);
      }
      end = 'refused';
    } finally {
      this.#watchdog.leave();
    }
    const after = process.resourceUsage();
    const seconds = (after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime) / 1e6;
    const megabytes = (after.maxRSS - before.maxRSS) / 1024;
    // what is linear may be slow: every byte may be where a value could begin
    if (seconds > (target.seconds ?? 3) + input.length * secondsPerByte)
      throw new Misbehaviour(`${input.length} bytes took ${seconds} seconds`);
    if (megabytes > (target.megabytes ?? 256)) throw new Misbehaviour(`${input.length} bytes took ${megabytes} MB`);
    return end;
  }
}

/** Keeps an input. @returns where */
export function keep(name: string, input: Uint8Array): string {
  const folder = join(projectRoot(), '.test', 'sweep');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `hostile-${name.replaceAll(/[^\w.-]+/g, '-')}.bin`);
  writeFileSync(path, input);
  return path;
}

/** What must hold of a result. @throws Error when it does not */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Misbehaviour(what);
}
