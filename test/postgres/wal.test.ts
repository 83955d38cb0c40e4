import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareLsn, formatLsn, parseLsn } from '../../src/postgres/lsn.ts';
import { versions } from '../../src/postgres/versions.ts';
import {
  countWalNames,
  decodeWalHeader,
  formatWalName,
  isBackupHistoryFile,
  isHistoryFile,
  isWalName,
  isWalSegmentFile,
  nextWalName,
  parseWalName,
  startsWithWalName,
  walNameAt,
  walNameStart,
  walNamesBetween,
  walNamesFrom,
  walNamesOfLsns,
} from '../../src/postgres/wal.ts';
import { forgeWalHeader } from './forge.ts';

const mib = 1024 * 1024;
const lsn = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const segmentSize = fc.constantFrom(1, 2, 16, 64, 256, 1024).map(n => n * mib);
const timeline = fc.integer({ min: 1, max: 0xffffffff });

describe('LSNs', () => {
  test.each([
    ['0/0', 0n],
    ['0/4000028', 0x4000028n],
    ['16/B374D848', 0x16_b374_d848n],
    ['FFFFFFFF/FFFFFFFF', 0xffff_ffff_ffff_ffffn],
  ])('%s', (text, value) => {
    expect(parseLsn(text)).toBe(value);
    expect(formatLsn(value)).toBe(text);
  });

  test('lower case and leading zeros are read', () => {
    expect(parseLsn('16/0374d848')).toBe(0x16_0374_d848n);
  });

  test.each(['', '0', '/', '0/', '/0', '0/G', '0/123456789', '0x0/0', ' 0/0', '0/0\n', '1/2/3', '-1/0'])(
    '%j is none',
    text => {
      expect(() => parseLsn(text)).toThrow(expect.objectContaining({ kind: 'format' }));
    },
  );

  test('text and number are one', () => {
    fc.assert(
      fc.property(lsn, value => {
        expect(parseLsn(formatLsn(value))).toBe(value);
      }),
    );
  });

  test('order', () => {
    expect(['10/0', '9/FF', '0/1'].map(parseLsn).sort(compareLsn).map(formatLsn)).toEqual(['0/1', '9/FF', '10/0']);
    expect(compareLsn(5n, 5n)).toBe(0);
  });
});

describe('names of files in pg_wal', () => {
  test.each([
    ['000000010000000A000000FF', 'name segment prefix'],
    ['000000010000000A000000FF.partial', 'segment prefix'],
    ['000000010000000A000000FF.00000028.backup', 'prefix backup'],
    ['0000000B.history', 'history'],
    ['000000010000000a000000FF', ''],
    ['000000010000000A000000FF ', 'prefix'],
    ['000000010000000A000000FF\n', 'prefix'],
    ['00000001000000000000000:', ''],
    ['0000000B.historyx', ''],
    ['', ''],
  ])('%j', (name, kinds) => {
    const found = [
      isWalName(name) && 'name',
      isWalSegmentFile(name) && 'segment',
      startsWithWalName(name) && 'prefix',
      isBackupHistoryFile(name) && 'backup',
      isHistoryFile(name) && 'history',
    ];
    expect(found.filter(Boolean).join(' ')).toBe(kinds);
  });
});

describe('arithmetic of segments', () => {
  test.each([
    ['000000010000000000000001', 16 * mib, '000000010000000000000002'],
    ['0000000100000000000000FE', 16 * mib, '0000000100000000000000FF'],
    ['0000000100000000000000FF', 16 * mib, '000000010000000100000000'],
    ['000000020000000A00000003', 1024 * mib, '000000020000000B00000000'],
    ['000000010000000000000FFF', mib, '000000010000000100000000'],
    ['0000000100000009000000FF', 16 * mib, '000000010000000A00000000'],
  ])('after %s of %i bytes comes %s', (name, size, after) => {
    expect(nextWalName(name, size)).toBe(after);
  });

  test('there is nothing after the last one', () => {
    expect(() => nextWalName('00000001FFFFFFFF000000FF', 16 * mib)).toThrow(/no WAL segment/);
  });

  test('a name that its size does not allow is refused', () => {
    expect(() => nextWalName('000000010000000000000100', 16 * mib)).toThrow(/does not fit/);
    expect(() => nextWalName('000000010000000000000001', 3 * mib)).toThrow(/power of two/);
    expect(() => parseWalName('xyz')).toThrow(expect.objectContaining({ kind: 'format' }));
  });

  test('a segment holds its LSNs', () => {
    fc.assert(
      fc.property(timeline, lsn, segmentSize, (line, position, size) => {
        const name = walNameAt(line, position, size);
        const start = walNameStart(name, size);
        expect(start <= position && position < start + BigInt(size)).toBe(true);
        expect(formatWalName(parseWalName(name))).toBe(name);
        expect(parseWalName(name).timeline).toBe(line);
      }),
    );
  });

  test('next is where the LSNs go on', () => {
    fc.assert(
      fc.property(timeline, lsn, segmentSize, (line, position, size) => {
        const name = walNameAt(line, position, size);
        const end = walNameStart(name, size) + BigInt(size);
        fc.pre(end <= 0xffff_ffff_ffff_ffffn);
        expect(nextWalName(name, size)).toBe(walNameAt(line, end, size));
        expect(nextWalName(name, size) > name).toBe(true);
      }),
    );
  });

  test('all ways to list a range agree', () => {
    fc.assert(
      fc.property(timeline, lsn, segmentSize, fc.integer({ min: 1, max: 300 }), (line, position, size, count) => {
        const start = walNameAt(line, position, size);
        const lastLsn = walNameStart(start, size) + BigInt(size) * BigInt(count) - 1n;
        fc.pre(lastLsn <= 0xffff_ffff_ffff_ffffn);
        const names = [...walNamesFrom(start, count, size)];
        const last = names.at(-1) ?? '';
        expect(names).toHaveLength(count);
        expect([...walNamesBetween(start, last, size)]).toEqual(names);
        expect([...walNamesOfLsns(line, position, lastLsn, size)]).toEqual(names);
        expect(countWalNames(start, last, size)).toBe(count);
        expect(new Set(names).size).toBe(count);
      }),
    );
  });

  test('a backup inside one segment needs that one', () => {
    expect([...walNamesBetween('000000010000000000000004', '000000010000000000000004', 16 * mib)]).toEqual([
      '000000010000000000000004',
    ]);
  });

  test('no range leads backwards or to another timeline', () => {
    const [a, b, c] = ['000000010000000000000004', '000000010000000000000005', '000000020000000000000006'];
    expect(() => [...walNamesBetween(b, a, 16 * mib)]).toThrow(/no WAL leads/);
    expect(() => [...walNamesBetween(a, c, 16 * mib)]).toThrow(/no WAL leads/);
  });

  test('a long range costs nothing until it is used', () => {
    const names = walNamesBetween('000000010000000000000000', '00000001FFFFFFFF00000FFF', mib);
    expect(names.next().value).toBe('000000010000000000000000');
  });
});

describe('WAL headers', () => {
  test.each(versions)('$text', version => {
    expect(decodeWalHeader(forgeWalHeader(version.text, { segmentSize: 64 * mib }))).toEqual({
      version,
      systemId: 6569239123849665679n,
      segmentSize: 64 * mib,
    });
  });

  test.each([
    ['unknown magic', forgeWalHeader('15', { magic: 777 }), 'version-not-supported', /unexpected WAL magic 777/],
    ['short header', forgeWalHeader('15', { info: 1 }), 'format', /long format/],
    ['segment size', forgeWalHeader('15', { segmentSize: 100 }), 'format', /wal segment size is 100/],
    ['empty file', new Uint8Array(0), 'format', /too short/],
    ['35 bytes', forgeWalHeader('15').subarray(0, 35), 'format', /too short/],
  ])('%s is refused', (_name, bytes, kind, message) => {
    expect(() => decodeWalHeader(bytes)).toThrow(
      expect.objectContaining({ kind, message: expect.stringMatching(message) }),
    );
  });

  test('a forced version takes any magic', () => {
    expect(decodeWalHeader(forgeWalHeader('15', { magic: 777 }), '14').version.text).toBe('14');
  });
});
