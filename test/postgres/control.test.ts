import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/base/clock.ts';
import {
  decodeControl,
  encodeRestoreMarker,
  hasRestoreMarker,
  readControl,
  readControlFile,
  restoreMarker,
} from '../../src/postgres/control.ts';
import { crc32c, legacyCrc32 } from '../../src/postgres/crc.ts';
import { parseLsn } from '../../src/postgres/lsn.ts';
import { versions } from '../../src/postgres/versions.ts';
import { decodeWalHeader } from '../../src/postgres/wal.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { forgeControl } from './forge.ts';

const fixture = (name: string): Buffer => readFileSync(new URL(`../fixture/pg_control/${name}`, import.meta.url));

interface Expected {
  systemId: string;
  controlVersion: number;
  catalogVersion: number;
  checkpoint: string;
  timeline: number;
  pageSize: number;
  walSegmentSize: number;
  checksums: boolean;
}
const expected = JSON.parse(fixture('expected.json').toString()) as Record<string, Expected>;

describe.each(Object.entries(expected))('files that PostgreSQL %s wrote', (text, { systemId, checkpoint, ...rest }) => {
  test('pg_control says what the server said', () => {
    const { version, ...data } = decodeControl(fixture(`${text}.control`));
    expect(version.text).toBe(text);
    expect(data).toEqual({ ...rest, systemId: BigInt(systemId), checkpoint: parseLsn(checkpoint) });
  });

  test('a WAL segment names the same cluster', () => {
    const { version, ...header } = decodeWalHeader(fixture(`${text}.wal`));
    expect(version.text).toBe(text);
    expect(header).toEqual({ systemId: BigInt(systemId), segmentSize: rest.walSegmentSize });
  });

  test('the restore marker changes the checkpoint and nothing else', () => {
    const before = fixture(`${text}.control`);
    const marked = encodeRestoreMarker(before);
    expect(decodeControl(marked)).toEqual({ ...decodeControl(before), checkpoint: restoreMarker });
    expect(hasRestoreMarker(decodeControl(marked))).toBe(true);
    expect(hasRestoreMarker(decodeControl(before))).toBe(false);
    const { crc } = decodeControl(before).version.control;
    const changed = [...before.keys()].filter(i => before[i] !== marked[i]);
    expect(changed.every(i => (i >= 32 && i < 40) || (i >= crc && i < crc + 4))).toBe(true);
  });

  test('a flipped byte before the CRC is found', () => {
    const { crc } = decodeControl(fixture(`${text}.control`)).version.control;
    for (let at = 16; at < crc + 4; at++) {
      const bytes = fixture(`${text}.control`);
      bytes[at] = (bytes[at] ?? 0) ^ 0x40;
      expect(() => decodeControl(bytes), `byte ${at}`).toThrow(expect.objectContaining({ kind: 'checksum' }));
    }
  });
});

describe('control files of every version', () => {
  test.each(versions)('$text', version => {
    const bytes = forgeControl(version.text, { timeline: 7, walSegmentSize: 1 << 30, checksums: 0, pageSize: 32768 });
    expect(decodeControl(bytes)).toEqual({
      systemId: 6569239123849665679n,
      version,
      controlVersion: version.controlVersion,
      catalogVersion: version.catalogVersion,
      checkpoint: 0x16_b374_d848n,
      timeline: 7,
      pageSize: 32768,
      walSegmentSize: 1 << 30,
      checksums: false,
    });
  });

  test('the largest system id is exact', () => {
    expect(decodeControl(forgeControl('15', { systemId: 0xffff_ffff_ffff_ffffn })).systemId).toBe(
      18446744073709551615n,
    );
  });
});

describe('control files that must be refused', () => {
  test.each([
    ['unknown catalog', forgeControl('15', { catalogVersion: 202209062 }), 'version-not-supported', /202209062/],
    ['unknown control version', forgeControl('15', { controlVersion: 1301 }), 'version-not-supported', /1301/],
    ['page size 0', forgeControl('15', { pageSize: 0 }), 'format', /page size is 0/],
    ['page size 12288', forgeControl('15', { pageSize: 12288 }), 'format', /page size/],
    ['page size 64 KiB', forgeControl('15', { pageSize: 65536 }), 'format', /page size/],
    ['segment size 0', forgeControl('15', { walSegmentSize: 0 }), 'format', /wal segment size is 0/],
    ['segment size 2 GiB', forgeControl('15', { walSegmentSize: 0x80000000 }), 'format', /wal segment size/],
    ['segment size 3 MiB', forgeControl('15', { walSegmentSize: 0x300000 }), 'format', /wal segment size/],
    ['checksum state 2', forgeControl('18', { checksums: 2 }), 'format', /must be <= 1/],
    ['checksum state 4 of 19', forgeControl('19', { checksums: 4 }), 'format', /must be <= 3/],
    ['short', new Uint8Array(511), 'format', /511/],
    ['zeros', new Uint8Array(8192), 'version-not-supported', /control version = 0/],
  ])('%s', (_name, bytes, kind, message) => {
    expect(() => decodeControl(bytes)).toThrow(
      expect.objectContaining({ kind, message: expect.stringMatching(message) }),
    );
  });

  test('any bytes at all end in one of the known errors', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 600 }),
        fc.constantFrom(undefined, '9.4', '15'),
        (bytes, forced) => {
          expect(() => decodeControl(bytes, forced)).toThrow(
            expect.objectContaining({ kind: expect.stringMatching(/^(version-not-supported|checksum|format)$/) }),
          );
        },
      ),
    );
  });
});

describe('a beta', () => {
  test('moves its catalog version until the year is over', () => {
    expect(decodeControl(forgeControl('19', { catalogVersion: 202612241 })).catalogVersion).toBe(202612241);
    expect(() => decodeControl(forgeControl('19', { catalogVersion: 202701011 }))).toThrow(
      /unexpected control version/,
    );
    expect(() => decodeControl(forgeControl('19', { catalogVersion: 202605121 }))).toThrow(
      /unexpected control version/,
    );
  });

  test.each([
    [0, false],
    [1, true],
    [2, false],
    [3, false],
  ])('with checksum state %i', (state, checksums) => {
    expect(decodeControl(forgeControl('19', { checksums: state })).checksums).toBe(checksums);
  });
});

describe('a forced version', () => {
  test('takes any catalog version', () => {
    const data = decodeControl(forgeControl('15', { catalogVersion: 1, controlVersion: 2 }), '15');
    expect(data).toMatchObject({ catalogVersion: 1, controlVersion: 2, systemId: 6569239123849665679n });
  });

  test('finds the CRC behind fields of a fork, also when marking', () => {
    const bytes = forgeControl('15', { crcShift: 40 });
    expect(() => decodeControl(bytes)).toThrow(expect.objectContaining({ kind: 'checksum' }));
    expect(decodeControl(bytes, '15').timeline).toBe(1);
    const marked = encodeRestoreMarker(bytes, '15');
    expect(decodeControl(marked, '15').checkpoint).toBe(restoreMarker);
    expect(marked.subarray(288, 328)).toEqual(bytes.subarray(288, 328));
  });

  test('that is unknown is an error', () => {
    expect(() => decodeControl(forgeControl('15'), '8.4')).toThrow(/invalid PostgreSQL version 8.4/);
  });

  test('does not excuse a broken file', () => {
    const bytes = forgeControl('15');
    bytes[20] = 1;
    expect(() => decodeControl(bytes, '15')).toThrow(expect.objectContaining({ kind: 'checksum' }));
  });
});

test('CRC-32C is the one of the standards', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(0))).toBe(0);
});

test('the legacy CRC is not CRC-32', () => {
  expect(legacyCrc32(new Uint8Array(0))).toBe(0);
  expect(legacyCrc32(Buffer.from('123456789'))).not.toBe(0xcbf43926);
});

/** A storage whose file gives the next of these contents at each read. */
function storageOf(contents: readonly Uint8Array[]): { storage: Storage; reads: () => number } {
  let reads = 0;
  const storage: Pick<Storage, 'read'> = {
    async read(path, options) {
      expect(path).toBe('/data/global/pg_control');
      const bytes = (contents[Math.min(reads++, contents.length - 1)] ?? new Uint8Array(0)).subarray(
        0,
        options?.length,
      );
      let at = 0;
      return {
        // a few bytes at a time: a source need not fill the buffer
        read(into) {
          const part = bytes.subarray(at, at + Math.min(into.length, 100));
          into.set(part);
          at += part.length;
          return part.length;
        },
        close: () => undefined,
      };
    },
  };
  return { storage: storage as Storage, reads: () => reads };
}

describe('reading a file that is being written', () => {
  const sleeps: number[] = [];
  const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: async ms => void sleeps.push(ms) };
  const torn = (n: number): Uint8Array => {
    const bytes = forgeControl('15');
    bytes[40] = n;
    return bytes;
  };

  test('a good file is read once', async () => {
    const { storage, reads } = storageOf([forgeControl('15')]);
    const { data, image } = await readControlFile(storage, '/data/', { clock });
    expect(data.version.text).toBe('15');
    expect(image).toEqual(forgeControl('15'));
    expect(reads()).toBe(1);
  });

  test('what follows the first sector is not kept', async () => {
    const bytes = forgeControl('15');
    bytes.fill(9, 512);
    const { image } = await readControlFile(storageOf([bytes]).storage, '/data', { clock });
    expect(image).toEqual(forgeControl('15'));
  });

  test('a torn file is read again until it is whole', async () => {
    sleeps.length = 0;
    const { storage, reads } = storageOf([torn(1), torn(2), torn(3), forgeControl('15')]);
    expect((await readControl(storage, '/data', { clock })).timeline).toBe(1);
    expect(reads()).toBe(4);
    expect(sleeps).toEqual([50, 50, 50]);
  });

  test('twice the same broken file is an error', async () => {
    const { storage, reads } = storageOf([torn(1), torn(2), torn(2), forgeControl('15')]);
    await expect(readControl(storage, '/data', { clock })).rejects.toMatchObject({ kind: 'checksum' });
    expect(reads()).toBe(3);
  });

  test('a file that never comes to rest is an error in the end', async () => {
    const { storage, reads } = storageOf(Array.from({ length: 200 }, (_, i) => torn(1 + (i % 7))));
    await expect(readControl(storage, '/data', { clock })).rejects.toMatchObject({ kind: 'checksum' });
    expect(reads()).toBe(100);
  });

  test('a truncated file is an error at once', async () => {
    const { storage, reads } = storageOf([forgeControl('15').subarray(0, 300)]);
    await expect(readControl(storage, '/data', { clock })).rejects.toMatchObject({
      kind: 'file-read',
      message: expect.stringContaining('it has 300'),
    });
    expect(reads()).toBe(1);
  });
});
