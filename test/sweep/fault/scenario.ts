/** One command through all its faults, and what is true of every command: it fails loudly, or what it did is whole. */
import { basename, dirname } from 'node:path';
import { type ErrorKind, errorCodes } from '../../../src/base/error.ts';
import type { Outcome } from '../../integration/offline-bed.ts';
import type { Injection, Operation, OperationKind } from '../../support/sweep/injector.ts';
import { isFullSweep, type Sweep } from '../../support/sweep/sweep.ts';
import type { FaultBed, FaultedRun, Place } from './fault-bed.ts';
import { diskFaults, type FaultTable, type PlannedFault, planFaults } from './plan.ts';

type Args = (bed: FaultBed) => readonly string[];

export interface Scenario {
  /** For messages and the tally: `backup, incr`. */
  readonly name: string;
  readonly command: string;
  readonly args?: Args;
  /** Where they differ when it is run again. */
  readonly argsAgain?: Args;
  /** What it reads from its input. */
  readonly input?: string;
  readonly places: readonly Place[];
  /** Those of disks when absent. */
  readonly faults?: FaultTable;
  /** Only in one of the processes of asynchronous archiving. */
  readonly process?: 'foreground' | 'background';
  /** Cases of each place in the short form. */
  readonly short: number;
  /** Brings about what the command begins with. */
  prepare(bed: FaultBed): Promise<void>;
  /** Before each case, when all is as it was prepared. */
  begins?(bed: FaultBed): Promise<void>;
  /** What must be true when the command ended with 0, be it through a fault. @throws when it is not */
  complete(bed: FaultBed, outcome: Outcome): Promise<void>;
  /** What must be true when it failed, before it is run again. */
  failed?(bed: FaultBed, outcome: Outcome): Promise<void>;
  /** What the user puts right before it is run again. */
  mend?(bed: FaultBed): Promise<void>;
  /** What a run leaves behind comes to its end. */
  ended?(bed: FaultBed): Promise<void>;
  /** The repository is verified after every run, unless false. */
  readonly verifies?: boolean;
  /** A warning after which it is not verified either, when it was a fault that goes on. */
  readonly unsound?: string;
  /** An error that is right though it names no file. */
  readonly nameless?: string;
  /** Other exit codes that are right. */
  readonly codes?: readonly ErrorKind[];
}

/** What can be the matter with an operation of this kind, in pgBackRest's words. */
const kindsOf: Readonly<Record<OperationKind, readonly ErrorKind[]>> = {
  open: ['file-open', 'path-open', 'file-read'],
  create: ['file-open', 'file-write'],
  read: ['file-read'],
  write: ['file-write'],
  sync: ['file-sync', 'path-sync'],
  rename: ['file-move'],
  remove: ['file-remove', 'path-remove'],
  mkdir: ['path-create'],
  link: ['file-open'],
  stat: ['file-open', 'path-open', 'path-create', 'file-info', 'file-read', 'file-write'],
  list: ['path-open'],
  truncate: ['file-write'],
  // a new directory gets its mode apart
  attributes: ['file-owner', 'file-mode', 'file-write', 'file-sync', 'path-create'],
  close: ['file-close', 'path-close', 'file-read', 'file-write', 'path-sync'],
};

/** Runs every case of a command. @throws with all that went wrong, when anything did */
export async function sweepScenario(sweep: Sweep, bed: FaultBed, scenario: Scenario): Promise<void> {
  await scenario.prepare(bed);
  bed.save();
  const runs = new ScenarioRuns(bed, scenario);
  const wrong: string[] = [];
  for (const place of scenario.places) {
    const operations = await runs.count(place);
    for (const planned of planFaults(sweep, operations, scenario.faults ?? diskFaults, scenario.short)) {
      const { kind, nth, fault, onwards } = planned;
      sweep.tried(`${scenario.name}, ${place}, ${fault}`);
      const what = `${scenario.name}, ${place}: ${kind} ${nth}${onwards ? ' and all later' : ''}: ${fault}`;
      try {
        await sweep.case(what, () => runs.meet(place, planned));
      } catch (error) {
        wrong.push(told(error).replace(/\n +at .*/g, ''));
        // a long one takes too long to be told at its end only
        if (isFullSweep()) console.log(wrong.at(-1));
      }
    }
  }
  if (wrong.length > 0) throw new Error(`${wrong.length} cases went wrong\n\n${wrong.join('\n\n')}`);
}

class ScenarioRuns {
  readonly #bed: FaultBed;
  readonly #scenario: Scenario;

  constructor(bed: FaultBed, scenario: Scenario) {
    this.#bed = bed;
    this.#scenario = scenario;
  }

  /** @returns what the command does in a place when nothing happens to it */
  async count(place: Place): Promise<Operation[]> {
    await this.#begin();
    const { outcome, run } = await this.#run(place, { log: true }, this.#scenario.args);
    if (outcome.code !== 0) throw new Error(`${this.#scenario.name} fails by itself\n${outcome.output}`);
    await this.#scenario.complete(this.#bed, outcome);
    const operations = run.operations();
    if (operations.length === 0) throw new Error(`${this.#scenario.name} does nothing in ${place}`);
    return operations;
  }

  /** One case: the fault, what it led to, and the command once more without it. */
  async meet(place: Place, { kind, nth, fault, onwards }: PlannedFault): Promise<void> {
    const { args, argsAgain = args, complete, failed, unsound } = this.#scenario;
    const bed = this.#bed;
    await this.#begin();
    const { outcome, run } = await this.#run(place, { kinds: [kind], nth, fault, onwards }, args);
    const hit = run.hit();
    const met = hit === undefined ? 'no fault was met' : `met at ${hit.number} ${hit.kind} ${hit.path}`;
    const first = `${met}\nexit code ${outcome.code ?? outcome.signal}\n${outcome.output}`;
    await explained(first, async () => {
      if (outcome.signal !== undefined) throw new Error('it hung');
      if (outcome.code === 0) await complete(bed, outcome);
      else {
        checkLoud(outcome, place, run.hits(), this.#scenario);
        await failed?.(bed, outcome);
      }
      const isTold = onwards && unsound !== undefined && outcome.output.includes(unsound);
      if (!isTold) await this.#verify(false);
    });
    await this.#scenario.mend?.(bed);
    const { outcome: again } = await this.#run(place, {}, argsAgain);
    await explained(`${first}\nthen ${again.code ?? again.signal}\n${again.output}`, async () => {
      if (again.code !== 0) throw new Error('run again it fails');
      await complete(bed, again);
      await this.#verify(true);
    });
  }

  async #begin(): Promise<void> {
    this.#bed.reset();
    await this.#scenario.begins?.(this.#bed);
  }

  async #run(place: Place, injection: Omit<Injection, 'under'>, args: Args = () => []): Promise<FaultedRun> {
    const { command, input, process, ended } = this.#scenario;
    const under = [place === 'data' ? this.#bed.cluster.folder : this.#bed.at(place)];
    const made = { under, ...injection, ...(process === undefined ? {} : { process }) };
    const options = input === undefined ? {} : { input };
    try {
      return await this.#bed.met(command, args(this.#bed), made, options);
    } finally {
      await ended?.(this.#bed);
    }
  }

  async #verify(byBoth: boolean): Promise<void> {
    if (this.#scenario.verifies !== false) await this.#bed.verifySound(byBoth);
  }
}

const told = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** @throws what `check` throws, with what the program said */
async function explained(said: string, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    throw new Error(`${told(error)}\n${said.replace(/^P\d\d (DETAIL| {2}WARN: invalid page).*\n/gm, '')}`);
  }
}

/** The exit code says what kind of failure it was, and the message on which file. */
function checkLoud(
  outcome: Outcome,
  place: Place,
  hits: readonly Operation[],
  { codes = [], nameless, process }: Scenario,
): void {
  // without a lock the background process may not write into the spool what was wrong
  const isSilent = process === 'background' && place === 'lock';
  const [hit] = hits;
  if (hit === undefined) throw new Error('fails without having met a fault');
  const { code = -1, output } = outcome;
  const locked: readonly ErrorKind[] = place === 'lock' ? ['lock-acquire'] : [];
  const allowed = [...kindsOf[hit.kind], ...codes, ...locked];
  if (!allowed.some(kind => errorCodes[kind] === code)) throw new Error(`exit code ${code} is none of ${allowed}`);
  if (!output.includes(`ERROR: [${String(code).padStart(3, '0')}]: `)) throw new Error('the log has no such error');
  // which one is not to be used was told in warnings
  if (code === errorCodes['repo-invalid'] || isSilent) return;
  if (nameless !== undefined && output.includes(nameless)) return;
  const names = hits.map(({ path }) => path.replace(/(\.[0-9a-f]{8})?\.pgbackrest\.tmp$/, ''));
  const isNamed = (path: string) =>
    output.includes(path) || (output.includes(`'${basename(path)}'`) && output.includes(`in '${dirname(path)}'`));
  if (!names.some(isNamed)) throw new Error(`the error does not name ${names}`);
}
