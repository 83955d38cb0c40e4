/** One history, from its first step to its last, with all that is looked at on the way. */
import { Random } from '../../support/random.ts';
import type { Sweep } from '../../support/sweep/sweep.ts';
import { checkRepo, checkRestores, checkVerify } from './check.ts';
import { perform } from './perform.ts';
import { describeStep, makeSetting, makeSteps, type Setting, type Step } from './steps.ts';
import { World } from './world.ts';

export interface History {
  readonly seed: number;
  readonly setting: Setting;
  readonly steps: readonly Step[];
}

export function makeHistory(seed: number, length: number): History {
  const random = new Random(seed);
  const setting = makeSetting(random);
  return { seed, setting, steps: makeSteps(random, setting.repos, length) };
}

/** Told of every step before it is made, to look beside the model. */
export type Beside = (world: World, step: Step, perform: () => Promise<void>) => Promise<void>;

/** @throws with the step that went wrong */
export async function tell(
  { seed, setting, steps }: History,
  sweep: Sweep,
  beside: Beside = (_world, _step, perform) => perform(),
): Promise<void> {
  const world = new World(setting, new Random(seed));
  try {
    await world.create();
    for (const [index, step] of steps.entries()) {
      try {
        world.clock.seconds += 1;
        await beside(world, step, () => perform(world, step));
        sweep.tried(`${step.kind}${'break' in step && step.break !== undefined ? `, ${step.break.how}` : ''}`);
        for (const repo of world.repos) await checkRepo(world, repo);
        if (step.kind === 'expire' && index % 2 === 0)
          for (const repo of world.repos) await checkRestores(world, repo, sweep);
      } catch (error) {
        throw new StepError(index, step, error);
      }
    }
    for (const repo of world.repos) {
      await checkRestores(world, repo, sweep);
      await checkVerify(world, repo);
    }
  } finally {
    world.dispose();
  }
}

class StepError extends Error {
  constructor(index: number, step: Step, cause: unknown) {
    const said = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(`at step ${index + 1}, ${describeStep(step)}: ${said}`, { cause });
  }
}

/** A history with a failure, made shorter while it fails. */
export async function shorten(
  history: History,
  sweep: Sweep,
  error: unknown,
  { most, beside }: { readonly most: number; readonly beside: Beside | undefined },
): Promise<Error> {
  let shortest = history;
  let failure = error;
  let tries = 0;
  for (let index = shortest.steps.length - 1; index >= 0 && tries < most; index--) {
    const without = { ...shortest, steps: shortest.steps.filter((_, at) => at !== index) };
    tries++;
    try {
      await tell(without, sweep, beside);
    } catch (again) {
      shortest = without;
      failure = again;
    }
  }
  const { setting, steps } = shortest;
  const lines = [
    `history ${history.seed}, shortened to ${steps.length} steps:`,
    JSON.stringify(setting),
    ...steps.map(describeStep),
    failure instanceof Error ? failure.message : String(failure),
  ];
  return new Error(lines.join('\n'), { cause: failure });
}
