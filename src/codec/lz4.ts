/**
 * LZ4 frames. What we write: blocks of 256 KiB that stand alone, a content checksum unless raw. What we read: any frame
 * of the format (the real tool writes linked blocks of 64 KiB), several in a row, but no dictionaries.
 */
import type { XXHash } from 'xxhash-wasm';
import { BackstopError } from '../base/error.ts';
import { type BufferPool, bufferPool } from './buffer-pool.ts';
import { type Lz4Library, lz4Bound } from './lz4-library.ts';
import type { Emit, Step } from './step.ts';

const magic = 0x184d2204;
/** 0x184d2a50 to 0x184d2a5f: a frame to pass over. */
const skippableMagic = 0x184d2a50;

const flagVersion = 0x40;
const flagIndependent = 0x20;
const flagBlockChecksum = 0x10;
const flagContentSize = 0x08;
const flagContentChecksum = 0x04;
const flagReserved = 0x02;
const flagDictionary = 0x01;
/** In a block's length: the block is stored as it is. */
const stored = 0x80000000;

const blockSize = 256 * 1024;
const blockCode = 0x50;
const window = 64 * 1024;

/** The size of the scratch buffers that steps borrow: one plain and one compressed block. */
export const lz4BufferSize = lz4Bound(blockSize);

/** @param level -5 to 12; up to 2 the fast method, from 3 high compression where the library has it (else fast) */
export function openLz4(level: number, raw: boolean, library: Lz4Library, buffers: BufferPool): Step {
  const plain = buffers.take();
  const output = buffers.take();
  const checksum = raw ? undefined : library.xxhash.create32(0);
  let held = 0;
  let started = false;

  const start = (emit: Emit): void => {
    started = true;
    const header = Buffer.alloc(7);
    header.writeUInt32LE(magic, 0);
    header[4] = flagVersion | flagIndependent | (raw ? 0 : flagContentChecksum);
    header[5] = blockCode;
    header[6] = headerChecksum(library, header.subarray(4, 6));
    emit(header);
  };
  const block = (bytes: Buffer, emit: Emit): void => {
    checksum?.update(bytes);
    const packed = library.compress(bytes, output, level);
    if (packed.length - 4 < bytes.length) {
      packed.writeUInt32LE(packed.length - 4, 0);
      emit(packed);
    } else {
      output.writeUInt32LE((stored | bytes.length) >>> 0, 0);
      emit(output.subarray(0, 4));
      emit(bytes);
    }
  };
  return {
    push(chunk, emit) {
      if (!started) start(emit);
      const bytes = asBuffer(chunk);
      let at = 0;
      while (at < bytes.length) {
        if (held === 0 && bytes.length - at >= blockSize) {
          block(bytes.subarray(at, at + blockSize), emit);
          at += blockSize;
          continue;
        }
        const take = Math.min(blockSize - held, bytes.length - at);
        bytes.copy(plain, held, at, at + take);
        held += take;
        at += take;
        if (held === blockSize) {
          block(plain.subarray(0, held), emit);
          held = 0;
        }
      }
    },
    end(emit) {
      if (!started) start(emit);
      if (held > 0) block(plain.subarray(0, held), emit);
      const footer = Buffer.alloc(checksum === undefined ? 4 : 8);
      if (checksum !== undefined) footer.writeUInt32LE(checksum.digest() >>> 0, 4);
      emit(footer);
    },
    close() {
      buffers.give(plain);
      buffers.give(output);
    },
  };
}

/** Errors are format: cut short, altered, not LZ4. Bounded: one block (at most 4 MiB) is held. */
export function openUnlz4(library: Lz4Library, buffers = bufferPool(lz4BufferSize)): Step {
  return new Unlz4(library, buffers);
}

type Part = 'magic' | 'flags' | 'header' | 'length' | 'block' | 'checksum' | 'skip-length' | 'skip';

class Unlz4 implements Step {
  readonly #library: Lz4Library;
  readonly #buffers: BufferPool;
  /** What is to be given back. */
  readonly #borrowed: Buffer[] = [];
  #part: Part = 'magic';
  /** Bytes that the part needs, and has. */
  #need = 4;
  #have = 0;
  /** What is being gathered, after 4 bytes that are left for the decompressor. */
  #buffer: Buffer = Buffer.alloc(4 + 32);
  #flags = 0;
  #max = 0;
  #stored = false;
  #length = 0;
  #skip = 0;
  #frames = 0;
  #contentSize: bigint | undefined;
  #size = 0n;
  #checksum: XXHash<number> | undefined;
  #dictionary: Buffer = Buffer.alloc(0);
  #plain: Buffer | undefined;

  constructor(library: Lz4Library, buffers: BufferPool) {
    this.#library = library;
    this.#buffers = buffers;
  }

  push(chunk: Uint8Array, emit: Emit): void {
    const bytes = asBuffer(chunk);
    let at = 0;
    while (at < bytes.length) {
      if (this.#part === 'skip') {
        const take = Math.min(this.#skip, bytes.length - at);
        this.#skip -= take;
        at += take;
        if (this.#skip === 0) this.#expect('magic', 4);
        continue;
      }
      const take = Math.min(this.#need - this.#have, bytes.length - at);
      bytes.copy(this.#buffer, 4 + this.#have, at, at + take);
      this.#have += take;
      at += take;
      if (this.#have === this.#need) this.#take(this.#buffer.subarray(4, 4 + this.#need), emit);
    }
  }

  end(): void {
    if (this.#frames === 0 || this.#part !== 'magic' || this.#have > 0) {
      throw new BackstopError('format', 'unexpected eof in compressed data');
    }
  }

  #expect(part: Part, need: number): void {
    this.#part = part;
    this.#need = need;
    this.#have = 0;
  }

  #take(bytes: Buffer, emit: Emit): void {
    switch (this.#part) {
      case 'magic': {
        const found = bytes.readUInt32LE(0);
        if (found === magic) this.#expect('flags', 2);
        else if ((found & 0xfffffff0) >>> 0 === skippableMagic) this.#expect('skip-length', 4);
        else throw corrupt('frame magic not found');
        return;
      }
      case 'skip-length':
        this.#skip = bytes.readUInt32LE(0);
        this.#frames++;
        if (this.#skip === 0) this.#expect('magic', 4);
        else this.#part = 'skip';
        return;
      case 'flags':
        this.#takeFlags(bytes);
        return;
      case 'header':
        this.#takeHeader(bytes);
        return;
      case 'length':
        this.#takeLength(bytes.readUInt32LE(0));
        return;
      case 'block':
        this.#takeBlock(bytes, emit);
        return;
      case 'checksum':
        if (bytes.readUInt32LE(0) !== (this.#checksum?.digest() ?? 0) >>> 0) throw corrupt('content checksum differs');
        this.#endFrame();
        return;
      case 'skip':
        return;
    }
  }

  #takeFlags(bytes: Buffer): void {
    const [flags = 0, size = 0] = bytes;
    if ((flags & 0xc0) !== flagVersion || (flags & flagReserved) !== 0) throw corrupt('frame version unknown');
    if ((flags & flagDictionary) !== 0) throw corrupt('frame needs a dictionary');
    const code = size >> 4;
    if ((size & 0x8f) !== 0 || code < 4) throw corrupt('block size unknown');
    this.#flags = flags;
    this.#max = 1 << (8 + 2 * code);
    const room = 4 + this.#max + 4;
    if (this.#buffer.length < room) {
      const larger = this.#borrow(room);
      bytes.copy(larger, 4);
      this.#buffer = larger;
    }
    // the header's checksum covers the two bytes too: they stay in front
    this.#part = 'header';
    this.#need = 2 + ((flags & flagContentSize) !== 0 ? 8 : 0) + 1;
  }

  #takeHeader(bytes: Buffer): void {
    const body = bytes.subarray(0, -1);
    if (bytes.at(-1) !== headerChecksum(this.#library, body)) throw corrupt('frame header checksum differs');
    this.#contentSize = (this.#flags & flagContentSize) !== 0 ? body.readBigUInt64LE(2) : undefined;
    this.#size = 0n;
    this.#checksum = (this.#flags & flagContentChecksum) !== 0 ? this.#library.xxhash.create32(0) : undefined;
    this.#dictionary = Buffer.alloc(0);
    this.#expect('length', 4);
  }

  #takeLength(value: number): void {
    if (value === 0) {
      if (this.#contentSize !== undefined && this.#contentSize !== this.#size) throw corrupt('content size differs');
      if (this.#checksum !== undefined) this.#expect('checksum', 4);
      else this.#endFrame();
      return;
    }
    this.#stored = value >= stored;
    this.#length = value % stored;
    if (this.#length > this.#max || this.#length === 0) throw corrupt('block is larger than its frame allows');
    this.#expect('block', this.#length + ((this.#flags & flagBlockChecksum) !== 0 ? 4 : 0));
  }

  #takeBlock(bytes: Buffer, emit: Emit): void {
    const packed = bytes.subarray(0, this.#length);
    if ((this.#flags & flagBlockChecksum) !== 0) {
      if (this.#library.xxhash.h32Raw(packed, 0) >>> 0 !== bytes.readUInt32LE(this.#length)) {
        throw corrupt('block checksum differs');
      }
    }
    const linked = (this.#flags & flagIndependent) === 0;
    const plain = this.#stored ? packed : this.#decompress(linked);
    if (linked) this.#remember(plain);
    this.#size += BigInt(plain.length);
    this.#checksum?.update(plain);
    this.#expect('length', 4);
    if (plain.length > 0) emit(plain);
  }

  #decompress(linked: boolean): Buffer {
    const sized = this.#buffer.subarray(0, 4 + this.#length);
    sized.writeUInt32LE(this.#max, 0);
    let plain: Buffer;
    try {
      plain = this.#library.decompress(sized, linked ? this.#dictionary : undefined, size => this.#room(size));
    } catch (cause) {
      throw corrupt('block cannot be decompressed', cause);
    }
    if (plain.length > this.#max) throw corrupt('block is larger than its frame allows');
    return plain;
  }

  #room(size: number): Buffer {
    if (this.#plain === undefined || this.#plain.length < size) this.#plain = this.#borrow(size);
    return this.#plain.subarray(0, size);
  }

  /** Keeps the last 64 KiB, which the next linked block may refer to. */
  #remember(plain: Buffer): void {
    if (plain.length >= window) {
      const tail = plain.subarray(plain.length - window);
      // a stored block lies in the buffer that the next block is gathered in
      this.#dictionary = this.#stored ? Buffer.from(tail) : tail;
    } else {
      const keep = this.#dictionary.subarray(Math.max(0, this.#dictionary.length + plain.length - window));
      this.#dictionary = Buffer.concat([keep, plain]);
    }
  }

  /** Blocks of more than 256 KiB, which neither tool writes, get memory of their own. */
  #borrow(size: number): Buffer {
    if (size > lz4BufferSize) return Buffer.allocUnsafeSlow(size);
    const buffer = this.#buffers.take();
    this.#borrowed.push(buffer);
    return buffer;
  }

  close(): void {
    for (const buffer of this.#borrowed.splice(0)) this.#buffers.give(buffer);
  }

  #endFrame(): void {
    this.#frames++;
    this.#expect('magic', 4);
  }
}

function headerChecksum(library: Lz4Library, bytes: Buffer): number {
  return (library.xxhash.h32Raw(bytes, 0) >>> 8) & 0xff;
}

function corrupt(reason: string, cause?: unknown): BackstopError {
  return new BackstopError('format', `lz4 data is corrupt: ${reason}`, { cause });
}

/** The same bytes as a Buffer: the native libraries insist on it. */
function asBuffer(chunk: Uint8Array): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
