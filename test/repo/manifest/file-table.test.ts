import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileTable, type NewManifestFile } from '../../../src/repo/manifest/file-table.ts';

const sha1 = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 40, maxLength: 40 });
const size = fc.integer({ min: 0, max: 2 ** 45 });
const optional = <T>(key: string, value: fc.Arbitrary<T>) =>
  fc.option(value, { nil: undefined }).map(v => (v === undefined ? {} : { [key]: v }));

const file: fc.Arbitrary<NewManifestFile> = fc
  .tuple(
    fc.record({
      name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).map(text => `pg_data/${text}`),
      size,
      sizeOriginal: size,
      sizeRepo: size,
      timestamp: fc.integer({ min: 0, max: 2 ** 40 }),
      bundleId: fc.nat(2 ** 31),
      bundleOffset: size,
      blockSize: fc.nat(1000).map(n => n * 8192),
      blockChecksumSize: fc.integer({ min: 0, max: 20 }),
      blockMapSize: size,
      mode: fc.nat(0o7777),
      user: fc.constantFrom<string | false>('postgres', 'other', false),
      group: fc.constantFrom<string | false>('postgres', false),
    }),
    optional('checksum', sha1),
    optional('checksumRepo', sha1),
    optional('reference', fc.constantFrom('20261121-020956F', '20261120-020956F')),
    optional('checksumPage', fc.boolean()),
    optional('checksumPageErrors', fc.constantFrom([1, [3, 5]])),
  )
  .map(parts => Object.assign({}, ...parts) as NewManifestFile);

const filesOf = fc.uniqueArray(file, { selector: ({ name }) => name, maxLength: 60 });

describe('a file table', () => {
  it('gives back what was added, and replaces all but the name', () => {
    fc.assert(
      fc.property(filesOf, file, (files, other) => {
        const table = new FileTable();
        for (const each of files) table.add(each);
        expect(Array.from({ length: table.length }, (_, index) => table.get(index))).toEqual(files);
        for (const [index, { name }] of files.entries()) {
          table.set(index, other);
          expect(table.get(index)).toEqual({ ...other, name });
        }
      }),
    );
  });

  it('notes what a copy has taught, and nothing else changes', () => {
    fc.assert(
      fc.property(file, file, (before, learned) => {
        const table = new FileTable();
        table.add(before);
        const {
          size,
          sizeRepo,
          checksum = 'a'.repeat(40),
          checksumRepo,
          bundleId,
          bundleOffset,
          blockMapSize,
        } = learned;
        const { checksumPage, checksumPageErrors } = learned;
        const copied = { size, sizeRepo, checksum, bundleId, bundleOffset, blockMapSize };
        table.noteCopied(0, { ...copied, checksumRepo, checksumPage, checksumPageErrors });
        const { checksumRepo: _, checksumPageErrors: __, ...kept } = before;
        expect(table.get(0)).toEqual({
          ...kept,
          ...copied,
          ...(checksumRepo === undefined ? {} : { checksumRepo }),
          ...(checksumPage === undefined ? {} : { checksumPage }),
          ...(checksumPageErrors === undefined ? {} : { checksumPageErrors }),
          ...(size === 0 ? { blockSize: 0, blockChecksumSize: 0 } : {}),
        });
      }),
    );
  });

  it('takes over what another table has of a content, and keeps what is its own', () => {
    fc.assert(
      fc.property(file, filesOf, fc.nat(), (before, files, choice) => {
        fc.pre(files.length > 0);
        const from = new FileTable();
        for (const each of files) from.add(each);
        const table = new FileTable();
        table.add(before);
        const at = choice % files.length;
        const {
          name: _,
          sizeOriginal: __,
          timestamp: ___,
          mode: ____,
          user: _____,
          group: ______,
          ...taken
        } = from.get(at);
        table.takeContent(0, from, at, 'b'.repeat(40), '20261119-020956F');
        const { name, sizeOriginal, timestamp, mode, user, group } = before;
        expect(table.get(0)).toEqual({
          ...taken,
          ...{ name, sizeOriginal, timestamp, mode, user, group },
          checksum: taken.checksum ?? 'b'.repeat(40),
          reference: '20261119-020956F',
        });
      }),
    );
  });

  it('sorts by the bytes of the names, finds each, and keeps what belongs together', () => {
    fc.assert(
      fc.property(filesOf, fc.nat(), (files, seed) => {
        const table = new FileTable();
        for (const each of files) table.add(each);
        const keep = (index: number) => (index * 7 + seed) % 3 !== 0;
        table.sort(keep);
        const expected = files
          .filter((_, index) => keep(index))
          .sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
        expect(Array.from({ length: table.length }, (_, index) => table.get(index))).toEqual(expected);
        for (const [index, { name }] of expected.entries()) expect(table.find(name)).toBe(index);
        expect(table.find('pg_data')).toBeUndefined();
      }),
    );
  });

  it('gives defaults to what was added without owner and mode, before and after', () => {
    const table = new FileTable();
    const { mode: _, user: __, group: ___, ...plain } = sample(0);
    table.add(plain);
    table.setDefaults({ user: 'u', group: 'g', mode: 0o640 });
    table.add({ ...plain, name: 'pg_data/other', user: false });
    expect(table.get(0)).toMatchObject({ user: 'u', group: 'g', mode: 0o640 });
    expect(table.get(1)).toMatchObject({ user: false, group: 'g', mode: 0o640 });
    expect(table.owner(1)).toEqual({ user: false, group: 'g' });
  });

  it('refuses a checksum that is none and an index that is none', () => {
    const table = new FileTable();
    expect(() => table.add({ ...sample(0), checksum: 'xyz' })).toThrow('is not a SHA-1');
    table.add(sample(0));
    expect(() => table.get(7)).toThrow('out of range');
    expect(() => table.name(-1)).toThrow('out of range');
  });

  it('takes less than 110 bytes for a file, with its name, also while it grows and is sorted', () => {
    const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-table-'));
    try {
      const source = join(folder, 'fill.ts');
      writeFileSync(
        source,
        `import { FileTable } from '${process.cwd()}/src/repo/manifest/file-table.ts';
         const sample = ${sample.toString()};
         const count = 200_000;
         global.gc();
         const used = () => { const { heapUsed, arrayBuffers } = process.memoryUsage(); return heapUsed + arrayBuffers; };
         const before = used();
         const table = new FileTable();
         for (let i = 0; i < count; i++) table.add(sample((i * 7919) % count));
         table.sort();
         for (let i = 0; i < count; i += 20) if (table.find(table.name(i)) !== i) throw new Error('not found');
         for (let i = 0; i < 3; i++) global.gc();
         const bytes = used() - before;
         process.stdout.write(String(bytes / table.length));`,
      );
      const program = join(folder, 'fill.cjs');
      buildSync({ entryPoints: [source], bundle: true, platform: 'node', format: 'cjs', outfile: program });
      const bytes = Number(execFileSync(process.execPath, ['--expose-gc', program]).toString());
      expect(bytes).toBeGreaterThan(60);
      expect(bytes).toBeLessThan(110);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

function sample(index: number) {
  return {
    name: `pg_data/base/16384/${index}`,
    size: 8192,
    sizeOriginal: 8192,
    sizeRepo: 1000 + index,
    timestamp: 1795226996 + index,
    checksum: index.toString(16).padStart(40, '0'),
    checksumRepo: index.toString(16).padStart(40, 'f'),
    checksumPage: true,
    bundleId: 0,
    bundleOffset: 0,
    blockSize: 0,
    blockChecksumSize: 0,
    blockMapSize: 0,
    mode: 0o600,
    user: 'postgres',
    group: 'postgres',
  };
}
