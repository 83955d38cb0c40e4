/** Bytes to standard output and from standard input. */
import { readSync, writeSync } from 'node:fs';
import { systemError } from '../../base/error.ts';
import type { ByteSource } from '../../storage/storage.ts';

/** Whoever read our output has gone: nobody wants the rest. */
export class ReaderGone extends Error {}

/**
 * Writes all bytes, which must stay as they are until it is done. A reader that is slow is waited for.
 * @throws ReaderGone when there is no reader any more; file-write
 */
export async function writeOutput(chunk: Uint8Array): Promise<void> {
  let bytes = chunk;
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') throw new ReaderGone();
      if (code !== 'EAGAIN') throw systemError(error, { other: 'file-write' }, 'unable to write to standard output');
      await pause();
    }
  }
}

export const standardInput: ByteSource = {
  async read(into) {
    for (;;) {
      try {
        return readSync(0, into, 0, into.length, null);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EOF') return 0;
        if (code !== 'EAGAIN') throw systemError(error, { other: 'file-read' }, 'unable to read standard input');
        await pause();
      }
    }
  },
  close: () => undefined,
};

const pause = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 2));
