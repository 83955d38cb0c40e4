/**
 * Buffers of one size that are borrowed, so that thousands of small files do not allocate and fault in new ones each: those would
 * wait for the collector, which sees how small the objects are that hold them, and not how much memory it is.
 */
export interface BufferPool {
  take(): Buffer;
  /** The buffer must not be touched after it is given back. */
  give(buffer: Buffer): void;
}

/** @param keep how many idle buffers are kept; more are left to the garbage collector */
export function bufferPool(size: number, keep = 8): BufferPool {
  const idle: Buffer[] = [];
  return {
    take: () => idle.pop() ?? Buffer.allocUnsafeSlow(size),
    give(buffer) {
      if (buffer.length === size && idle.length < keep) idle.push(buffer);
    },
  };
}
