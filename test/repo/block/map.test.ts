import { describe, expect, it } from 'vitest';
import { BackstopError } from '../../../src/base/error.ts';
import { type BlockItem, decodeBlockMap, encodeBlockMap } from '../../../src/repo/block/map.ts';

const block = 8192;

/** A map of pgBackRest 2.59.1: third backup of a set, blocks 1 and 3 of five changed in it. */
const third = Buffer.from(
  '000a018780140a002fab552b28b31201ffff170400709df373e8000e0101b5f42ec4772b1600b4763a45ca9f0f0101ae1dcd059e78',
  'hex',
);

const item = (reference: number, size: number, superSize: number, at: number, checksum: string): BlockItem => ({
  reference,
  bundleId: 1,
  offset: 0,
  size,
  superSize,
  block: at,
  checksum: Uint8Array.from(Buffer.from(checksum, 'hex')),
});

const thirdItems = [
  item(1, 40960, 40960, 0, '2fab552b28b3'),
  item(2, 16384, 16384, 0, '709df373e800'),
  item(1, 40960, 40960, 2, 'b5f42ec4772b'),
  item(2, 16384, 16384, 1, 'b4763a45ca9f'),
  item(1, 40960, 40960, 4, 'ae1dcd059e78'),
];

const plain = (items: readonly BlockItem[]) =>
  items.map(one => ({ ...one, checksum: Buffer.from(one.checksum).toString('hex') }));

/** @returns the kind of the error that decoding ends with */
function refusal(bytes: Uint8Array, blockSize = block, checksumSize = 6): string {
  try {
    decodeBlockMap(bytes, blockSize, checksumSize);
  } catch (error) {
    if (error instanceof BackstopError) return error.kind;
    throw error;
  }
  return 'none';
}

it('super blocks of one backup with a gap between them, or not wholly used, are read as they are written', () => {
  const items = [
    { ...item(0, 1000, 2 * block, 0, '000000000001') },
    { ...item(0, 1000, 2 * block, 1, '000000000002') },
    { ...item(0, 500, block, 0, '000000000003'), offset: 1009 },
    { ...item(0, 700, 3 * block, 0, '000000000004'), offset: 1509 },
    { ...item(0, 700, 3 * block, 2, '000000000005'), offset: 1509 },
    { ...item(1, 700, block, 0, '000000000006'), offset: 9 },
  ];
  expect(plain(decodeBlockMap(encodeBlockMap(items, block), block, 6))).toEqual(plain(items));
});

describe('a map that pgBackRest wrote', () => {
  it('is read', () => {
    expect(plain(decodeBlockMap(third, block, 6))).toEqual(plain(thirdItems));
  });

  it('is written byte for byte', () => {
    expect(Buffer.from(encodeBlockMap(thirdItems, block)).toString('hex')).toBe(third.toString('hex'));
  });

  it('of a first backup, in a bundle behind other files', () => {
    const checksums = Buffer.from(Array.from({ length: 30 }, (_, index) => index));
    const first = Buffer.concat([Buffer.from('00070280c3820583801' + '40a', 'hex'), checksums]);
    const items = decodeBlockMap(first, block, 6);
    expect(items.map(({ block }) => block)).toEqual([0, 1, 2, 3, 4]);
    for (const one of items) {
      expect(one).toMatchObject({ reference: 0, bundleId: 2, offset: 10527104, size: 40960, superSize: 40960 });
    }
    expect(Buffer.from(encodeBlockMap(items, block))).toEqual(first);
  });
});

describe('a damaged map', () => {
  it('that ends early is refused wherever it ends', () => {
    for (let length = 0; length < third.length; length++) {
      expect(refusal(third.subarray(0, length)), `${length} bytes`).toBe('format');
    }
  });

  it('with bytes behind its end is refused', () => {
    expect(refusal(Buffer.concat([third, Buffer.alloc(1)]))).toBe('format');
  });

  it.each([
    ['of an unknown version', '01'],
    ['with a number that does not end', `00${'ff'.repeat(64)}`],
    ['with a number that does not end although it is zero', `00${'80'.repeat(64)}`],
    ['with a number beyond 2^53', '0003ffffffffffffffffff7f'],
    // super block of one block, run of 8
    ['with a block outside of its super block', `00018380040${'2'}000e${'00'.repeat(48)}`],
    // a skip leads behind the end of the super block
    ['with a skip outside of its super block', `0001 87800402 01 7f${'00'.repeat(6)}`.replaceAll(' ', '')],
    ['with an empty super block', `0001 83800400 ${'00'.repeat(12)}`.replaceAll(' ', '')],
    // super block of 2^40 blocks with no checksums for them
    ['with more blocks than bytes', '00018380048080808080808001'],
  ])('%s is refused', (_, hex) => {
    expect(refusal(Buffer.from(hex, 'hex'))).toBe('format');
  });

  it('takes no more memory than its bytes are worth', () => {
    // a super block of 2^30 blocks; with no bytes for a checksum each would be free of charge
    expect(refusal(Buffer.from('00010b8080808008', 'hex'))).toBe('format');
    expect(refusal(Buffer.from('00010b8080808008', 'hex'), block, 0)).toBe('format');
    expect(refusal(third, 0)).toBe('format');
  });

  it('with any byte changed is refused or read as something else, and never hangs', () => {
    for (let at = 0; at < third.length; at++) {
      for (let value = 0; value < 256; value++) {
        const bytes = Buffer.from(third);
        bytes[at] = value;
        expect(['format', 'none']).toContain(refusal(bytes));
      }
    }
  });
});
