/** Bytes in memory as a source. */
import type { ByteSource } from '../storage/storage.ts';

export function bytesSource(bytes: Uint8Array): ByteSource {
  let at = 0;
  return {
    read(into) {
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      at += part.length;
      return part.length;
    },
    close: () => undefined,
  };
}
