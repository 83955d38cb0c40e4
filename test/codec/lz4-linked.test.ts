import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { joinDictionary, joinedBound } from '../../src/codec/lz4-linked.ts';

/** As the format says, byte by byte. @param output what is there already */
function decompress(packed: Buffer, output: number[]): number[] {
  let at = 0;
  const length = (nibble: number): number => {
    let sum = nibble;
    if (nibble === 15) {
      let next: number;
      do {
        next = packed.readUInt8(at++);
        sum += next;
      } while (next === 255);
    }
    return sum;
  };
  while (at < packed.length) {
    const token = packed.readUInt8(at++);
    for (let left = length(token >> 4); left > 0; left--) output.push(packed.readUInt8(at++));
    if (at === packed.length) break;
    const from = output.length - packed.readUInt16LE(at);
    at += 2;
    const copied = length(token & 15) + 4;
    for (let index = 0; index < copied; index++) output.push(output[from + index] ?? Number.NaN);
  }
  return output;
}

const more = (count: number): number[] => {
  if (count < 15) return [];
  const full = Math.floor((count - 15) / 255);
  return [...Array<number>(full).fill(255), (count - 15) % 255];
};

/** One sequence: literals, and a match unless it is the last. */
function sequence(
  literals: number,
  match: { readonly length: number; readonly distance: number } | undefined,
): number[] {
  const rest = match === undefined ? 0 : match.length - 4;
  return [
    (Math.min(literals, 15) << 4) | Math.min(rest, 15),
    ...more(literals),
    ...Array.from({ length: literals }, (_, index) => index & 255),
    ...(match === undefined ? [] : [match.distance & 255, match.distance >> 8, ...more(rest)]),
  ];
}

const join = (dictionary: Buffer, packed: Buffer): Buffer =>
  joinDictionary(dictionary, packed, Buffer.alloc(joinedBound(dictionary.length, packed.length)));

describe('a linked LZ4 block', () => {
  test('becomes one that stands alone', () => {
    const match = fc.record({ length: fc.integer({ min: 4, max: 600 }), distance: fc.integer({ min: 1, max: 200 }) });
    const sequences = fc.array(fc.tuple(fc.integer({ min: 0, max: 600 }), match), { maxLength: 4 });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 200, maxLength: 900 }), sequences, fc.nat(600), (before, list, last) => {
        const dictionary = Buffer.from(before);
        const packed = Buffer.from([
          ...list.flatMap(([literals, found]) => sequence(literals, found)),
          ...sequence(last, undefined),
        ]);
        expect(decompress(join(dictionary, packed), [])).toEqual(decompress(packed, [...dictionary]));
      }),
    );
  });

  test('may follow few bytes, or the whole window', () => {
    for (const size of [1, 14, 15, 16, 269, 270, 65_536]) {
      const dictionary = Buffer.alloc(size, 7);
      const packed = Buffer.from([...sequence(1, { length: 9, distance: size }), ...sequence(5, undefined)]);
      expect(decompress(join(dictionary, packed), [])).toEqual(decompress(packed, [...dictionary]));
    }
  });

  test('that ends within its literals is refused', () => {
    const dictionary = Buffer.alloc(10);
    for (const bytes of [[0x50], [0x50, 1, 2, 3, 4], [0xf0], [0xf0, 255, 255], [0xf0, 1]]) {
      expect(() => join(dictionary, Buffer.from(bytes))).toThrow(RangeError);
    }
  });
});
