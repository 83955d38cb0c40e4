/**
 * Checks the checksums of a relation file's pages while the file passes by. Never fails: wrong pages are a result.
 */

import type { StepKind } from '../codec/pipeline.ts';
import type { Step } from '../codec/step.ts';
import { instantiateWasm, type WasmMemory } from '../codec/wasm.ts';
import { pageChecksumWasm } from './page-checksum-wasm.ts';

export interface PageChecksumSpec {
  readonly step: 'page-checksum';
  readonly id: string;
  /** Bytes: 1, 2, 4, 8, 16 or 32 KiB. */
  readonly pageSize: number;
  /** The number behind the dot in the file's name, 0 when there is none: which gigabyte of the relation it is. */
  readonly segment: number;
  /** True: a page is taken for a new one when pd_upper is zero; false: when pd_checksum is zero. */
  readonly headerCheck: boolean;
}

/** One page, or the first and the last of several that follow each other. */
export type PageRange = number | readonly [first: number, last: number];

export interface PageChecksumResult {
  /** All pages are right and the file is made of whole pages. */
  readonly valid: boolean;
  /** False: the file ends in the middle of a page. */
  readonly align: boolean;
  /** The wrong pages, ascending, counted from the start of the relation (not of the segment). Empty unless aligned. */
  readonly errors: readonly PageRange[];
}

/**
 * Reads a page of the same file again, synchronously: the server may have been writing it when it was read first.
 * @param index of the page in the file (not in the relation)
 * @returns false when the file has no such whole page any more
 */
export type RereadPage = (index: number, into: Uint8Array) => boolean;

const segmentSize = 2 ** 30;
const checksumAt = 8;
const upperAt = 14;

/** Pages are copied to the WebAssembly memory in batches that stay in the processor's cache. */
const batchSize = 256 * 1024;
const maxPages = batchSize / 1024;

interface Exports {
  readonly memory: WasmMemory;
  check(page: number, count: number, size: number, block: number, empty: number, out: number): number;
  checksum(page: number, size: number, block: number): number;
}

/** The compiled code with its memory: make one per thread, any number of steps share it. */
export class PageChecker {
  readonly #wasm = instantiateWasm<Exports>(Buffer.from(pageChecksumWasm, 'base64'));
  readonly #pages = new Uint8Array(this.#wasm.memory.buffer, 0, batchSize);
  readonly #wrong = new Uint32Array(this.#wasm.memory.buffer, batchSize, maxPages);

  /** @param block number of the page in its relation */
  checksum(page: Uint8Array, block: number): number {
    this.#pages.set(page);
    return this.#wasm.checksum(0, page.length, block);
  }

  /**
   * @param pages whole pages
   * @param block number of the first of them in its relation
   * @param found is called with the index of each wrong page
   */
  check(
    pages: Uint8Array,
    pageSize: number,
    block: number,
    headerCheck: boolean,
    found: (index: number) => void,
  ): void {
    for (let at = 0; at < pages.length; at += batchSize) {
      const batch = pages.length <= batchSize ? pages : pages.subarray(at, at + batchSize);
      this.#pages.set(batch);
      const count = batch.length / pageSize;
      const first = at / pageSize;
      const empty = headerCheck ? upperAt : checksumAt;
      const wrong = this.#wasm.check(0, count, pageSize, (block + first) | 0, empty, batchSize);
      for (let index = 0; index < wrong; index++) found(first + (this.#wrong[index] ?? 0));
    }
  }
}

/** @param reread absent: a wrong page is wrong */
export function pageChecksumKind(checker: PageChecker, reread?: RereadPage): StepKind<PageChecksumSpec> {
  return { open: spec => new PageChecksumStep(spec, checker, reread) };
}

class PageChecksumStep implements Step {
  readonly #spec: PageChecksumSpec;
  readonly #checker: PageChecker;
  readonly #reread: RereadPage | undefined;
  readonly #firstBlock: number;
  /** The beginning of a page whose end has not come yet. */
  #part: Buffer | undefined;
  #held = 0;
  /** Pages seen. */
  #count = 0;
  #errors: PageRange[] = [];

  constructor(spec: PageChecksumSpec, checker: PageChecker, reread: RereadPage | undefined) {
    this.#spec = spec;
    this.#checker = checker;
    this.#reread = reread;
    this.#firstBlock = spec.segment * (segmentSize / spec.pageSize);
  }

  push(chunk: Uint8Array, emit: (chunk: Uint8Array) => void): void {
    const { pageSize } = this.#spec;
    let at = 0;
    if (this.#held > 0) {
      at = Math.min(pageSize - this.#held, chunk.length);
      this.#hold(chunk.subarray(0, at));
      if (this.#held === pageSize && this.#part !== undefined) {
        this.#held = 0;
        this.#check(this.#part);
      }
    }
    const rest = (chunk.length - at) % pageSize;
    if (at < chunk.length - rest) this.#check(chunk.subarray(at, chunk.length - rest));
    if (rest > 0) this.#hold(chunk.subarray(chunk.length - rest));
    emit(chunk);
  }

  end(): void {
    this.#part = undefined;
  }

  result(): PageChecksumResult {
    const align = this.#held === 0;
    return { valid: align && this.#errors.length === 0, align, errors: align ? this.#errors : [] };
  }

  #hold(bytes: Uint8Array): void {
    this.#part ??= Buffer.allocUnsafe(this.#spec.pageSize);
    this.#part.set(bytes, this.#held);
    this.#held += bytes.length;
  }

  #check(pages: Uint8Array): void {
    const { pageSize, headerCheck } = this.#spec;
    this.#checker.check(pages, pageSize, this.#firstBlock + this.#count, headerCheck, index => {
      const page = pages.subarray(index * pageSize, (index + 1) * pageSize);
      if (!this.#changedSince(this.#count + index, page)) this.#record(this.#firstBlock + this.#count + index);
    });
    this.#count += pages.length / pageSize;
  }

  #changedSince(index: number, page: Uint8Array): boolean {
    if (this.#reread === undefined) return false;
    const again = Buffer.allocUnsafe(page.length);
    // a page that is gone was truncated away since, and WAL replay does that again
    return !this.#reread(index, again) || !again.equals(page);
  }

  #record(block: number): void {
    const last = this.#errors.at(-1);
    if (typeof last === 'number' && last === block - 1) this.#errors[this.#errors.length - 1] = [last, block];
    else if (typeof last === 'object' && last[1] === block - 1)
      this.#errors[this.#errors.length - 1] = [last[0], block];
    else this.#errors.push(block);
  }
}
