/**
 * Stores a file by blocks: only those that the prior backup does not have, several to a super block (format, section 7.2).
 * A step, so that hashes and page checksums of the file stand before it in the same pipeline.
 */
import type { Codecs, StepSpec } from '../../codec/codecs.ts';
import { openPipeline, type StepKind } from '../../codec/pipeline.ts';
import type { Emit, Step } from '../../codec/step.ts';
import type { Xxh128 } from '../../codec/xxhash.ts';
import { type BlockItem, encodeBlockMap } from './map.ts';

export interface BlockIncrementalSpec {
  readonly step: 'block-incremental';
  readonly id: string;
  readonly blockSize: number;
  /** Bytes kept of each block's hash. */
  readonly checksumSize: number;
  /** Plain bytes at which a super block closes. */
  readonly superBlockSize: number;
  /** Index of this backup in the manifest's list of references. */
  readonly reference: number;
  readonly bundleId: number;
  /** Where the file's bytes start in the bundle. */
  readonly offset: number;
  /** How super blocks are stored: raw framing. */
  readonly superBlockSteps: readonly StepSpec[];
  /** How the map is stored: encrypted, never compressed. */
  readonly mapSteps: readonly StepSpec[];
}

export interface BlockIncrementalResult {
  /** False: no block changed, nothing was emitted, and the file is a reference. */
  readonly stored: boolean;
  /** Stored bytes of the map. */
  readonly mapSize: number;
}

/** @param prior the map of the file in the prior backup, when it has one of the same block size */
export function blockIncrementalKind(
  codecs: Codecs,
  hash: Xxh128,
  prior: readonly BlockItem[] | undefined,
): StepKind<BlockIncrementalSpec> {
  return { open: spec => new BlockWriter(spec, codecs, hash, prior) };
}

class BlockWriter implements Step {
  readonly #spec: BlockIncrementalSpec;
  readonly #codecs: Codecs;
  readonly #hash: Xxh128;
  readonly #prior: readonly BlockItem[] | undefined;
  readonly #block: Buffer;
  readonly #super: Buffer;
  readonly #items: BlockItem[] = [];
  /** Blocks of the super block that is being filled: their place in the file, and their hash. */
  #pending: { readonly at: number; readonly checksum: Uint8Array }[] = [];
  #blockFilled = 0;
  #superFilled = 0;
  #position: number;
  #stored = false;
  #mapSize = 0;

  constructor(spec: BlockIncrementalSpec, codecs: Codecs, hash: Xxh128, prior: readonly BlockItem[] | undefined) {
    this.#spec = spec;
    this.#codecs = codecs;
    this.#hash = hash;
    this.#prior = prior;
    this.#position = spec.offset;
    this.#block = Buffer.allocUnsafe(spec.blockSize);
    this.#super = Buffer.allocUnsafe(spec.superBlockSize);
  }

  push(chunk: Uint8Array, emit: Emit): void {
    const { blockSize } = this.#spec;
    let at = 0;
    while (at < chunk.length) {
      if (this.#blockFilled === 0 && chunk.length - at >= blockSize) {
        this.#take(chunk.subarray(at, at + blockSize), emit);
        at += blockSize;
        continue;
      }
      const part = chunk.subarray(at, at + blockSize - this.#blockFilled);
      this.#block.set(part, this.#blockFilled);
      this.#blockFilled += part.length;
      at += part.length;
      if (this.#blockFilled === blockSize) {
        this.#blockFilled = 0;
        this.#take(this.#block, emit);
      }
    }
  }

  end(emit: Emit): void {
    if (this.#blockFilled > 0) this.#take(this.#block.subarray(0, this.#blockFilled), emit);
    this.#flush(emit);
    this.#stored = this.#stored || this.#items.length < (this.#prior?.length ?? 0);
    if (!this.#stored || this.#items.length === 0) return;
    const map = encodeBlockMap(this.#items, this.#spec.blockSize);
    this.#mapSize = this.#through(this.#spec.mapSteps, map, emit);
  }

  result(): BlockIncrementalResult {
    return { stored: this.#stored, mapSize: this.#mapSize };
  }

  #take(block: Uint8Array, emit: Emit): void {
    const at = this.#items.length;
    const checksum = new Uint8Array(this.#spec.checksumSize);
    this.#hash(block, checksum);
    const before = this.#prior?.[at];
    if (before !== undefined && Buffer.compare(before.checksum, checksum) === 0) {
      this.#items.push(before);
      return;
    }
    // its place is known when the super block is stored
    this.#items.push({ reference: 0, bundleId: 0, offset: 0, size: 0, superSize: 0, block: 0, checksum });
    this.#pending.push({ at, checksum });
    this.#super.set(block, this.#superFilled);
    this.#superFilled += block.length;
    if (this.#superFilled >= this.#spec.superBlockSize) this.#flush(emit);
  }

  #flush(emit: Emit): void {
    if (this.#pending.length === 0) return;
    const { reference, bundleId, superBlockSteps } = this.#spec;
    const offset = this.#position;
    const superSize = this.#superFilled;
    const size = this.#through(superBlockSteps, this.#super.subarray(0, superSize), emit);
    for (const [block, { at, checksum }] of this.#pending.entries()) {
      this.#items[at] = { reference, bundleId, offset, size, superSize, block, checksum };
    }
    this.#pending = [];
    this.#superFilled = 0;
    this.#stored = true;
  }

  /** @returns bytes emitted */
  #through(steps: readonly StepSpec[], bytes: Uint8Array, emit: Emit): number {
    let size = 0;
    const pipeline = openPipeline(steps, this.#codecs, chunk => {
      size += chunk.length;
      emit(chunk);
    });
    try {
      pipeline.push(bytes);
      pipeline.end();
    } finally {
      pipeline.close();
    }
    this.#position += size;
    return size;
  }
}
