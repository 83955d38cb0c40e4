/** Bytes of a good file that were changed: at random, and as those like it who know what parsers trip over. */
import fc from 'fast-check';
import { Random } from '../../support/random.ts';
import type { Inputs } from './fuzz.ts';

/** Numbers at the edges of what fits somewhere. */
const edges: readonly bigint[] = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1f_ffff_ffff_ffffn,
  0x20_0000_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_ffffn,
];

export interface ByteOptions {
  /** Texts that mean something in this format. */
  readonly tokens?: readonly (string | Buffer)[];
  /** No input is longer. */
  readonly longest?: number;
  /** Done to the bytes at last, such as a checksum that is put right. @param choice of the case, for what it decides */
  readonly seal?: (bytes: Buffer, choice: number) => Buffer;
}

/** @param seeds good files: cases begin with one of them, and take pieces of others */
export function changedBytes(seeds: readonly Buffer[], options: ByteOptions = {}): Inputs<[number, number, number[]]> {
  const { longest = 192 * 1024, tokens = [], seal } = options;
  const any = fc.integer({ min: 0, max: 0x7fff_ffff });
  return {
    arbitrary: fc.tuple(fc.nat(seeds.length - 1), any, fc.array(any, { minLength: 1, maxLength: 6 })),
    build([which, choice, changes]) {
      let bytes: Buffer = Buffer.from(seeds[which] ?? Buffer.alloc(0));
      for (const change of changes) bytes = changeOnce(bytes, new Random(change), seeds, tokens, longest);
      return seal === undefined ? bytes : seal(bytes, choice);
    },
  };
}

/** Some changes of a file. @param others whose pieces may be put in */
export function changeBytes(bytes: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  let changed = bytes;
  for (let left = random.between(1, 3); left > 0; left--) changed = changeOnce(changed, random, others, [], 2 ** 26);
  return changed;
}

function changeOnce(
  bytes: Buffer,
  random: Random,
  seeds: readonly Buffer[],
  tokens: readonly (string | Buffer)[],
  longest: number,
): Buffer {
  const at = random.between(0, bytes.length);
  const length = Math.min(bytes.length - at, lengthOf(random));
  const piece = bytes.subarray(at, at + length);
  const put = (inside: Uint8Array, removed = 0): Buffer =>
    Buffer.concat([bytes.subarray(0, at), inside, bytes.subarray(Math.min(at + removed, bytes.length))]).subarray(
      0,
      longest,
    );
  switch (random.between(0, tokens.length === 0 ? 10 : 13)) {
    case 0:
    case 1: {
      // one bit
      if (at === bytes.length) return bytes.subarray(0, -1);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 7));
      return bytes;
    }
    case 2:
      return put(Buffer.from([random.pick([0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x3d, 0x22, random.between(0, 255)])]), 1);
    case 3:
      return put(noiseOf(random, lengthOf(random)));
    case 4:
      return put(Buffer.alloc(0), length);
    case 5:
      return put(piece);
    case 6: {
      const other = random.pick(seeds);
      const from = random.between(0, other.length);
      return put(other.subarray(from, from + lengthOf(random) * 4), random.chance(50) ? length : 0);
    }
    case 7:
      return bytes.subarray(0, at);
    case 8: {
      const number = Buffer.alloc(8);
      number.writeBigUInt64LE(random.pick(edges));
      const size = random.pick([1, 2, 4, 8]);
      const part = number.subarray(0, size);
      return put(random.chance(50) ? part : Buffer.from(part).reverse(), size);
    }
    case 9: {
      // again and again: what is quadratic shows
      const small = piece.length === 0 ? Buffer.from([random.between(0, 255)]) : piece.subarray(0, 64);
      const most = random.chance(4) ? longest : 2048;
      return put(Buffer.concat(Array.from({ length: Math.max(1, Math.floor(most / small.length / 2)) }, () => small)));
    }
    case 10: {
      const start = random.between(0, at);
      return Buffer.concat([bytes.subarray(at), bytes.subarray(start, at), bytes.subarray(0, start)]).subarray(
        0,
        longest,
      );
    }
    case 11:
    case 12:
      return put(Buffer.from(random.pick(tokens)), random.chance(50) ? length : 0);
    default: {
      const token = Buffer.from(random.pick(tokens));
      const count = Math.max(1, Math.floor((random.chance(4) ? longest : 2048) / Math.max(1, token.length) / 2));
      return put(Buffer.concat(Array.from({ length: count }, () => token)));
    }
  }
}

/** Mostly short. */
const lengthOf = (random: Random): number =>
  random.chance(70) ? random.between(1, 8) : random.chance(80) ? random.between(1, 200) : random.between(1, 20_000);

/** Random bytes, made once: long cases would be slow to make. */
const noise = ((random = new Random(1)) => Buffer.from(Array.from({ length: 65_536 }, () => random.between(0, 255))))();

const noiseOf = (random: Random, length: number): Buffer => {
  const at = random.between(0, noise.length - 1);
  return noise.subarray(at, at + length);
};
