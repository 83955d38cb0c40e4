/**
 * Columns of a table with very many rows. They are made of chunks, which exist only once a value other than 0 is put into
 * them: nothing is copied when a table grows, and a column that nobody uses takes no memory.
 */
import { BackstopError } from '../../base/error.ts';

const chunkBits = 14;
const chunkRows = 1 << chunkBits;
const rowMask = chunkRows - 1;

type Chunk = Uint8Array | Uint16Array | Uint32Array;

const makeChunk: Readonly<Record<8 | 16 | 32, () => Chunk>> = {
  8: () => new Uint8Array(chunkRows),
  16: () => new Uint16Array(chunkRows),
  32: () => new Uint32Array(chunkRows),
};

/** Stands in a column of 32 bits for a number that is larger, or negative. */
const wide = 0xffffffff;

/** Integers; 0 where none was put. */
export class NumberColumn {
  readonly #bits: 8 | 16 | 32;
  #chunks: (Chunk | undefined)[] = [];
  /** Few numbers are so large: room for all of them would double the column. */
  #wide: Map<number, number> | undefined;

  /** @param bits that its numbers fit into. A column of 32 bits holds any integer that a number can. */
  constructor(bits: 8 | 16 | 32) {
    this.#bits = bits;
  }

  get(row: number): number {
    const value = this.#chunks[row >>> chunkBits]?.[row & rowMask] ?? 0;
    return value === wide ? (this.#wide?.get(row) ?? value) : value;
  }

  set(row: number, value: number): void {
    let chunk = this.#chunks[row >>> chunkBits];
    if (chunk === undefined) {
      if (value === 0) return;
      chunk = makeChunk[this.#bits]();
      this.#chunks[row >>> chunkBits] = chunk;
    }
    this.#wide?.delete(row);
    if (value >= 0 && value < wide) {
      chunk[row & rowMask] = value;
      return;
    }
    chunk[row & rowMask] = wide;
    this.#wide ??= new Map();
    this.#wide.set(row, value);
  }

  copyRow(from: number, to: number): void {
    if (this.#chunks.length > 0) this.set(to, this.get(from));
  }

  copy(): NumberColumn {
    const copy = new NumberColumn(this.#bits);
    copy.#chunks = this.#chunks.map(chunk => chunk?.slice());
    if (this.#wide !== undefined) copy.#wide = new Map(this.#wide);
    return copy;
  }
}

/** Bytes of a SHA-1. */
const digestSize = 20;

/** SHA-1 digests, as hex outside. Whether a row has one is for others to know. */
export class DigestColumn {
  #chunks: (Buffer | undefined)[] = [];

  get(row: number): string {
    const at = (row & rowMask) * digestSize;
    return this.#chunks[row >>> chunkBits]?.toString('hex', at, at + digestSize) ?? '0'.repeat(digestSize * 2);
  }

  /** @throws format when the text is not 40 hex digits in lower case */
  set(row: number, hex: string): void {
    const chunk = this.#chunk(row);
    if (hex.length !== digestSize * 2) throw notDigest(hex);
    const start = (row & rowMask) * digestSize;
    for (let at = 0; at < digestSize; at++) {
      const high = nibbleAt(hex, at * 2);
      const low = nibbleAt(hex, at * 2 + 1);
      if ((high | low) < 0) throw notDigest(hex);
      chunk[start + at] = (high << 4) | low;
    }
  }

  copyRow(from: number, to: number): void {
    this.take(to, this, from);
  }

  /** Takes a digest that another column has. */
  take(row: number, from: DigestColumn, fromRow: number): void {
    const source = from.#chunks[fromRow >>> chunkBits];
    if (source === undefined) return;
    const at = (fromRow & rowMask) * digestSize;
    source.copy(this.#chunk(row), (row & rowMask) * digestSize, at, at + digestSize);
  }

  copy(): DigestColumn {
    const copy = new DigestColumn();
    copy.#chunks = this.#chunks.map(chunk => chunk && Buffer.from(chunk));
    return copy;
  }

  #chunk(row: number): Buffer {
    let chunk = this.#chunks[row >>> chunkBits];
    if (chunk === undefined) {
      chunk = Buffer.alloc(chunkRows * digestSize);
      this.#chunks[row >>> chunkBits] = chunk;
    }
    return chunk;
  }
}

const notDigest = (text: string) => new BackstopError('format', `'${text}' is not a SHA-1 in hex`);

/** @returns negative for what is not one of `0-9a-f` */
function nibbleAt(hex: string, at: number): number {
  const code = hex.charCodeAt(at);
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;
}

const textChunk = 1024 * 1024;

/** Names by row, one behind the other in the order in which they were added. Up to 65,535 bytes each, 4 GiB in all. */
export class NameColumn {
  #chunks: Buffer[] = [];
  #end = 0;
  #start = new NumberColumn(32);
  #length = new NumberColumn(16);

  /** @throws format for a name that is too long */
  set(row: number, name: string): void {
    const length = Buffer.byteLength(name);
    if (length > 65535) throw new BackstopError('format', `file name of ${length} bytes is too long`);
    // no name lies in two chunks
    if (this.#chunks.length === 0 || (this.#end % textChunk) + length > textChunk || this.#end % textChunk === 0) {
      this.#end = this.#chunks.length * textChunk;
      if (this.#end + textChunk > wide) throw new BackstopError('format', 'the names of a manifest take too much room');
      this.#chunks.push(Buffer.allocUnsafeSlow(textChunk));
    }
    this.#chunks.at(-1)?.write(name, this.#end % textChunk);
    this.#start.set(row, this.#end);
    this.#length.set(row, length);
    this.#end += length;
  }

  get(row: number): string {
    const start = this.#start.get(row);
    const at = start % textChunk;
    return this.#chunkOf(start).toString('utf8', at, at + this.#length.get(row));
  }

  /** By the bytes. @returns as for sort() */
  compareRows(row: number, other: number): number {
    const start = this.#start.get(other);
    const at = start % textChunk;
    return this.#compare(row, this.#chunkOf(start), at, at + this.#length.get(other));
  }

  compareWith(row: number, name: Buffer): number {
    return this.#compare(row, name, 0, name.length);
  }

  copyRow(from: number, to: number): void {
    this.#start.copyRow(from, to);
    this.#length.copyRow(from, to);
  }

  copy(): NameColumn {
    const copy = new NameColumn();
    copy.#chunks = this.#chunks.map(chunk => Buffer.from(chunk));
    copy.#end = this.#end;
    copy.#start = this.#start.copy();
    copy.#length = this.#length.copy();
    return copy;
  }

  #compare(row: number, name: Buffer, nameStart: number, nameEnd: number): number {
    const start = this.#start.get(row);
    const at = start % textChunk;
    return this.#chunkOf(start).compare(name, nameStart, nameEnd, at, at + this.#length.get(row));
  }

  #chunkOf(start: number): Buffer {
    const chunk = this.#chunks[Math.floor(start / textChunk)];
    if (chunk === undefined) throw new BackstopError('assert', 'a name that was never put');
    return chunk;
  }
}
