/**
 * Turns of the event loop between synchronous work. What a native library gave is freed in one, some time after nobody holds it
 * any more: without them a file of a gigabyte would be a gigabyte of such memory.
 */

/** Bytes after which it is time for one. */
const interval = 2 * 1024 * 1024;

/** Of this thread, since its last turn. */
let since = 0;

/**
 * To be called with the bytes that were worked on.
 * @returns what to wait for, when it is time; awaiting nothing would cost a turn of the queue each time
 */
export function turnAfter(bytes: number): Promise<void> | undefined {
  since += bytes;
  if (since < interval) return undefined;
  since = 0;
  return new Promise(resolve => setImmediate(resolve));
}
