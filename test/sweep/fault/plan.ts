/** Which operations of a command meet which fault. */
import type { Fault, Operation, OperationKind } from '../../support/sweep/injector.ts';
import { isFullSweep, type Sweep } from '../../support/sweep/sweep.ts';

/** Faults that can happen to an operation; none to those that are not named. */
export type FaultTable = Readonly<Partial<Record<OperationKind, readonly Fault[]>>>;

/** What a file system answers to each kind of operation on a bad day. */
export const diskFaults: FaultTable = {
  open: ['EIO', 'EACCES', 'ESTALE'],
  create: ['ENOSPC', 'EACCES', 'EIO'],
  read: ['EIO', 'short', 'ESTALE'],
  write: ['ENOSPC', 'EIO', 'short'],
  sync: ['EIO', 'ENOSPC'],
  rename: ['EIO', 'ENOSPC', 'EACCES'],
  remove: ['EIO', 'EACCES'],
  mkdir: ['ENOSPC', 'EACCES'],
  link: ['ENOSPC', 'EACCES'],
  stat: ['EIO', 'ESTALE', 'EACCES'],
  list: ['EIO', 'EACCES'],
  truncate: ['EIO'],
  attributes: ['EIO'],
  close: ['EIO', 'ENOSPC'],
};

/** One case: the n-th operation of its kind. */
export interface PlannedFault {
  readonly kind: OperationKind;
  readonly nth: number;
  readonly fault: Fault;
  /** All later ones of the kind too. */
  readonly onwards: boolean;
}

/**
 * In the long form every operation meets one fault, which the seed picks; another seed picks others. In the short form
 * so many of them, of as many kinds as there are.
 * @param operations what the command does when nothing happens to it
 */
export function planFaults(
  sweep: Sweep,
  operations: readonly Operation[],
  table: FaultTable,
  short: number,
): PlannedFault[] {
  const { random } = sweep;
  const counts = new Map<OperationKind, number>();
  for (const { kind } of operations) if (table[kind] !== undefined) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const all = [...counts].sort(([a], [b]) => a.localeCompare(b));
  const one = (kind: OperationKind, nth: number): PlannedFault => {
    const fault = random.pick(table[kind] ?? []);
    return { kind, nth, fault, onwards: fault === 'ENOSPC' && random.chance(30) };
  };
  if (isFullSweep()) {
    return sweep.mine(
      all.flatMap(([kind, count]) => Array.from({ length: count }, (_, index) => one(kind, index + 1))),
    );
  }
  const waiting = [...all];
  return Array.from({ length: Math.min(short, all.length) }, () => {
    const [[kind, count] = random.pick(all)] = waiting.splice(random.between(0, waiting.length - 1), 1);
    return one(kind, random.between(1, count));
  });
}
