/**
 * Synchronous streaming over Node's own zlib and zstd. Node offers either streaming (asynchronous) or synchronous (all
 * at once); the handle below its stream classes does both, is what `gzipSync` itself uses, and has had this shape from
 * Node 8 to 26. Nothing else in the project knows of it.
 */
import { BackstopError } from '../base/error.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { Emit } from './step.ts';

/** The part of a handle that is used: see lib/zlib.js in Node, function processChunkSync. */
interface Handle {
  writeSync(
    flush: number,
    input: Uint8Array | null,
    inputOffset: number,
    inputLength: number,
    output: Uint8Array,
    outputOffset: number,
    outputLength: number,
  ): void;
  reset(): void;
  onerror: (message: string, errno: number, code: string) => void;
}

/** A stream object of node:zlib as it really is. */
interface Inner {
  _handle: Handle;
  /** After a write: [bytes left in the output, bytes left in the input]. */
  _writeState: Uint32Array;
  close(): void;
}

/** Makes one of node:zlib's stream objects; only its handle is used. */
export type MakeStream = () => object;

export interface Failure {
  readonly message: string;
  readonly errno: number;
  readonly code: string;
}

/** One compressor or decompressor of Node, used synchronously, over and over. */
export class NodeCodec {
  readonly #inner: Inner;
  #failure: Failure | undefined;

  constructor(make: MakeStream) {
    const inner = make() as Inner;
    const { _handle: handle, _writeState: state } = inner;
    if (
      typeof handle?.writeSync !== 'function' ||
      typeof handle.reset !== 'function' ||
      !(state instanceof Uint32Array)
    ) {
      throw new BackstopError('assert', `node ${process.version} has no synchronous zlib handle`, {
        hint: 'use a released version of Node 20 to 26',
      });
    }
    handle.onerror = (message, errno, code) => {
      this.#failure = { message, errno, code };
    };
    this.#inner = inner;
  }

  /**
   * Takes all of the input and emits what comes out, through the buffer.
   * @param flush a flush mode of node:zlib
   * @returns bytes of the input that were not taken (the stream ended before them), or what went wrong
   */
  write(flush: number, input: Uint8Array, output: Buffer, emit: Emit): number | Failure {
    const { _handle: handle, _writeState: state } = this.#inner;
    let offset = 0;
    for (;;) {
      handle.writeSync(flush, input, offset, input.length - offset, output, 0, output.length);
      if (this.#failure !== undefined) return this.#failure;
      const [outputLeft = 0, inputLeft = 0] = state;
      offset = input.length - inputLeft;
      if (outputLeft < output.length) emit(output.subarray(0, output.length - outputLeft));
      // room left in the output means that nothing more can be had of this input
      if (outputLeft > 0) return inputLeft;
    }
  }

  /** Ready for another stream with the same settings. @returns false when it cannot be used again */
  reset(): boolean {
    if (this.#failure !== undefined) return false;
    this.#inner._handle.reset();
    return this.#failure === undefined;
  }

  /** Frees the native memory at once; the garbage collector does not know how much it is. */
  close(): void {
    this.#inner.close();
  }
}

/** Idle codecs by their settings, and the buffers they write to. One per thread. */
export interface NodeCodecs {
  take(key: string, make: MakeStream): NodeCodec;
  /** Gives a codec back, for the next one who asks for the same key. */
  give(key: string, codec: NodeCodec): void;
  readonly buffers: BufferPool;
}

/** Making a codec costs more than a small file, so a few idle ones are kept. */
const keepIdle = 2;

export function nodeCodecs(buffers: BufferPool): NodeCodecs {
  const idle = new Map<string, NodeCodec[]>();
  return {
    buffers,
    take: (key, make) => idle.get(key)?.pop() ?? new NodeCodec(make),
    give(key, codec) {
      const list = idle.get(key) ?? [];
      if (list.length < keepIdle && codec.reset()) {
        list.push(codec);
        idle.set(key, list);
      } else codec.close();
    },
  };
}

/** node:zlib, when somebody needs it: to load it takes up to four milliseconds, which lz4 need not spend. */
export const nodeZlib = () => process.getBuiltinModule('node:zlib');

/** Flush modes, as zlib.h has them. */
export const Z_NO_FLUSH = 0;
export const Z_FINISH = 4;
