/**
 * Keeps V8 from taking memory that it does not need. Left alone, the young generation of a thread grows to 32 MiB (64 on Node
 * 26) when a little lives through each of its collections, and never shrinks while there is work; the old one grows to
 * several times what lives in it before it is collected. Three threads would hold 100 to 300 MiB of garbage. Smaller heaps are
 * collected more often and in less time: measured over a whole backup, they take no more processor time.
 */
import { setFlagsFromString } from 'node:v8';

/** MiB that the young generation of a worker has at most: three of its halves. */
export const workerYoungGeneration = 6;

/**
 * Keeps the heaps of all threads small from now on. V8 lets young generations grow again when it starts a thread, which is
 * to ask anew.
 */
export function keepHeapsSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=30');
}
