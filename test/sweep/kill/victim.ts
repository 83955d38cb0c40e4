/** Kills a command at each of its durable steps in turn, and asks a judge each time. */
import { expect } from 'vitest';
import type { Tool } from '../../support/stanza.ts';
import type { Fault, Injection, Injector, Operation, OperationKind } from '../../support/sweep/injector.ts';
import { isFullSweep, type Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import type { RunResult } from '../../support/unprivileged.ts';

/** What changes files and folders, or waits until they are on disk: a kill before that comes after all that was written. */
const durable: readonly OperationKind[] = ['create', 'sync', 'rename', 'remove', 'mkdir', 'link', 'truncate'];

/** Milliseconds that a test may take: in the long form one kills hundreds of times. */
export const patience = shortOrFull(300_000, 7_200_000);

/** Whether a scenario is tried at all: the long form has all, the short one those that have cases in it. */
export const isTried = ({ short }: { readonly short: number }): boolean => isFullSweep() || short > 0;

/** Steps that others see at once. */
export const turning: readonly OperationKind[] = ['rename', 'remove', 'mkdir', 'link'];

/** How a command may be ended. */
export type Death = Extract<Fault, 'kill-before' | 'kill-after' | 'end-thread' | 'throw-in-thread'>;

export interface Victim<Result extends RunResult = RunResult> {
  /** Such as 'backup, full'. */
  readonly name: string;
  readonly injector: Injector;
  /** Operations on these folders count. */
  readonly under: readonly string[];
  /** Which operations count; all that are durable when absent. */
  readonly kinds?: readonly OperationKind[];
  /** Which of its processes and threads is meant. */
  readonly only?: Pick<Injection, 'process' | 'thread'>;
  /** In the background the other process lives on, and starts it anew. */
  readonly survives?: boolean;
  /** Cases in the short form. */
  readonly short: number;
  readonly deaths?: readonly Death[];
  /** Puts all back to before the command. */
  readonly reset: () => void | Promise<void>;
  readonly run: (tool: Tool) => Promise<Result>;
  /** Looks at what is left, and goes on with it. @throws when something is wrong */
  readonly judge: (result: Result, death: Death) => Promise<void>;
}

export async function killAtEachStep<Result extends RunResult>(sweep: Sweep, victim: Victim<Result>): Promise<void> {
  const { name, injector, under, kinds = durable, only = {}, run, reset } = victim;
  const injection = { under, kinds, ...only };
  await reset();
  const counting = injector.prepare({ ...injection, log: true });
  const whole = await run(counting.tool);
  if (whole.code !== 0)
    throw new Error(`${name} without a kill ended with ${whole.code}\n${whole.stdout}${whole.stderr}`);
  const operations = counting.operations();
  expect(operations.length, `steps of ${name}`).toBeGreaterThan(0);
  for (const { number, death } of choose(sweep, operations, victim)) {
    await sweep.case(`${name}: ${death} at step ${number} of ${operations.length}`, async () => {
      await reset();
      const killed = injector.prepare({ ...injection, nth: number, fault: death, once: victim.survives === true });
      const result = await run(killed.tool);
      const hit = killed.hit();
      // threads take turns: it did less this time
      if (hit === undefined) return;
      try {
        if (death.startsWith('kill') && victim.survives !== true) expect(result.signal, result.stdout).toBe('SIGKILL');
        await victim.judge(result, death);
      } catch (error) {
        const said = error instanceof Error ? error.stack : String(error);
        throw new Error(
          `${hit.kind} ${hit.path}\n${said}\n--- what was killed said:\n${result.stdout}${result.stderr}`,
        );
      }
      sweep.tried(`${name}, ${death}`);
    });
  }
}

interface Choice {
  readonly number: number;
  readonly death: Death;
}

/**
 * In the long form before each step, and after some: mostly that is the same as before the next. In the short form some steps,
 * half of them such that others see what they do.
 */
function choose(
  sweep: Sweep,
  operations: readonly Operation[],
  { short, deaths }: Pick<Victim, 'short' | 'deaths'>,
): Choice[] {
  const all = operations.map(({ number }) => number);
  const last = all.at(-1) ?? 0;
  const pick = (): Death => sweep.random.pick(deaths ?? ['kill-before', 'kill-after']);
  if (isFullSweep()) {
    const mine = sweep.mine(all);
    const first = deaths?.[0] ?? 'kill-before';
    const more = mine.filter(number => number === last || sweep.random.chance(25));
    const other = deaths?.at(-1) ?? 'kill-after';
    return [
      ...mine.map((number): Choice => ({ number, death: first })),
      ...more.map((number): Choice => ({ number, death: other })),
    ];
  }
  const seen = operations.filter(({ kind }) => turning.includes(kind)).map(({ number }) => number);
  const chosen = new Map<number, Death>();
  for (let tries = 0; chosen.size < Math.min(short, all.length) && tries < 1000; tries++) {
    const from = tries % 2 === 0 && seen.length > 0 ? seen : all;
    const number = sweep.random.pick(from);
    if (!chosen.has(number)) chosen.set(number, pick());
  }
  return [...chosen].map(([number, death]) => ({ number, death }));
}
