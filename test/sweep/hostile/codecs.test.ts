/** Hostile repository: compressed and encrypted streams, by each library that reads them. */
import { afterAll, beforeAll, it } from 'vitest';
import { isBackstopError } from '../../../src/base/error.ts';
import { bufferPool } from '../../../src/codec/buffer-pool.ts';
import { openCodecs, type StepSpec } from '../../../src/codec/codecs.ts';
import { lz4BufferSize, openUnlz4 } from '../../../src/codec/lz4.ts';
import { type Lz4Library, loadLz4 } from '../../../src/codec/lz4-library.ts';
import { nodeCodecs } from '../../../src/codec/node-zlib.ts';
import { openPipeline, prepareSteps } from '../../../src/codec/pipeline.ts';
import type { Step } from '../../../src/codec/step.ts';
import { openUnzstd } from '../../../src/codec/zstd.ts';
import { loadZstd, type ZstdEngine, type ZstdLibrary } from '../../../src/codec/zstd-library.ts';
import { Sweep } from '../../support/sweep/sweep.ts';
import { type ByteOptions, changedBytes } from './bytes.ts';
import { Fuzz, must } from './fuzz.ts';
import { linkedFrame } from './linked-frame.ts';
import { Watchdog } from './watchdog.ts';

const sweep = new Sweep('hostile');
const codecs = openCodecs();
const lz4: Lz4Library[] = [];
const zstd: ZstdLibrary[] = [];
let watchdog: Watchdog;

beforeAll(async () => {
  watchdog = new Watchdog();
  for (const type of ['gz', 'lz4', 'zst', 'bz2'] as const) {
    await prepareSteps([{ step: 'decompress', type, raw: false } as const], codecs);
  }
  lz4.push(await loadLz4(true), await loadLz4(false));
  const node = nodeCodecs(bufferPool(64 * 1024));
  for (const engine of ['node', 'zstd-napi', 'portable'] satisfies ZstdEngine[]) {
    const library = await loadZstd(node, engine, 3000).catch(() => undefined);
    if (library !== undefined) zstd.push(library);
  }
});
afterAll(async () => {
  await watchdog.close();
  sweep.report('codecs');
});

/** No manifest says that a file has more. */
const most = 1024 * 1024;

/** What came out, or the error. */
type Outcome = Buffer | { readonly error: unknown };

/** Decodes in pieces of a size, up to the limit. */
function outcomeOf(step: Step, input: Buffer, piece: number): Outcome {
  const parts: Buffer[] = [];
  let size = 0;
  const limited = codecs.limit.open({ step: 'limit', max: most });
  const emit = (chunk: Uint8Array) =>
    limited.push(chunk, plain => {
      size += plain.length;
      parts.push(Buffer.from(plain));
    });
  try {
    for (let at = 0; at < input.length; at += piece) {
      // a buffer of its own that is spoiled afterwards, as those of files are
      const part = Buffer.from(input.subarray(at, at + piece));
      step.push(part, emit);
      part.fill(0xee);
    }
    step.end(emit);
    must(size <= most, 'the limit holds');
    return Buffer.concat(parts);
  } catch (error) {
    return { error };
  } finally {
    step.close?.();
  }
}

/**
 * All of them read the same, whole and in pieces, or all refuse.
 * @param lenient `beyond`: what the first refuses others may read, as they like (the older liblz4 copies from offset 0); `all`: and
 *   refuse what it reads (libzstd looks at more of a frame that is there as a whole, the decoder in JavaScript at less). Content has
 *   checksums of its own.
 * @throws the error of one
 */
function agree(input: Buffer, decoders: readonly Decoder[], lenient?: 'beyond' | 'all'): void {
  const read: { readonly plain: Buffer; readonly name: string }[] = [];
  const errors: { readonly error: unknown; readonly name: string }[] = [];
  for (const { name, open } of decoders) {
    for (const piece of [input.length + 1, 1 + ((input.length * 7919) % Math.max(3, input.length))]) {
      // byte by byte is slow in a long one
      if (input.length > 20_000 && piece < 100) continue;
      const outcome = outcomeOf(open(), input, piece);
      if (Buffer.isBuffer(outcome)) read.push({ plain: outcome, name });
      else if (isBackstopError(outcome.error)) errors.push({ error: outcome.error, name });
      else throw outcome.error;
    }
  }
  // what the strictest refuses is corrupt: what another makes of it may be anything
  const first = lenient !== undefined ? read.find(({ name }) => name === decoders[0]?.name) : read[0];
  const [refused] = errors;
  if (lenient !== undefined && first === undefined && refused !== undefined) throw refused.error;
  for (const { plain, name } of read) must(plain.equals(first?.plain ?? plain), `${name} and ${first?.name} differ`);
  if (first !== undefined && refused !== undefined)
    must(lenient === 'all', `${refused.name} refuses what ${first.name} reads`);
  if (refused !== undefined) throw refused.error;
}

interface Decoder {
  readonly name: string;
  readonly open: () => Step;
}

const plain = (): Buffer[] => [
  Buffer.alloc(0),
  Buffer.from('a'),
  Buffer.from('The quick brown fox jumps over the lazy dog. '.repeat(40)),
  Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * i * 31) & 0xff)),
  Buffer.alloc(70_000, 'ab'),
];

/** What our own side makes of contents. */
function encoded(spec: readonly StepSpec[], contents = plain()): Buffer[] {
  return contents.map(content => {
    const parts: Buffer[] = [];
    const pipeline = openPipeline(spec, codecs, chunk => parts.push(Buffer.from(chunk)));
    pipeline.push(content);
    pipeline.end();
    pipeline.close();
    return Buffer.concat(parts);
  });
}

const compressed = (type: 'gz' | 'lz4' | 'zst' | 'bz2', raw: boolean): Buffer[] =>
  encoded([{ step: 'compress', type, level: 1, raw }]);

/** A small file that gives a gigabyte. */
function bomb(type: 'gz' | 'lz4' | 'zst' | 'bz2'): Buffer {
  return (
    encoded([{ step: 'compress', type, level: 9, raw: false }], [Buffer.alloc(48 * 1024 * 1024)])[0] ?? Buffer.alloc(0)
  );
}

async function fuzzCodec(
  name: string,
  seeds: readonly Buffer[],
  decoders: () => readonly Decoder[],
  cases: readonly [number, number],
  options: ByteOptions = {},
): Promise<void> {
  const lenience = name.startsWith('zst') ? 'all' : name.startsWith('lz4') ? 'beyond' : undefined;
  await new Fuzz(sweep, watchdog).run({
    name,
    inputs: changedBytes(seeds, options),
    read: input => agree(input, decoders(), lenience),
    kinds: ['format', 'crypto'],
    cases,
    // libraries take the room of their windows once
    megabytes: 400,
    // the decoder in JavaScript, where no library loads, moves its window for each block, and may have to be given up
    ...(name.startsWith('zst') ? { seconds: 15 } : {}),
  });
}

const own = (type: 'gz' | 'lz4' | 'zst' | 'bz2', raw: boolean) => () => [
  { name: type, open: () => codecs.decompress.open({ step: 'decompress', type, raw }) },
];

const hour = 3_600_000;

it(
  'gz',
  async () => {
    const tokens = [
      Buffer.from([0x1f, 0x8b, 8, 0x1f]),
      Buffer.from([3, 0]),
      Buffer.from([0, 0, 0, 0xff, 0xff]),
      Buffer.from([1, 0, 0, 0xff, 0xff]),
    ];
    await fuzzCodec('gz', compressed('gz', false), own('gz', false), [800, 60_000], { tokens });
    await fuzzCodec('gz, raw', compressed('gz', true), own('gz', true), [500, 40_000], { tokens });
    await fuzzCodec('gz, bombs', [bomb('gz')], own('gz', false), [15, 1000], { tokens });
  },
  hour,
);

it(
  'lz4 by both libraries',
  async () => {
    const both = () =>
      lz4
        .map((library, index) => ({
          name: `lz4 ${index === 0 ? 'compiled' : 'portable'}`,
          open: () => openUnlz4(library, bufferPool(lz4BufferSize)),
        }))
        .reverse();
    const tokens = [
      Buffer.from([4, 0x22, 0x4d, 0x18]),
      Buffer.from([0x50, 0x2a, 0x4d, 0x18]),
      Buffer.from([1, 0, 0, 0, 0]),
      Buffer.alloc(4),
    ];
    const linked = [true, false].flatMap(isChecked =>
      plain().map(content => linkedFrame(lz4[0] as Lz4Library, content, isChecked)),
    );
    await fuzzCodec('lz4', [...compressed('lz4', false), ...compressed('lz4', true)], both, [800, 60_000], { tokens });
    await fuzzCodec('lz4, linked blocks', linked, both, [800, 60_000], { tokens });
    await fuzzCodec('lz4, bombs', [bomb('lz4').subarray(0, 150_000)], both, [15, 1000], { tokens });
  },
  hour,
);

it(
  'zst by every library',
  async () => {
    const all = () => zstd.map(library => ({ name: `zst ${library.engine}`, open: () => openUnzstd(library) }));
    const tokens = [
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
      Buffer.from([0x50, 0x2a, 0x4d, 0x18]),
      Buffer.from([3, 0, 0]),
      Buffer.from([0x60, 0xff, 0xff]),
    ];
    await fuzzCodec('zst', compressed('zst', false), all, [800, 60_000], { tokens });
    await fuzzCodec('zst, bombs', [bomb('zst')], all, [15, 1000], { tokens });
  },
  hour,
);

it(
  'bz2',
  async () => {
    const tokens = [
      Buffer.from('BZh9'),
      Buffer.from([0x31, 0x41, 0x59, 0x26, 0x53, 0x59]),
      Buffer.from([0x17, 0x72, 0x45, 0x38, 0x50, 0x90]),
    ];
    await fuzzCodec('bz2', compressed('bz2', false), own('bz2', false), [300, 20_000], { tokens });
    await fuzzCodec('bz2, bombs', [bomb('bz2')], own('bz2', false), [8, 400], { tokens });
  },
  hour,
);

it(
  'ciphers',
  async () => {
    const passphrase = 'x';
    for (const raw of [false, true]) {
      const seeds = encoded([{ step: 'encrypt', passphrase, raw }]);
      const name = `cipher${raw ? ', raw' : ''}`;
      await fuzzCodec(
        name,
        seeds,
        () => [{ name, open: () => codecs.decrypt.open({ step: 'decrypt', passphrase, raw }) }],
        [500, 40_000],
        {
          tokens: ['Salted__'],
        },
      );
    }
  },
  hour,
);
