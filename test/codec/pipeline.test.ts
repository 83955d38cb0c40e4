import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openCodecs, type StepSpec } from '../../src/codec/codecs.ts';
import {
  countResult,
  hashResult,
  openPipeline,
  prepareSteps,
  type StepKind,
  transformBytes,
} from '../../src/codec/pipeline.ts';
import { pageLike } from '../contract/codec.ts';

const codecs = openCodecs();

/** The steps of a file on its way into an encrypted repository. */
const writing = (type: 'gz' | 'lz4' | 'zst' | 'bz2'): StepSpec[] => [
  { step: 'hash', algorithm: 'sha1', id: 'checksum' },
  { step: 'count', id: 'size' },
  { step: 'compress', type, level: 1, raw: false },
  { step: 'encrypt', passphrase: 'sekret', raw: false },
  { step: 'hash', algorithm: 'sha1', id: 'repo-checksum' },
  { step: 'count', id: 'repo-size' },
];
const reading = (type: 'gz' | 'lz4' | 'zst' | 'bz2', size: number): StepSpec[] => [
  { step: 'decrypt', passphrase: 'sekret', raw: false },
  { step: 'decompress', type, raw: false },
  { step: 'limit', max: size },
  { step: 'hash', algorithm: 'sha1', id: 'checksum' },
  { step: 'count', id: 'size' },
];
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const sha1 = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex');

describe('pipeline', () => {
  it('passes bytes through when it has no steps', () => {
    expect(transformBytes([], codecs, Buffer.from('abc')).bytes.toString()).toBe('abc');
  });

  it('measures what goes in and what comes out, and its inverse restores', async () => {
    for (const type of ['gz', 'lz4', 'zst', 'bz2'] as const) {
      await prepareSteps(writing(type), codecs);
      fc.assert(
        fc.property(fc.nat(200_000), fc.integer(), (size, seed) => {
          const plain = pageLike(size, seed);
          const stored = transformBytes(writing(type), codecs, plain);
          expect(hashResult(stored.results, 'checksum')).toBe(sha1(plain));
          expect(countResult(stored.results, 'size')).toBe(size);
          expect(hashResult(stored.results, 'repo-checksum')).toBe(sha1(stored.bytes));
          expect(countResult(stored.results, 'repo-size')).toBe(stored.bytes.length);
          const restored = transformBytes(reading(type, size), codecs, stored.bytes);
          expect(Buffer.from(restored.bytes).equals(plain)).toBe(true);
          expect(hashResult(restored.results, 'checksum')).toBe(sha1(plain));
        }),
        { numRuns: 10 },
      );
    }
  });

  it('is plain data: the specification and the results survive JSON', async () => {
    const spec = JSON.parse(JSON.stringify(writing('gz'))) as StepSpec[];
    await prepareSteps(spec, codecs);
    const { results } = transformBytes(spec, codecs, Buffer.from('15\n'));
    expect(JSON.parse(JSON.stringify(results))).toEqual(results);
    expect(Object.keys(results)).toEqual(['checksum', 'size', 'repo-checksum', 'repo-size']);
  });

  it('has steps that codec does not know', () => {
    interface ShoutSpec {
      readonly step: 'shout';
      readonly id: string;
    }
    const shout: StepKind<ShoutSpec> = {
      open: () => ({
        push: (chunk, emit) => emit(Buffer.from(Buffer.from(chunk).toString().toUpperCase())),
        end: () => undefined,
        result: () => 'loud',
      }),
    };
    const spec: (StepSpec | ShoutSpec)[] = [
      { step: 'shout', id: 'volume' },
      { step: 'hash', algorithm: 'sha1', id: 'sum' },
    ];
    const { bytes, results } = transformBytes(spec, { ...codecs, shout }, Buffer.from('abc'));
    expect(bytes.toString()).toBe('ABC');
    expect(results).toEqual({ volume: 'loud', sum: sha1(Buffer.from('ABC')) });
  });

  it('refuses a step that nobody knows, also one that every object has', () => {
    for (const step of ['no-such', 'toString', '__proto__']) {
      const spec = [{ step }] as unknown as StepSpec[];
      expect(() => openPipeline(spec, codecs, () => undefined)).toThrow(`there is no step '${step}'`);
    }
  });

  it('closes what it opened when a later step cannot be opened', () => {
    let closed = 0;
    const kinds = {
      ...codecs,
      probe: {
        open: () => ({ push: () => undefined, end: () => undefined, close: () => void closed++ }),
      } satisfies StepKind<{ step: 'probe' }>,
    };
    const spec: (StepSpec | { step: 'probe' })[] = [
      { step: 'probe' },
      { step: 'compress', type: 'gz', level: 77, raw: false },
    ];
    expect(() => openPipeline(spec, kinds, () => undefined)).toThrow(/has no level/);
    expect(closed).toBe(1);
    const pipeline = openPipeline<{ step: 'probe' }>([{ step: 'probe' }], kinds, () => undefined);
    pipeline.close();
    pipeline.close();
    expect(closed).toBe(2);
  });

  it('has results after the end only, and one end', () => {
    const pipeline = openPipeline<StepSpec>([{ step: 'count', id: 'n' }], codecs, () => undefined);
    expect(() => pipeline.results()).toThrow(/no results before/);
    pipeline.end();
    expect(pipeline.results()).toEqual({ n: 0 });
    expect(() => pipeline.end()).toThrow(/already ended/);
    expect(() => hashResult(pipeline.results(), 'n')).toThrow(/has no hash 'n'/);
    expect(() => countResult(pipeline.results(), 'm')).toThrow(/has no count 'm'/);
  });

  it('lets the limit pass exactly and not a byte more', () => {
    const limit = (max: number): StepSpec[] => [{ step: 'limit', max }];
    expect(transformBytes(limit(3), codecs, Buffer.from('abc')).bytes.length).toBe(3);
    expect(() => transformBytes(limit(2), codecs, Buffer.from('abc'))).toThrow(/larger than the 2 bytes/);
  });

  it('needs the same memory for a gigabyte as for a few megabytes', async () => {
    const chunk = pageLike(1024 * 1024);
    for (const type of ['gz', 'lz4', 'zst'] as const) {
      await prepareSteps(writing(type), codecs);
      let out = 0;
      const back = openPipeline(reading(type, Number.MAX_SAFE_INTEGER), codecs, bytes => {
        out += bytes.length;
      });
      const forth = openPipeline(writing(type), codecs, bytes => back.push(bytes));
      const pass = (count: number): { held: number; rss: number } => {
        for (let index = 0; index < count; index++) forth.push(chunk);
        const { rss } = process.memoryUsage();
        // twice: V8 frees the memory of buffers beside the program, and the second collection waits for that of the first
        collectGarbage();
        collectGarbage();
        const { heapUsed, external } = process.memoryUsage();
        return { held: heapUsed + external, rss };
      };
      const megabytes = { gz: 96, lz4: 1024, zst: 256 }[type];
      const before = pass(48);
      const after = pass(megabytes - 48);
      forth.end();
      back.end();
      expect(out).toBe(megabytes * chunk.length);
      expect(hashResult(back.results(), 'checksum')).toBe(hashResult(forth.results(), 'checksum'));
      forth.close();
      back.close();
      // What is still referenced must not grow at all; the process also holds what the collector has not met yet.
      expect(after.held - before.held).toBeLessThan(8 * 1024 * 1024);
      expect(after.rss - before.rss).toBeLessThan(256 * 1024 * 1024);
    }
  }, 60_000);
});
