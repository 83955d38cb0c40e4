import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { transformBytes } from '../../src/codec/pipeline.ts';
import {
  PageChecker,
  type PageChecksumResult,
  pageChecksumKind,
  type RereadPage,
} from '../../src/postgres/page-checksum.ts';
import { run } from '../contract/codec.ts';
import { TestCluster } from '../support/cluster.ts';
import { plainChecksum } from './forge.ts';

const checker = new PageChecker();

/** A page of anything with the checksum that it ought to have. */
function goodPage(size: number, block: number, seed = block): Buffer {
  const page = Buffer.from(Array.from({ length: size }, (_, index) => (index * 7 + seed * 31 + (index >> 5)) & 0xff));
  page.writeUInt16LE(0x1001, 14);
  page.writeUInt16LE(plainChecksum(page, block), 8);
  return page;
}

interface Settings {
  readonly pageSize?: number;
  readonly segment?: number;
  readonly headerCheck?: boolean;
  readonly reread?: RereadPage;
}

function check(file: Buffer, settings: Settings = {}, cuts: readonly number[] = []): PageChecksumResult {
  const { pageSize = 8192, segment = 0, headerCheck = true } = settings;
  const step = pageChecksumKind(checker, settings.reread).open({
    step: 'page-checksum',
    id: 'pages',
    pageSize,
    segment,
    headerCheck,
  });
  expect(run(step, file, cuts).equals(file)).toBe(true);
  return step.result?.() as PageChecksumResult;
}

const sound: PageChecksumResult = { valid: true, align: true, errors: [] };
const file = (...blocks: number[]): Buffer => Buffer.concat(blocks.map(block => goodPage(8192, block)));

describe('page checksum', () => {
  it('is the one of the known page', () => {
    const page = Buffer.from(Array.from({ length: 8192 }, (_, index) => index % 256));
    const known: [number, number][] = [
      [0, 0xe706],
      [1, 0xe707],
      [7, 0xe70d],
      [131072, 0xe708],
    ];
    for (const [block, checksum] of known) {
      expect(checker.checksum(page, block)).toBe(checksum);
      expect(plainChecksum(page, block)).toBe(checksum);
    }
  });

  it('is that of the plain algorithm for every page size and block number', () => {
    const sizes = fc.constantFrom(1024, 2048, 4096, 8192, 16384, 32768);
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer(), (size, block, seed) => {
        const page = goodPage(size, block, seed);
        expect(checker.checksum(page, block)).toBe(plainChecksum(page, block));
      }),
      { numRuns: 60 },
    );
  });

  it('the compiled code is that of the text', async () => {
    const folder = join(import.meta.dirname, '../../src/postgres');
    // the build script is plain JavaScript: it is not part of the types
    const { compilePageChecksum } = (await import(join(folder, 'page-checksum-build.mjs'))) as {
      compilePageChecksum(text: string): Promise<string>;
    };
    const compiled = readFileSync(join(folder, 'page-checksum-wasm.ts'), 'utf8');
    expect(compiled).toBe(await compilePageChecksum(readFileSync(join(folder, 'page-checksum.wat'), 'utf8')));
  });
});

describe('page check', () => {
  it('passes good and new pages, and no pages at all', () => {
    expect(check(file(0, 1, 2))).toEqual(sound);
    expect(check(Buffer.concat([file(0), Buffer.alloc(8192), file(2)]))).toEqual(sound);
    expect(check(Buffer.alloc(0))).toEqual(sound);
    for (const pageSize of [1024, 2048, 4096, 16384, 32768]) {
      expect(check(Buffer.concat([0, 1, 2].map(block => goodPage(pageSize, block))), { pageSize })).toEqual(sound);
    }
  });

  it('names wrong pages as ranges', () => {
    const pages = file(...Array(30).keys());
    for (const wrong of [2, 3, 4, 10, 21]) pages[wrong * 8192 + 5000] = (pages[wrong * 8192 + 5000] ?? 0) ^ 4;
    expect(check(pages)).toEqual({ valid: false, align: true, errors: [[2, 4], 10, 21] });
  });

  it('sees a page that lies at the wrong place', () => {
    expect(check(file(0, 2, 1)).errors).toEqual([[1, 2]]);
  });

  it('counts from the segment of the relation', () => {
    expect(check(file(262144, 262145), { segment: 2 })).toEqual(sound);
    expect(check(file(0, 262145), { segment: 2 }).errors).toEqual([262144]);
    const block = (2 ** 30 / 1024) * 3;
    const pages = Buffer.concat([goodPage(1024, block), goodPage(1024, block + 1)]);
    expect(check(pages, { pageSize: 1024, segment: 3 })).toEqual(sound);
  });

  it('takes a page for new by pd_upper, or by pd_checksum when the header is not to be checked', () => {
    const upperZero = goodPage(8192, 0);
    upperZero.writeUInt16LE(0, 14);
    upperZero.writeUInt16LE(plainChecksum(upperZero, 0), 8);
    expect(check(upperZero, { headerCheck: true }).errors).toEqual([0]);
    expect(check(upperZero, { headerCheck: false })).toEqual(sound);
    const sumZero = goodPage(8192, 0);
    sumZero.writeUInt16LE(0, 8);
    expect(check(sumZero, { headerCheck: true }).errors).toEqual([0]);
    expect(check(sumZero, { headerCheck: false }).errors).toEqual([0]);
  });

  it('sees one bit in a page that ought to be zero, wherever it is', () => {
    for (const at of [0, 8, 15, 16, 31, 32, 4095, 8191]) {
      const page = Buffer.alloc(8192);
      page[at] = 1;
      expect(check(page).valid, `byte ${at}`).toBe(false);
    }
  });

  it('gives no list for a file that ends inside a page', () => {
    for (const rest of [1, 511, 512, 8191]) {
      const pages = Buffer.concat([file(0), Buffer.alloc(8192, 1), file(2).subarray(0, rest)]);
      expect(check(pages)).toEqual({ valid: false, align: false, errors: [] });
    }
    expect(check(Buffer.alloc(100)).align).toBe(false);
  });

  it('sees every altered bit of a page', () => {
    const page = goodPage(8192, 0);
    for (let bit = 0; bit < page.length * 8; bit += 37) {
      const altered = Buffer.from(page);
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(check(altered).errors, `bit ${bit}`).toEqual([0]);
    }
  });

  it('is the same however the file is cut', () => {
    const pages = file(...Array(80).keys());
    for (const wrong of [0, 33, 34, 79]) pages.fill(7, wrong * 8192 + 100, wrong * 8192 + 200);
    const whole = check(pages);
    expect(whole.errors).toEqual([0, [33, 34], 79]);
    fc.assert(
      fc.property(fc.array(fc.nat(pages.length), { maxLength: 30 }), cuts => {
        expect(check(pages, {}, cuts)).toEqual(whole);
      }),
      { numRuns: 40 },
    );
    expect(
      check(
        pages,
        {},
        Array.from({ length: 640 }, (_, index) => index * 1024 + 1),
      ),
    ).toEqual(whole);
  });

  it('reads a wrong page again once, and believes one that changed or is gone', () => {
    const pages = file(0, 1, 2, 3);
    for (const wrong of [1, 2, 3]) pages[wrong * 8192 + 4000] = (pages[wrong * 8192 + 4000] ?? 0) ^ 1;
    const asked: number[] = [];
    const reread: RereadPage = (index, into) => {
      asked.push(index);
      if (index === 3) return false;
      pages.copy(into, 0, index * 8192, (index + 1) * 8192);
      // the server went on writing page 1
      if (index === 1) into[7000] = (into[7000] ?? 0) ^ 1;
      return true;
    };
    expect(check(pages, { reread })).toEqual({ valid: false, align: true, errors: [2] });
    expect(asked).toEqual([1, 2, 3]);
    asked.length = 0;
    // pages of a later segment are asked for by their place in the file
    check(pages, { reread, segment: 1 }, [9000]);
    expect(asked).toEqual([0, 1, 2, 3]);
  });

  it('is a step of pipelines', () => {
    const kinds = { 'page-checksum': pageChecksumKind(checker) };
    const { bytes, results } = transformBytes(
      [{ step: 'page-checksum', id: 'pages', pageSize: 8192, segment: 0, headerCheck: true } as const],
      kinds,
      file(0, 1),
    );
    expect(bytes.length).toBe(2 * 8192);
    expect(JSON.parse(JSON.stringify(results))).toEqual({ pages: sound });
  });
});

describe('the pages of a real cluster', () => {
  let cluster: TestCluster;
  let relations: Buffer[];

  beforeAll(async () => {
    cluster = await TestCluster.create({ checksums: true });
    const base = join(cluster.dataDirectory, 'base');
    const folders = [...readdirSync(base).map(name => join(base, name)), join(cluster.dataDirectory, 'global')];
    relations = folders.flatMap(folder =>
      readdirSync(folder)
        .filter(name => /^\d+(_(fsm|vm|init))?$/.test(name))
        .map(name => readFileSync(join(folder, name))),
    );
  });
  afterAll(async () => {
    await cluster.dispose();
  });

  it('are all good', () => {
    expect(relations.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThan(10_000_000);
    for (const relation of relations) {
      expect(check(relation, { headerCheck: true })).toEqual(sound);
      expect(check(relation, { headerCheck: false })).toEqual(sound);
    }
  });

  it('are bad once a byte is altered', () => {
    let seen = 0;
    for (const [index, relation] of relations.entries()) {
      if (relation.length === 0) continue;
      const altered = Buffer.from(relation);
      const at = (index * 7919) % relation.length;
      altered[at] = (altered[at] ?? 0) ^ 0x10;
      expect(check(altered).errors).toEqual([Math.floor(at / 8192)]);
      seen++;
    }
    expect(seen).toBeGreaterThan(100);
  });
});
