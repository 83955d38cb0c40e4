/**
 * What every pair of a transforming step and its inverse promises, whatever library is behind it. A codec's test calls
 * this with its pair.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ErrorKind, isKind } from '../../src/base/error.ts';
import type { Emit, Step } from '../../src/codec/step.ts';

export interface CodecPair {
  encode(): Step;
  decode(): Step;
  /** The kind that damaged input fails with. */
  readonly damage: ErrorKind;
  /** The format tells every altered byte by itself: decoding either fails or gives the bytes as they were. */
  readonly detectsChange: boolean;
  /** Bytes that may follow what decode() reads: ignored, refused, or taken as more data. */
  readonly trailing: 'ignored' | 'refused';
}

/** Runs the input through a step in pieces that end at the cuts. */
export function run(step: Step, input: Uint8Array, cuts: readonly number[] = []): Buffer {
  const parts: Buffer[] = [];
  const emit: Emit = chunk => parts.push(Buffer.from(chunk));
  try {
    const ends = [...new Set(cuts.map(cut => cut % (input.length + 1)))].sort((a, b) => a - b);
    let at = 0;
    for (const end of [...ends, input.length]) {
      // a buffer of its own that is spoiled afterwards: a step must not keep the chunk
      const piece = Buffer.from(input.subarray(at, end));
      if (piece.length > 0) step.push(piece, emit);
      piece.fill(0xee);
      at = end;
    }
    step.end(emit);
    return Buffer.concat(parts);
  } finally {
    step.close?.();
  }
}

/** Pages as a table has them: a header, rows that resemble each other, zeroes between. */
export function pageLike(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
  for (let page = 0; page < size; page += 8192) {
    const end = Math.min(size, page + 8192);
    for (let at = page; at < Math.min(end, page + 24 + (random() % 400)); at++) bytes[at] = random();
    for (let at = page + 2048; at + 64 <= end; at += 96) {
      bytes.write(`row ${random() % 100000} of account ${random() % 977}`, at, 'latin1');
    }
  }
  return bytes;
}

const bytesOf = fc.oneof(
  fc.uint8Array({ maxLength: 3000 }),
  fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 300_000 })).map(([b, n]) => Buffer.alloc(n, b)),
  fc.tuple(fc.integer({ min: 0, max: 400_000 }), fc.integer()).map(([size, seed]) => pageLike(size, seed)),
);
const cutsOf = fc.array(fc.nat(1_000_000), { maxLength: 12 });

export function codecContract(name: string, pair: CodecPair, runs = 40): void {
  describe(`${name} keeps the codec contract`, () => {
    it('gives back what went in, however both sides are cut', () => {
      fc.assert(
        fc.property(bytesOf, cutsOf, cutsOf, (plain, cuts, otherCuts) => {
          const stored = run(pair.encode(), plain, cuts);
          expect(run(pair.decode(), stored, otherCuts).equals(plain)).toBe(true);
        }),
        { numRuns: runs },
      );
    });

    it('is the same when every byte comes alone', () => {
      const plain = pageLike(2000);
      const every = Array.from({ length: 4000 }, (_, index) => index);
      const stored = run(pair.encode(), plain, every);
      expect(run(pair.decode(), stored, every).equals(plain)).toBe(true);
    });

    it('has an output for no input', () => {
      const stored = run(pair.encode(), Buffer.alloc(0));
      expect(stored.length).toBeGreaterThan(0);
      expect(run(pair.decode(), stored).length).toBe(0);
    });

    it('fails when it is cut short at any place', () => {
      for (const plain of [Buffer.alloc(0), Buffer.from('15\n'), pageLike(700)]) {
        const stored = run(pair.encode(), plain);
        for (let length = 0; length < stored.length; length++) {
          expect(failure(pair.decode(), stored.subarray(0, length)), `cut to ${length}`).toBe(pair.damage);
        }
      }
    });

    it('never takes altered bytes for good ones, or leaves that to the checksum above', () => {
      const plain = pageLike(600);
      const stored = run(pair.encode(), plain);
      for (let bit = 0; bit < stored.length * 8; bit++) {
        const altered = Buffer.from(stored);
        altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        let decoded: Buffer | undefined;
        try {
          decoded = run(pair.decode(), altered);
        } catch (error) {
          expect(isKind(error, pair.damage), `bit ${bit}: ${error}`).toBe(true);
        }
        if (decoded !== undefined && pair.detectsChange) expect(decoded.equals(plain), `bit ${bit}`).toBe(true);
      }
    });

    it('survives any bytes at all', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(60), (noise, keep) => {
          // a good beginning leads the noise to the inner parts
          const head = run(pair.encode(), pageLike(300)).subarray(0, keep);
          try {
            run(pair.decode(), Buffer.concat([head, noise]));
          } catch (error) {
            expect(isKind(error, pair.damage), String(error)).toBe(true);
          }
        }),
        { numRuns: runs * 3 },
      );
    });

    it(`has what follows ${pair.trailing}`, () => {
      const plain = pageLike(500);
      const stored = Buffer.concat([run(pair.encode(), plain), Buffer.from('what is this')]);
      for (const cuts of [[], [stored.length - 12], [stored.length - 13, stored.length - 5]]) {
        if (pair.trailing === 'refused') expect(failure(pair.decode(), stored, cuts)).toBe(pair.damage);
        else expect(run(pair.decode(), stored, cuts).equals(plain)).toBe(true);
      }
    });

    it('lets an error of the receiver through as it is', () => {
      const stored = run(pair.encode(), pageLike(100_000));
      const step = pair.decode();
      const full = new Error('disk full');
      const emit: Emit = () => {
        throw full;
      };
      let caught: unknown;
      try {
        step.push(stored, emit);
        step.end(emit);
      } catch (error) {
        caught = error;
      } finally {
        step.close?.();
      }
      expect(caught).toBe(full);
      // what the failed one gave back can be used again
      expect(run(pair.decode(), stored).length).toBe(100_000);
    });
  });
}

/** The kind of the error that decoding fails with, or undefined when it succeeds. */
function failure(step: Step, input: Uint8Array, cuts: readonly number[] = []): ErrorKind | undefined | unknown {
  try {
    run(step, input, cuts);
    return undefined;
  } catch (error) {
    return isKind(error, 'format', 'crypto') ? error.kind : error;
  }
}
