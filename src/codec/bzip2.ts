/**
 * bz2: exactly one bzip2 stream, since readers of repositories stop after the first.
 *
 * A stream is `BZh` and a level digit, blocks, and a footer with a checksum made of the blocks' checksums. Blocks begin
 * at any bit and know nothing of each other. So a long stream is made of short ones (compress a block's worth alone, cut
 * its block out, put it behind the last), and is read by cutting it into streams of one block each. Both ways one block
 * is held in memory, whatever the file's size.
 */
import { BackstopError } from '../base/error.ts';
import type { Bzip2Library } from './bzip2-library.ts';
import type { Emit, Step } from './step.ts';

/** The digits of pi begin each block, those of its square root the footer. 48 bits each. */
const blockMagic = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59] as const;
const footerMagic = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90] as const;
const magicBits = 48;
const headerLength = 4;

/** Most plain bytes of a piece. Long runs shrink before they fill a block, and this bounds what is held for them. */
const maxPiece = 1024 * 1024;

function blockLimit(level: number): number {
  return 100_000 * level - 19;
}

/** @param level 1 to 9: the block size in 100 kB */
export function openBzip2(level: number, library: Bzip2Library): Step {
  const limit = blockLimit(level);
  const runs = new RunLength();
  const bits = new BitWriter();
  let piece = Buffer.allocUnsafeSlow(64 * 1024);
  let held = 0;
  let combined = 0;
  let started = false;

  const start = (): void => {
    started = true;
    for (const byte of Buffer.from(`BZh${level}`, 'latin1')) bits.put(byte, 8);
  };
  const block = (emit: Emit): void => {
    const stream = library.compress(piece.subarray(0, held), level);
    const { end, checksum } = singleBlock(stream);
    bits.append(stream, headerLength * 8, end);
    combined = ((combined << 1) | (combined >>> 31)) ^ checksum;
    held = 0;
    runs.reset();
    bits.flush(emit);
  };
  return {
    push(chunk, emit) {
      if (!started) start();
      let at = 0;
      while (at < chunk.length) {
        const room = Math.min(chunk.length, at + maxPiece - held);
        const end = runs.advance(chunk, at, room, limit);
        if (held + end - at > piece.length) {
          const larger = Buffer.allocUnsafeSlow(Math.min(maxPiece, Math.max(2 * piece.length, held + end - at)));
          piece.copy(larger, 0, 0, held);
          piece = larger;
        }
        piece.set(chunk.subarray(at, end), held);
        held += end - at;
        at = end;
        if (held === maxPiece || end < room) block(emit);
      }
    },
    end(emit) {
      if (!started) start();
      if (held > 0) block(emit);
      for (const byte of footerMagic) bits.put(byte, 8);
      for (let shift = 24; shift >= 0; shift -= 8) bits.put((combined >>> shift) & 0xff, 8);
      bits.pad();
      bits.flush(emit);
    },
  };
}

/** How many bytes the first stage of bzip2 makes of its input: four equal bytes are followed by a count of up to 251. */
class RunLength {
  #size = 0;
  #last = -1;
  #run = 0;

  /** @returns the first index that does not fit in a block of `limit` bytes any more, or `to` */
  advance(chunk: Uint8Array, from: number, to: number, limit: number): number {
    let [size, last, run] = [this.#size, this.#last, this.#run];
    let at = from;
    for (; at < to; at++) {
      const byte = chunk[at] as number;
      if (byte === last && run < 255) {
        run++;
        // the fourth brings its count along, the next ones are in the count
        if (run <= 4) size += run === 4 ? 2 : 1;
      } else {
        run = 1;
        size++;
        last = byte;
      }
      if (size > limit) break;
    }
    this.#size = size;
    this.#last = last;
    this.#run = run;
    return at;
  }

  reset(): void {
    this.#size = 0;
    this.#last = -1;
    this.#run = 0;
  }
}

/** Finds the footer of a stream that has one block. @returns the bit where the block ends, and its checksum */
function singleBlock(stream: Uint8Array): { end: number; checksum: number } {
  const checksum = bitsAt(stream, (headerLength + 6) * 8, 32);
  for (let padding = 0; padding < 8; padding++) {
    const end = stream.length * 8 - padding - 32 - magicBits;
    const found = footerMagic.every((byte, index) => bitsAt(stream, end + 8 * index, 8) === byte);
    if (found && bitsAt(stream, end + magicBits, 32) === checksum) return { end, checksum };
  }
  throw new BackstopError('assert', 'bz2 compression made more than one block');
}

/** Up to 32 bits from any bit on, as an unsigned number. */
function bitsAt(bytes: Uint8Array, bit: number, count: number): number {
  let value = 0;
  for (let index = 0; index < count; index += 8) {
    const at = bit + index;
    const pair = ((bytes[at >> 3] ?? 0) << 8) | (bytes[(at >> 3) + 1] ?? 0);
    value = (value << 8) | ((pair >> (8 - (at & 7))) & 0xff);
  }
  return value >>> 0;
}

/** Puts bits together, most significant first. */
class BitWriter {
  #bytes = Buffer.allocUnsafeSlow(64 * 1024);
  #length = 0;
  /** Fewer than 8 bits, that do not make a byte yet. */
  #rest = 0;
  #restBits = 0;

  /** @param count 1 to 8 */
  put(value: number, count: number): void {
    this.#reserve(1);
    this.#rest = (this.#rest << count) | value;
    this.#restBits += count;
    if (this.#restBits >= 8) {
      this.#restBits -= 8;
      this.#bytes[this.#length++] = this.#rest >> this.#restBits;
      this.#rest &= (1 << this.#restBits) - 1;
    }
  }

  /** Copies the bits [from, to) of other bytes; from must be at a byte. */
  append(source: Uint8Array, from: number, to: number): void {
    const whole = (to - from) >> 3;
    this.#reserve(whole + 2);
    const [bytes, shift, start] = [this.#bytes, this.#restBits, from >> 3];
    let [rest, length] = [this.#rest, this.#length];
    const mask = (1 << shift) - 1;
    for (let index = start; index < start + whole; index++) {
      const byte = source[index] as number;
      bytes[length++] = (rest << (8 - shift)) | (byte >> shift);
      rest = byte & mask;
    }
    this.#rest = rest;
    this.#length = length;
    const left = (to - from) & 7;
    if (left > 0) this.put((source[start + whole] ?? 0) >> (8 - left), left);
  }

  pad(): void {
    if (this.#restBits > 0) this.put(0, 8 - this.#restBits);
  }

  /** Gives out the whole bytes. */
  flush(emit: Emit): void {
    if (this.#length > 0) emit(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#length + more));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/**
 * A block has at most 900,000 symbols of 20 bits, and some 40 kB of tables. No writer comes near, and a stream that has
 * no next block or footer within this is corrupt.
 */
const maxPacked = 2_400_000;
/** 5 bytes of a block can stand for 259: 900,000 bytes make at most this many. */
const maxPlain = Math.ceil((900_000 / 5) * 259) + 259;
/**
 * A block's own bits may look like the start of the next one (once in 2^48). Then the cut was wrong and the next place is
 * tried; more than this happens only in files that were made to waste time.
 */
const maxWrongCuts = 3;

/** Errors are format: cut short, altered, not bzip2. What follows the first stream is ignored. */
export function openBunzip2(library: Bzip2Library): Step {
  return new Bunzip2(library);
}

class Bunzip2 implements Step {
  readonly #library: Bzip2Library;
  /** What is not decoded yet; the current block begins at bit `#block`. */
  #bytes = Buffer.allocUnsafeSlow(256 * 1024);
  #length = 0;
  #block = 0;
  /** The byte where the search for the next magic goes on. */
  #search = 0;
  #wrongCuts = 0;
  #combined = 0;
  #part: 'header' | 'first' | 'blocks' | 'done' = 'header';

  constructor(library: Bzip2Library) {
    this.#library = library;
  }

  push(chunk: Uint8Array, emit: Emit): void {
    // pieces, so that what is held stays near one block however large the chunks are
    for (let at = 0; at < chunk.length && this.#part !== 'done'; at += 256 * 1024) {
      this.#gather(chunk.subarray(at, at + 256 * 1024));
      this.#work(emit);
    }
  }

  end(): void {
    if (this.#part !== 'done') throw new BackstopError('format', 'unexpected eof in compressed data');
  }

  #gather(chunk: Uint8Array): void {
    const done = this.#block >> 3;
    if (done > 0) {
      this.#bytes.copyWithin(0, done, this.#length);
      this.#length -= done;
      this.#block -= done * 8;
      this.#search -= done;
    }
    if (this.#length + chunk.length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#length + chunk.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#bytes.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  #work(emit: Emit): void {
    if (this.#part === 'header') {
      const expected = Buffer.from('BZh', 'latin1');
      const seen = Math.min(this.#length, expected.length);
      if (!expected.subarray(0, seen).equals(this.#bytes.subarray(0, seen))) throw corrupt('stream magic not found');
      if (this.#length < headerLength) return;
      const digit = this.#bytes[3] ?? 0;
      if (digit < 0x31 || digit > 0x39) throw corrupt('block size unknown');
      this.#block = headerLength * 8;
      this.#part = 'first';
    }
    if (this.#part === 'first') {
      // a block or the footer must begin right here
      if (this.#length < headerLength + 6) return;
      if (!this.#isAt(this.#block, blockMagic)) {
        this.#finish();
        return;
      }
      this.#begin(this.#block);
      this.#part = 'blocks';
    }
    while (this.#part === 'blocks') {
      const found = findMagic(this.#bytes, this.#search, this.#length);
      if (found === undefined) {
        this.#search = Math.max(this.#search, this.#length - 7);
        if (this.#length - (this.#block >> 3) > maxPacked) throw corrupt('block is larger than any block can be');
        return;
      }
      // the footer's checksum must be here before it can be used
      if (!this.#isAt(found, blockMagic) && this.#length * 8 < found + magicBits + 32) return;
      if (!this.#decode(found, emit)) {
        if (++this.#wrongCuts > maxWrongCuts) throw corrupt('block cannot be decoded');
        this.#search = (found >> 3) + 1;
        continue;
      }
      if (this.#isAt(found, blockMagic)) this.#begin(found);
      else {
        this.#block = found;
        this.#finish();
      }
    }
  }

  #begin(block: number): void {
    this.#block = block;
    this.#search = (block >> 3) + 1;
    this.#wrongCuts = 0;
  }

  /** The footer is at `#block`. */
  #finish(): void {
    if (!this.#isAt(this.#block, footerMagic)) throw corrupt('block magic not found');
    if (this.#length * 8 < this.#block + magicBits + 32) return;
    if (bitsAt(this.#bytes, this.#block + magicBits, 32) !== this.#combined >>> 0) throw corrupt('checksum differs');
    this.#part = 'done';
  }

  /** Decodes [#block, end) as a stream of its own. @returns false when that is no whole block */
  #decode(end: number, emit: Emit): boolean {
    const checksum = bitsAt(this.#bytes, this.#block + magicBits, 32);
    const bits = new BitWriter();
    // level 9 takes blocks of every level
    for (const byte of Buffer.from('BZh9', 'latin1')) bits.put(byte, 8);
    const shift = this.#block & 7;
    // the block's first bits up to a byte boundary, then the rest in one go
    let from = this.#block;
    if (shift > 0) {
      bits.put((this.#bytes[from >> 3] ?? 0) & ((1 << (8 - shift)) - 1), 8 - shift);
      from += 8 - shift;
    }
    bits.append(this.#bytes.subarray(0, (end + 7) >> 3), from, end);
    for (const byte of footerMagic) bits.put(byte, 8);
    for (let at = 24; at >= 0; at -= 8) bits.put((checksum >>> at) & 0xff, 8);
    bits.pad();
    let plain: Uint8Array | undefined;
    bits.flush(stream => {
      plain = this.#library.decompress(stream, maxPlain);
    });
    if (plain === undefined) return false;
    this.#combined = ((this.#combined << 1) | (this.#combined >>> 31)) ^ checksum;
    if (plain.length > 0) emit(plain);
    return true;
  }

  #isAt(bit: number, magic: readonly number[]): boolean {
    return magic.every((byte, index) => bitsAt(this.#bytes, bit + 8 * index, 8) === byte);
  }
}

/**
 * For each byte value a set of (magic, shift) pairs for which it can be the 2nd, 3rd or 4th byte that holds the magic:
 * bits 0-7 are the block magic shifted by 0-7 bits, bits 8-15 the footer's. Three lookups rule out nearly every place.
 */
function candidateTable(position: 1 | 2 | 3): Uint16Array {
  const table = new Uint16Array(256);
  for (const [row, magic] of [blockMagic, footerMagic].entries()) {
    for (let shift = 0; shift < 8; shift++) {
      const pair = ((magic[position - 1] ?? 0) << 8) | (magic[position] ?? 0);
      const byte = (pair >> shift) & 0xff;
      table[byte] = (table[byte] ?? 0) | (1 << (8 * row + shift));
    }
  }
  return table;
}

const second = candidateTable(1);
const third = candidateTable(2);
const fourth = candidateTable(3);

/** @returns the first bit at or after byte `from` where a block or footer magic is whole; undefined when there is none */
function findMagic(bytes: Uint8Array, from: number, length: number): number | undefined {
  for (let at = from; at + 7 <= length; at++) {
    let candidates =
      (second[bytes[at + 1] as number] as number) &
      (third[bytes[at + 2] as number] as number) &
      (fourth[bytes[at + 3] as number] as number);
    for (let index = 0; candidates !== 0; index++, candidates >>= 1) {
      if ((candidates & 1) === 0) continue;
      const bit = at * 8 + (index & 7);
      const magic = index < 8 ? blockMagic : footerMagic;
      if (magic.every((byte, part) => bitsAt(bytes, bit + 8 * part, 8) === byte)) return bit;
    }
  }
  return undefined;
}

function corrupt(reason: string): BackstopError {
  return new BackstopError('format', `bz2 data is corrupt: ${reason}`);
}
