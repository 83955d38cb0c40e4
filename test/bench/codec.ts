/**
 * Speed of each codec step on one core, in MB of plain bytes a second.
 *
 *     node -e "import('./src/build.mjs').then(({ bundle }) => bundle('test/bench/codec.ts', '.test/codec.cjs'))"
 *     node .test/codec.cjs [a file of pages, such as base/5/16396]
 */
import { readFileSync } from 'node:fs';
import { openCodecs, type StepSpec } from '../../src/codec/codecs.ts';
import { openPipeline, prepareSteps, type StepKinds } from '../../src/codec/pipeline.ts';
import { loadXxh128 } from '../../src/codec/xxhash.ts';
import { PageChecker, type PageChecksumSpec, pageChecksumKind } from '../../src/postgres/page-checksum.ts';
import { pageLike } from '../contract/codec.ts';

type Spec = StepSpec | PageChecksumSpec;

const [path] = process.argv.slice(2);
const plain = path === undefined ? pageLike(64 * 1024 * 1024) : readFileSync(path).subarray(0, 64 * 1024 * 1024);
const kinds: StepKinds<Spec> = { ...openCodecs(), 'page-checksum': pageChecksumKind(new PageChecker()) };

/** Pushes the input through in pieces as the pump does. @returns the output, and seconds */
function time(spec: readonly Spec[], input: Uint8Array, chunk: number): { size: number; seconds: number } {
  let size = 0;
  const began = performance.now();
  const pipeline = openPipeline<Spec>(spec, kinds, bytes => {
    size += bytes.length;
  });
  for (let at = 0; at < input.length; at += chunk) pipeline.push(input.subarray(at, at + chunk));
  pipeline.end();
  pipeline.close();
  return { size, seconds: (performance.now() - began) / 1000 };
}

function report(name: string, bytes: number, run: () => { size: number; seconds: number }): void {
  run();
  const best = [run(), run()].reduce((a, b) => (a.seconds < b.seconds ? a : b));
  const speed = (bytes / best.seconds / 1e6).toFixed(0);
  process.stdout.write(`${name.padEnd(34)} ${speed.padStart(7)} MB/s  ${best.size}\n`);
}

function collect(spec: readonly Spec[]): Buffer {
  const parts: Buffer[] = [];
  const pipeline = openPipeline<Spec>(spec, kinds, bytes => parts.push(Buffer.from(bytes)));
  pipeline.push(plain);
  pipeline.end();
  pipeline.close();
  return Buffer.concat(parts);
}

const megabyte = 1024 * 1024;
const one = (spec: Spec, chunk = megabyte): void => {
  report(`${Object.values(spec).slice(0, 3).join(' ')}`, plain.length, () => time([spec], plain, chunk));
};

async function main(): Promise<void> {
  process.stdout.write(`node ${process.version}, ${plain.length} bytes of ${path ?? 'made-up pages'}\n`);
  one({ step: 'hash', algorithm: 'sha1', id: 'h' });
  for (const chunk of [256 * 1024, 4 * megabyte]) {
    one({ step: 'page-checksum', id: `${chunk}`, pageSize: 8192, segment: 0, headerCheck: true }, chunk);
  }
  const levels = { gz: [1, 6], lz4: [1, 9], zst: [1, 3], bz2: [9] } as const;
  for (const type of ['gz', 'lz4', 'zst', 'bz2'] as const) {
    for (const level of levels[type]) {
      const spec: Spec = { step: 'compress', type, level, raw: false };
      await prepareSteps<Spec>([spec], kinds);
      one(spec);
      const stored = collect([spec]);
      report(`decompress ${type} ${level}`, plain.length, () =>
        time([{ step: 'decompress', type, raw: false }], stored, 256 * 1024),
      );
    }
  }
  const passphrase = 'sekret';
  one({ step: 'encrypt', passphrase, raw: false });
  const encrypted = collect([{ step: 'encrypt', passphrase, raw: false }]);
  report('decrypt', plain.length, () => time([{ step: 'decrypt', passphrase, raw: false }], encrypted, megabyte));
  const xxh128 = await loadXxh128();
  report('xxh3-128 of 8 KiB blocks', plain.length, () => {
    const began = performance.now();
    const into = new Uint8Array(16);
    for (let at = 0; at < plain.length; at += 8192) xxh128(plain.subarray(at, at + 8192), into);
    return { size: 0, seconds: (performance.now() - began) / 1000 };
  });

  // opening and closing: what a small file costs
  const small = plain.subarray(0, 8192);
  for (const type of ['gz', 'lz4', 'zst', 'bz2'] as const) {
    const spec: Spec[] = [
      { step: 'hash', algorithm: 'sha1', id: 'h' },
      { step: 'page-checksum', id: 'p', pageSize: 8192, segment: 0, headerCheck: true },
      { step: 'compress', type, level: type === 'gz' ? 6 : 1, raw: false },
      { step: 'hash', algorithm: 'sha1', id: 'r' },
    ];
    const count = 2000;
    for (const _ of [1, 2]) time(spec, small, 8192);
    const began = performance.now();
    for (let index = 0; index < count; index++) time(spec, small, 8192);
    const each = ((performance.now() - began) * 1000) / count;
    process.stdout.write(`${`8 KiB file, ${type}`.padEnd(34)} ${each.toFixed(0).padStart(7)} us each\n`);
  }
}

main().catch(error => {
  console.error(error);
  process.exitCode = 1;
});
