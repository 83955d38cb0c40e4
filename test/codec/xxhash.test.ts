import { describe, expect, it } from 'vitest';
import { loadXxh128 } from '../../src/codec/xxhash.ts';

const xxh128 = await loadXxh128();

describe('xxh128', () => {
  it('gives the known digests', () => {
    const known: [Buffer, string][] = [
      [Buffer.alloc(0), '99aa06d3014798d86001c324468d497f'],
      [Buffer.from('hello pgBackRest\n'), '070c9d42299b082627a9b5fa5893410a'],
      [Buffer.alloc(8192), '6c8a36bd5451c725620797930ab0991a'],
    ];
    for (const [block, digest] of known) {
      const into = Buffer.alloc(16);
      xxh128(block, into);
      expect(into.toString('hex')).toBe(digest);
    }
  });

  it('is cut to the length asked for', () => {
    const into = Buffer.alloc(6);
    xxh128(Buffer.alloc(8192), into);
    expect(into.toString('hex')).toBe('6c8a36bd5451');
    expect(() => xxh128(Buffer.alloc(1), Buffer.alloc(17))).toThrow(/no 17 bytes/);
  });
});
