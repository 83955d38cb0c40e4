/**
 * libbzip2 as WebAssembly, from the package `bzip2-wasm`. Its JavaScript part changes global variables, so only the
 * binary is used. It can compress and decompress whole streams in memory, no more.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { BackstopError } from '../base/error.ts';
import { instantiateWasm, type WasmMemory } from './wasm.ts';

export interface Bzip2Library {
  /**
   * Compresses at most one block's worth of bytes into a stream.
   * @returns the stream, valid until the next call
   */
  compress(bytes: Uint8Array, level: number): Uint8Array;
  /**
   * Decompresses a whole stream.
   * @param most bytes that it may have at most
   * @returns the plain bytes, valid until the next call; undefined when the stream is corrupt
   */
  decompress(stream: Uint8Array, most: number): Uint8Array | undefined;
}

/** What the binary exports and imports. Pointers and sizes are 32 bits. */
interface Exports {
  readonly memory: WasmMemory;
  __wasm_call_ctors(): void;
  emscripten_stack_init(): void;
  malloc(size: number): number;
  free(pointer: number): void;
  BZ2_bzBuffToBuffCompress(
    to: number,
    toLength: number,
    from: number,
    fromLength: number,
    level: number,
    verbosity: number,
    workFactor: number,
  ): number;
  BZ2_bzBuffToBuffDecompress(
    to: number,
    toLength: number,
    from: number,
    fromLength: number,
    small: number,
    verbosity: number,
  ): number;
}

const memoryError = -3;
const outputFull = -8;
const page = 65536;
/** The binary was linked with room to grow to this. */
const maxMemory = 2 ** 31;

export async function loadBzip2(): Promise<Bzip2Library> {
  const path = createRequire(import.meta.url).resolve('bzip2-wasm/bzip2-1.0.8/bzip2.wasm');
  let memory: WasmMemory | undefined;
  const heap = (): Uint8Array => new Uint8Array(memory?.buffer ?? new ArrayBuffer(0));
  const noFile = (): number => 8;
  const bzip2 = instantiateWasm<Exports>(await readFile(path), {
    env: {
      exit(code: number) {
        throw new BackstopError('assert', `bzip2 library stopped with ${code}`);
      },
      emscripten_memcpy_big: (to: number, from: number, length: number) => heap().copyWithin(to, from, from + length),
      emscripten_resize_heap(size: number) {
        if (memory === undefined || size > maxMemory) return 0;
        memory.grow(Math.ceil((size - memory.buffer.byteLength) / page));
        return 1;
      },
    },
    wasi_snapshot_preview1: { fd_close: noFile, fd_write: noFile, fd_seek: noFile },
  });
  memory = bzip2.memory;
  bzip2.emscripten_stack_init();
  bzip2.__wasm_call_ctors();

  const from = new Area(bzip2);
  const to = new Area(bzip2);
  const length = bzip2.malloc(4);
  const outputLength = (): number => new DataView(bzip2.memory.buffer).getUint32(length, true);
  const load = (bytes: Uint8Array, most: number): void => {
    from.reserve(bytes.length);
    to.reserve(most);
    heap().set(bytes, from.pointer);
    new DataView(bzip2.memory.buffer).setUint32(length, most, true);
  };
  const output = (): Uint8Array => heap().subarray(to.pointer, to.pointer + outputLength());
  return {
    compress(bytes, level) {
      // libbzip2's own bound
      load(bytes, bytes.length + Math.ceil(bytes.length / 100) + 600);
      const code = bzip2.BZ2_bzBuffToBuffCompress(to.pointer, length, from.pointer, bytes.length, level, 0, 0);
      if (code !== 0) throw new BackstopError('assert', `bz2 compression failed with ${code}`);
      return output();
    },
    decompress(stream, most) {
      for (let room = Math.min(most, firstRoom); ; room = Math.min(most, room * 8)) {
        load(stream, room);
        const code = bzip2.BZ2_bzBuffToBuffDecompress(to.pointer, length, from.pointer, stream.length, 0, 0);
        if (code === 0) return output();
        if (code === memoryError) throw new BackstopError('memory', 'bz2 decompression is out of memory');
        if (code !== outputFull || room === most) return undefined;
      }
    },
  };
}

/** Room for the output that is tried first: a block without long runs fits. */
const firstRoom = 1024 * 1024;

/** A piece of the library's memory that grows as needed. */
class Area {
  pointer = 0;
  #size = 0;
  readonly #bzip2: Exports;

  constructor(bzip2: Exports) {
    this.#bzip2 = bzip2;
  }

  reserve(size: number): void {
    if (size <= this.#size) return;
    if (this.pointer !== 0) this.#bzip2.free(this.pointer);
    this.pointer = this.#bzip2.malloc(size);
    if (this.pointer === 0) throw new BackstopError('memory', `bzip2 library has no ${size} bytes`);
    this.#size = size;
  }
}
