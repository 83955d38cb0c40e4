/**
 * Block maps: where each block of a block-incremental file is stored (format, section 7.3). A map lies behind the super
 * blocks of its file; blocks that did not change since an earlier backup point into that backup.
 */
import { BackstopError } from '../../base/error.ts';

/** One block of a file, in file order. */
export interface BlockItem {
  /** Index into the manifest's backup-reference list. */
  readonly reference: number;
  /** 0 when the blocks lie in a file of their own. */
  readonly bundleId: number;
  /** Where the super block starts, in that bundle or file. */
  readonly offset: number;
  /** Stored bytes of the super block. */
  readonly size: number;
  /** Plain bytes of the super block. */
  readonly superSize: number;
  /** Which block of the super block this is. */
  readonly block: number;
  /** The first bytes of the block's XXH3-128. */
  readonly checksum: Uint8Array;
}

/** What has been said so far about the blocks that one backup stores. */
interface ReferenceState {
  bundleId: number;
  offset: number;
  size: number;
  superSize: number;
  /** Next block within the super block. */
  block: number;
}

const last = 1;
const hasBundle = 2;
const hasOffset = 4;
const continues = 2;
const gapOrLast = 4;
const changed = 2;
const total = 4;

const maxBlocks = 2 ** 31;

/**
 * Reads a map.
 * @param blockSize bytes of a block
 * @param checksumSize bytes kept of each hash
 * @throws format for anything that is not a whole map
 */
export function decodeBlockMap(bytes: Uint8Array, blockSize: number, checksumSize: number): BlockItem[] {
  // the size of the map bounds the number of blocks only when each takes bytes of it
  if (blockSize < 1 || checksumSize < 1) throw invalid('the manifest gives no size for blocks or checksums');
  const input = new MapInput(bytes);
  if (input.varint() !== 0) throw invalid('unknown version');
  const states = new Map<number, ReferenceState>();
  const items: BlockItem[] = [];
  let previousSize: number | undefined;
  for (let groupEnds = false; !groupEnds; ) {
    const head = input.varint();
    groupEnds = (head & last) !== 0;
    const reference = Math.floor(head / 8);
    let state = states.get(reference);
    let continuing = false;
    let onlyOne = false;
    if (state === undefined) {
      state = { bundleId: 0, offset: 0, size: 0, superSize: blockSize, block: 0 };
      if ((head & hasBundle) !== 0) state.bundleId = input.varint();
      if ((head & hasOffset) !== 0) state.offset = input.varint();
      states.set(reference, state);
    } else if ((head & continues) !== 0) {
      continuing = true;
      onlyOne = (head & gapOrLast) !== 0;
    } else {
      state.offset += state.size;
      if ((head & gapOrLast) !== 0) state.offset += input.varint();
    }
    for (let superEnds = false, first = true; !superEnds; first = false) {
      let flags: number;
      if (first && continuing) {
        flags = total | (onlyOne ? last : 0);
      } else {
        const sizeHead = input.varint();
        flags = sizeHead % 8;
        const field = Math.floor(sizeHead / 8);
        if (!first) state.offset += state.size;
        state.size = previousSize === undefined ? field : previousSize + unzigzag(field);
        state.block = 0;
        if ((flags & changed) !== 0) {
          const quantity = input.varint();
          state.superSize = Math.floor(quantity / 2) * blockSize + (quantity % 2 === 1 ? input.varint() : 0);
        }
      }
      superEnds = (flags & last) !== 0;
      if (state.size < 0 || state.superSize <= 0 || !Number.isSafeInteger(state.offset + state.size)) {
        throw invalid('sizes are out of range');
      }
      previousSize = state.size;
      let count = Math.ceil(state.superSize / blockSize);
      if ((flags & total) !== 0) {
        const quantity = input.varint();
        count = Math.floor(quantity / 2) + 1;
        if (quantity % 2 === 1) state.block += input.varint();
      }
      if ((state.block + count - 1) * blockSize >= state.superSize)
        throw invalid('a block is outside of its super block');
      if (items.length + count > maxBlocks) throw invalid('too many blocks');
      for (let i = 0; i < count; i++) {
        items.push({
          reference,
          bundleId: state.bundleId,
          offset: state.offset,
          size: state.size,
          superSize: state.superSize,
          block: state.block++,
          checksum: input.bytes(checksumSize),
        });
      }
    }
  }
  if (!input.atEnd) throw invalid('there are bytes after its end');
  return items;
}

/** Writes a map; the bytes are those that pgBackRest writes for the same items. */
export function encodeBlockMap(items: readonly BlockItem[], blockSize: number): Uint8Array {
  const output = new MapOutput();
  output.varint(0);
  const states = new Map<number, ReferenceState>();
  const runs = runsOf(items);
  let previousSize: number | undefined;
  for (let at = 0; at < runs.length; ) {
    const first = runs[at] as Run;
    const { reference } = first.item;
    let end = at + 1;
    // in a group only the first super block can be elsewhere than behind the one before
    while (end < runs.length && runs[end]?.item.reference === reference && isBehind(runs[end - 1], runs[end])) end++;
    let state = states.get(reference);
    let head = reference * 8 + (end === runs.length ? last : 0);
    let continuing = false;
    if (state === undefined) {
      state = { bundleId: first.item.bundleId, offset: first.item.offset, size: 0, superSize: blockSize, block: 0 };
      states.set(reference, state);
      if (state.bundleId > 0) head += hasBundle;
      if (state.offset > 0) head += hasOffset;
      output.varint(head);
      if (state.bundleId > 0) output.varint(state.bundleId);
      if (state.offset > 0) output.varint(state.offset);
    } else if (state.offset === first.item.offset) {
      continuing = true;
      output.varint(head + continues + (end === at + 1 ? gapOrLast : 0));
    } else {
      const gap = first.item.offset - state.offset - state.size;
      if (gap < 0) throw new BackstopError('assert', 'super blocks of a reference are not in order');
      output.varint(head + (gap > 0 ? gapOrLast : 0));
      if (gap > 0) output.varint(gap);
    }
    for (let index = at; index < end; index++) {
      const run = runs[index] as Run;
      const { item, count } = run;
      const continued = continuing && index === at;
      if (!continued) {
        state.block = 0;
        const whole = item.block === 0 && count === Math.ceil(item.superSize / blockSize);
        const flags =
          (index === end - 1 ? last : 0) + (item.superSize !== state.superSize ? changed : 0) + (whole ? 0 : total);
        const field = previousSize === undefined ? item.size : zigzag(item.size - previousSize);
        output.varint(field * 8 + flags);
        if ((flags & changed) !== 0) {
          const rest = item.superSize % blockSize;
          output.varint(Math.floor(item.superSize / blockSize) * 2 + (rest > 0 ? 1 : 0));
          if (rest > 0) output.varint(rest);
        }
        state.offset = item.offset;
        state.size = item.size;
        state.superSize = item.superSize;
        if (!whole) writeTotal(output, item.block, state.block, count);
      } else {
        writeTotal(output, item.block, state.block, count);
      }
      previousSize = item.size;
      state.block = item.block + count;
      for (const checksum of run.checksums) output.bytes(checksum);
    }
    at = end;
  }
  return output.take();
}

function isBehind(before: Run | undefined, run: Run | undefined): boolean {
  return before !== undefined && run !== undefined && run.item.offset === before.item.offset + before.item.size;
}

function writeTotal(output: MapOutput, block: number, pointer: number, count: number): void {
  const skip = block - pointer;
  output.varint((count - 1) * 2 + (skip > 0 ? 1 : 0));
  if (skip > 0) output.varint(skip);
}

/** Consecutive blocks of one super block. */
interface Run {
  readonly item: BlockItem;
  count: number;
  readonly checksums: Uint8Array[];
}

function runsOf(items: readonly BlockItem[]): Run[] {
  const runs: Run[] = [];
  for (const item of items) {
    const run = runs.at(-1);
    if (
      run !== undefined &&
      run.item.reference === item.reference &&
      run.item.bundleId === item.bundleId &&
      run.item.offset === item.offset &&
      run.item.block + run.count === item.block
    ) {
      run.count++;
      run.checksums.push(item.checksum);
    } else {
      runs.push({ item, count: 1, checksums: [item.checksum] });
    }
  }
  return runs;
}

// numbers stay below 2^53, so arithmetic takes the place of bit operations, which are of 32 bits
const zigzag = (value: number): number => (value < 0 ? -value * 2 - 1 : value * 2);
const unzigzag = (value: number): number => (value % 2 === 1 ? -(value + 1) / 2 : value / 2);

class MapInput {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw invalid('it ends too early');
      value += (byte & 0x7f) * factor;
      if (!Number.isSafeInteger(value)) throw invalid('a number is too large');
      if (byte < 128) return value;
      if (factor > 2 ** 49) throw invalid('a number does not end');
    }
  }

  bytes(count: number): Uint8Array {
    if (this.#at + count > this.#bytes.length) throw invalid('it ends too early');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}

class MapOutput {
  readonly #parts: Uint8Array[] = [];

  varint(value: number): void {
    const bytes: number[] = [];
    let rest = value;
    while (rest >= 128) {
      bytes.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    bytes.push(rest);
    this.#parts.push(Uint8Array.from(bytes));
  }

  bytes(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }

  take(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

const invalid = (reason: string): BackstopError =>
  new BackstopError('format', `invalid block map: ${reason}`, { hint: 'the backup is damaged: run verify.' });
