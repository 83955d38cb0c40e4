/**
 * Keeps V8 from taking memory that it does not need. Left alone, the young generation of a thread grows to 32 MiB (64 on Node
 * 26) when a little lives through each of its collections, and never shrinks while there is work; the old one grows to
 * several times what lives in it before it is collected. Three threads would hold 100 to 300 MiB of garbage. Smaller heaps are
 * collected more often and in less time: measured over a whole backup, they take no more processor time.
 */

/** MiB that the young generation of a worker has at most: three of its halves. */
export const workerYoungGeneration = 6;

/** Flags that keep heaps small, or the work on them, each with V8's own. */
const heapFlags: readonly (readonly [small: string, own: string])[] = [
  ['--semi-space-growth-factor=1', '--semi-space-growth-factor=2'],
  ['--heap-growing-percent=30', '--heap-growing-percent=0'],
  // there is a thread of ours for each processor: helpers of the collector are waited for until they get one, for
  // milliseconds where the work takes a tenth of one (a third of the time of a backup of 65,000 small files)
  ['--no-parallel-scavenge', '--parallel-scavenge'],
  // bytes of bytecode that a function runs before Node 20 optimizes it: in a command of a second most of that comes too late
  // to pay (12 % of an incr); a manifest of 30,000 files takes 8 % longer in an incr, and as long in a full backup
  ...(process.versions.v8.startsWith('11.3.')
    ? ([['--interrupt-budget=500000', '--interrupt-budget=67584']] as const)
    : []),
];

/**
 * Keeps the heaps of all threads small from now on. V8 lets young generations grow again when it starts a thread, which is
 * to ask anew.
 */
export function keepHeapsSmall(): void {
  for (const [small] of heapFlags) setFlag(small);
}

/** Gives V8 its own values back: it refuses compiled code that was kept under others (base/code-cache.ts). */
export function letHeapsGrow(): void {
  for (const [, own] of heapFlags) setFlag(own);
}

/** Loads Node's module only when it is asked for: every start reads this file. */
const setFlag = (flag: string): void => process.getBuiltinModule('node:v8').setFlagsFromString(flag);
