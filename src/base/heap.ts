/**
 * Keeps V8 from taking memory that it does not need. A thread's young generation grows to 32 MiB (64 on Node 26) as long as
 * anything lives through its collections, and never shrinks while there is work; three threads would hold 100 to 200 MiB of
 * garbage. With 2 MiB a collection comes more often and is as much shorter.
 */
import { setFlagsFromString } from 'node:v8';

/** MiB that the young generation of a worker has at most: three of its halves. */
export const workerYoungGeneration = 6;

/**
 * Stops the growth of the young generations of all threads. V8 takes this back when a thread starts: ask again when it is up.
 * Costs nothing when it is asked for often.
 */
export function holdYoungGenerations(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
