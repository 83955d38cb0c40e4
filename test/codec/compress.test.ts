import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { bufferPool } from '../../src/codec/buffer-pool.ts';
import { type Codecs, openCodecs, type StepSpec } from '../../src/codec/codecs.ts';
import { type CompressType, compressLevels } from '../../src/codec/compress.ts';
import { lz4BufferSize, openLz4, openUnlz4 } from '../../src/codec/lz4.ts';
import { loadLz4 } from '../../src/codec/lz4-library.ts';
import { nodeCodecs } from '../../src/codec/node-zlib.ts';
import { prepareSteps, transformBytes } from '../../src/codec/pipeline.ts';
import type { Step } from '../../src/codec/step.ts';
import { openUnzstd, openZstd } from '../../src/codec/zstd.ts';
import { loadZstd, type ZstdEngine, type ZstdLibrary } from '../../src/codec/zstd-library.ts';
import { codecContract, pageLike, run } from '../contract/codec.ts';

const codecs: Codecs = openCodecs();
const types: readonly CompressType[] = ['gz', 'lz4', 'zst', 'bz2'];
await prepareSteps(
  types.map(type => ({ step: 'compress', type, level: compressLevels[type].default, raw: false }) as const),
  codecs,
);

const compress = (type: CompressType, level: number, raw = false): Step =>
  codecs.compress.open({ step: 'compress', type, level, raw });
const decompress = (type: CompressType, raw = false): Step => codecs.decompress.open({ step: 'decompress', type, raw });

for (const type of types) {
  for (const raw of [false, true]) {
    codecContract(`${type}${raw ? ' raw' : ''}`, {
      encode: () => compress(type, compressLevels[type].default, raw),
      decode: () => decompress(type, raw),
      damage: 'format',
      detectsChange: type === 'gz' || type === 'bz2' || (type === 'lz4' && !raw),
      trailing: type === 'gz' || type === 'bz2' ? 'ignored' : 'refused',
    });
  }
}

const node = nodeCodecs(bufferPool(64 * 1024));
const engines: ZstdLibrary[] = [];
for (const engine of ['node', 'zstd-napi', 'portable'] satisfies ZstdEngine[]) {
  const library = await loadZstd(node, engine).catch(() => undefined);
  if (library !== undefined) engines.push(library);
}
for (const library of engines) {
  codecContract(
    `zst by ${library.engine}`,
    {
      encode: () => openZstd(3, library),
      decode: () => openUnzstd(library),
      damage: 'format',
      detectsChange: false,
      trailing: 'refused',
    },
    15,
  );
}

const portable = await loadLz4(false);
const lz4Buffers = bufferPool(lz4BufferSize);
codecContract(
  'lz4 without the addon',
  {
    encode: () => openLz4(1, false, portable, lz4Buffers),
    decode: () => openUnlz4(portable),
    damage: 'format',
    detectsChange: true,
    trailing: 'refused',
  },
  15,
);

/** Makes bytes that cannot be compressed, for stored blocks. */
function noise(size: number): Buffer {
  return Buffer.concat(
    Array.from({ length: Math.ceil(size / 20) }, (_, n) => createHash('sha1').update(String(n)).digest()),
  ).subarray(0, size);
}

describe('every level', () => {
  const plain = Buffer.concat([pageLike(900_000), noise(300_000), Buffer.alloc(700_000)]);
  for (const type of types) {
    const { min, max } = compressLevels[type];
    for (let level = min; level <= max; level++) {
      // the highest ones of zst take seconds each to set up their tables
      if (level === 17 || level === 18 || level === 20 || level === 21) continue;
      it(`${type} ${level} restores`, () => {
        expect(run(decompress(type), run(compress(type, level), plain, [5000])).equals(plain)).toBe(true);
      });
    }
    it(`${type} has no other levels`, () => {
      expect(() => compress(type, min - 1)).toThrow(/has no level/);
      expect(() => compress(type, max + 1)).toThrow(/has no level/);
      expect(() => compress(type, 1.5)).toThrow(/has no level/);
    });
  }

  it('engines of zst read each other at the edges of the range', () => {
    const plain = Buffer.concat([pageLike(300_000), noise(150_000)]);
    for (const writer of engines) {
      for (const level of [-7, 19]) {
        const stored = run(openZstd(level, writer), plain, [70_000, 200_000]);
        for (const reader of engines) {
          expect(run(openUnzstd(reader), stored, [1, 100_000]).equals(plain), `${writer.engine} ${reader.engine}`).toBe(
            true,
          );
        }
      }
    }
  });
});

describe('bytes as the format demands them', () => {
  const hex = (type: CompressType, raw: boolean, plain: Buffer): string =>
    run(compress(type, compressLevels[type].default, raw), plain).toString('hex');
  const none = Buffer.alloc(0);
  const line = Buffer.from('15\n');

  it('gz', () => {
    expect(hex('gz', false, none)).toBe('1f8b080000000000000303000000000000000000');
    expect(hex('gz', false, line)).toBe('1f8b08000000000000033334e502001d7d0c9803000000');
    expect(hex('gz', true, line).slice(0, 4)).toBe('789c');
  });

  it('gz searches less at its default level, where that finds nearly as much', () => {
    const rows = Array.from({ length: 40_000 }, (_, at) => `${at}\t${(at * 7919) % 1000}\tname of ${at % 97}\n`);
    const inputs = [Buffer.from(rows.join('')), pageLike(4_000_000), Buffer.alloc(1_000_000), randomBytes(1_000_000)];
    const searches = inputs.map(plain => {
      const stored = run(compress('gz', 6), plain);
      expect(gunzipSync(stored).equals(plain)).toBe(true);
      expect(stored.length).toBeLessThan(gzipSync(plain, { level: 6, memLevel: 9 }).length * 1.015);
      expect(run(compress('gz', -1), plain).equals(stored)).toBe(true);
      return [5, 6].filter(level => gzipSync(plain, { level, memLevel: 9 }).equals(stored));
    });
    expect(searches).toEqual([[5], [6], [5, 6], [5, 6]]);
  });

  it('bz2', () => {
    expect(hex('bz2', false, none)).toBe('425a683917724538509000000000');
  });

  it('reads what pgBackRest wrote', () => {
    const written: readonly [CompressType, boolean, string, Buffer][] = [
      ['lz4', false, '04224d1844405e00000000055dcc02', none],
      ['lz4', false, '04224d1844405e0300008031350a0000000092841dab', line],
      ['lz4', true, '04224d184040c00300008031350a00000000', line],
      ['zst', false, '28b52ffd2000010000', none],
    ];
    for (const [type, raw, stored, plain] of written) {
      expect(run(decompress(type, raw), Buffer.from(stored, 'hex')).equals(plain)).toBe(true);
    }
  });

  it('takes the first gz member and the first bz2 stream only', () => {
    for (const type of ['gz', 'bz2'] as const) {
      const two = Buffer.concat([run(compress(type, 6), line), run(compress(type, 6), Buffer.from('second'))]);
      expect(run(decompress(type), two).toString()).toBe('15\n');
    }
  });

  it('takes several lz4 and zst frames, and skippable ones', () => {
    const skippable = Buffer.from('5a2a4d1803000000616263', 'hex');
    for (const type of ['lz4', 'zst'] as const) {
      const [one, two] = [run(compress(type, 1), pageLike(100_000)), run(compress(type, 1), line)];
      const stored = Buffer.concat([one, skippable, two]);
      const expected = Buffer.concat([pageLike(100_000), line]);
      for (const cuts of [[], [one.length], [one.length + 1, one.length + 9, one.length + 13]]) {
        expect(run(decompress(type), stored, cuts).equals(expected)).toBe(true);
      }
    }
  });

  it('passes over every part of a gz header', () => {
    const deflated = run(compress('gz', 6), line).subarray(10);
    const header = Buffer.from('1f8b081e00000000000303006162636e616d650063006162', 'hex');
    const stored = Buffer.concat([header, deflated]);
    const every = Array.from(stored.keys());
    expect(run(decompress('gz'), stored).toString()).toBe('15\n');
    expect(run(decompress('gz'), stored, every).toString()).toBe('15\n');
  });
});

describe('hostile input', () => {
  it('a zst window above 128 MiB is refused before any memory is taken', () => {
    for (const library of engines) {
      expect(() => run(openUnzstd(library), Buffer.from('28b52ffd00f8010000', 'hex'))).toThrow(/window/);
    }
  });

  it('a zst block of which a decoder never comes back is given up', async () => {
    const stored = Buffer.from(
      '28b52ffd00480d040002881d20f0eb0018312420c4e0620a312421c490843062484088210921862484185c4c01c3141e909d67906aa71e' +
        'fc45ab191a786591d7eec2db551eb38547946b233e7c55af09987823a197e6c4d3941e928d279068af5efc44a3391a7961b157eec6cb' +
        'd51eb1950794692b7e7c54a7299879278117e6c0010100809a0d7c2305',
      'hex',
    );
    const impatient = await loadZstd(nodeCodecs(bufferPool(65536)), 'portable', 300);
    for (const library of [...engines.filter(({ engine }) => engine !== 'portable'), impatient]) {
      for (const cuts of [[], [1, 40, 137]]) {
        expect(() => run(openUnzstd(library), stored, cuts), library.engine).toThrow(/^zst data is corrupt: /);
      }
    }
  });

  it('a bz2 block that only pretends to begin is found out soon', () => {
    const magic = Buffer.from('314159265359', 'hex');
    const stored = Buffer.concat([Buffer.from('BZh9'), ...Array.from({ length: 50_000 }, () => magic)]);
    const began = performance.now();
    expect(() => run(decompress('bz2'), stored)).toThrow(/bz2 data is corrupt/);
    expect(performance.now() - began).toBeLessThan(2000);
  });

  it('a bz2 block that never ends is given up', () => {
    const stored = Buffer.concat([run(compress('bz2', 9), noise(100_000)).subarray(0, 50_000), noise(4_000_000)]);
    expect(() => run(decompress('bz2'), stored)).toThrow(/bz2 data is corrupt/);
  });

  it('a bomb ends at the limit', () => {
    const size = 64 * 1024 * 1024;
    for (const type of types) {
      const bomb = run(compress(type, 1), Buffer.alloc(size));
      const spec: StepSpec[] = [
        { step: 'decompress', type, raw: false },
        { step: 'limit', max: 1_000_000 },
      ];
      expect(() => transformBytes(spec, codecs, bomb)).toThrow(/larger than the 1000000 bytes/);
      const whole = transformBytes([{ step: 'decompress', type, raw: false } as StepSpec], codecs, bomb);
      expect(whole.bytes.length).toBe(size);
    }
  });
});

describe('with the tools of the system', () => {
  const plain = Buffer.concat([pageLike(3_000_000), noise(500_000), Buffer.alloc(2_000_000)]);
  const tools: Readonly<Record<CompressType, string>> = { gz: 'gzip', lz4: 'lz4', zst: 'zstd', bz2: 'bzip2' };
  for (const type of types) {
    const tool = tools[type];
    const present = spawnSync(tool, ['--version']).error === undefined;
    it.skipIf(!present)(`${tool} reads what we write, and we what it writes`, () => {
      const pipe = (args: string[], input: Buffer): Buffer => {
        const { status, stdout, stderr } = spawnSync(tool, args, { input, maxBuffer: 100_000_000 });
        expect(status, stderr.toString()).toBe(0);
        return stdout;
      };
      for (const level of [1, compressLevels[type].default, 9]) {
        const ours = run(compress(type, level), plain, [1_000_000, 3_333_333]);
        expect(pipe(['-d', '-c'], ours).equals(plain)).toBe(true);
        const theirs = pipe([`-${level}`, '-c'], plain);
        expect(run(decompress(type), theirs, [1_000_000]).equals(plain)).toBe(true);
      }
      if (type === 'lz4') {
        for (const block of ['-BD -B4', '-B4 -BX', '-BD -B7', '-BI -B5 --content-size', '-BD -B4 -9']) {
          const theirs = pipe([...block.split(' '), '-c'], plain);
          for (const library of [portable]) {
            expect(run(openUnlz4(library), theirs, [777, 1_000_000]).equals(plain), block).toBe(true);
          }
          expect(run(decompress(type), theirs).equals(plain), block).toBe(true);
        }
      }
      if (type === 'zst') {
        const theirs = pipe(['-19', '--check', '--long=27', '-c'], plain);
        for (const library of engines) expect(run(openUnzstd(library), theirs, [9999]).equals(plain)).toBe(true);
      }
    });
  }
});

it('libraries are used only after they were prepared', () => {
  const fresh = openCodecs();
  for (const type of ['lz4', 'zst', 'bz2'] as const) {
    expect(() => fresh.compress.open({ step: 'compress', type, level: 1, raw: false })).toThrow(/before prepareSteps/);
  }
});
