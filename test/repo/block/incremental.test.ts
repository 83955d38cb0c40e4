/** Backups of one file, generation upon generation, against a model that keeps the content of each. */
import { describe, expect, it } from 'vitest';
import { type Codecs, openCodecs, type StepSpec } from '../../../src/codec/codecs.ts';
import { openPipeline, prepareSteps } from '../../../src/codec/pipeline.ts';
import { loadXxh128 } from '../../../src/codec/xxhash.ts';
import {
  type BlockIncrementalResult,
  type BlockIncrementalSpec,
  blockIncrementalKind,
} from '../../../src/repo/block/incremental.ts';
import { type BlockItem, decodeBlockMap, encodeBlockMap } from '../../../src/repo/block/map.ts';
import { planBlockReads } from '../../../src/repo/block/plan.ts';

const blockSize = 64;
const checksumSize = 6;
const hash = await loadXxh128();

/** Numbers below 1 that are the same in every run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

interface Stored extends BlockIncrementalResult {
  readonly bytes: Buffer;
}

interface How {
  readonly reference: number;
  readonly bundleId: number;
  readonly offset: number;
  readonly superBlockSize: number;
  readonly superBlockSteps?: readonly StepSpec[];
}

/** @param cut how many bytes the next push takes */
function store(
  codecs: Codecs,
  content: Uint8Array,
  prior: readonly BlockItem[] | undefined,
  how: How,
  cut: () => number,
): Stored {
  const spec: BlockIncrementalSpec = {
    step: 'block-incremental',
    id: 'blocks',
    blockSize,
    checksumSize,
    superBlockSteps: [],
    mapSteps: [],
    ...how,
  };
  const parts: Buffer[] = [];
  const kinds = { 'block-incremental': blockIncrementalKind(codecs, hash, prior) };
  const pipeline = openPipeline<BlockIncrementalSpec>([spec], kinds, chunk => parts.push(Buffer.from(chunk)));
  for (let at = 0; at < content.length; ) {
    // what is pushed is the caller's again after the call
    const chunk = Uint8Array.from(content.subarray(at, at + Math.max(1, cut())));
    pipeline.push(chunk);
    at += chunk.length;
    chunk.fill(0xee);
  }
  pipeline.end();
  const result = pipeline.results().blocks as BlockIncrementalResult;
  pipeline.close();
  return { ...result, bytes: Buffer.concat(parts) };
}

/** Changes some blocks, and sometimes the size. */
function change(content: Buffer, random: () => number): Buffer {
  let next = Buffer.from(content);
  const kind = random();
  if (kind < 0.2) next = next.subarray(0, Math.floor(random() * next.length));
  else if (kind < 0.5)
    next = Buffer.concat([next, Buffer.alloc(Math.floor(random() * 12 * blockSize), random() * 256)]);
  if (kind > 0.95) return next;
  const rate = random() * random();
  for (let at = 0; at < next.length; at += blockSize) {
    if (random() < rate) next[Math.min(next.length - 1, at + Math.floor(random() * blockSize))] = random() * 256;
  }
  return next;
}

describe('generations of a file', () => {
  const codecs = openCodecs();

  it('come back whole from the newest map, and every map is read as it was written', () => {
    let kept = 0;
    let maps = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const random = randomOf(seed);
      const isBundled = random() < 0.5;
      let content: Buffer = Buffer.from(
        Array.from({ length: Math.floor(random() * 40 * blockSize) }, () => random() * 256),
      );
      let prior: BlockItem[] | undefined;
      const backups: Buffer[] = [];
      for (let reference = 0; reference < 8; reference++) {
        if (reference > 0) content = change(content, random);
        const offset = isBundled ? Math.floor(random() * 500) : 0;
        const how = {
          reference,
          bundleId: isBundled ? 1 + Math.floor(random() * 3) : 0,
          offset,
          superBlockSize: blockSize * (1 + Math.floor(random() * 6)),
        };
        const stored = store(codecs, content, prior, how, () => Math.floor(random() * 300));
        backups.push(Buffer.concat([Buffer.alloc(offset), stored.bytes]));
        if (!stored.stored) {
          kept++;
          expect(stored.bytes).toHaveLength(0);
        } else if (content.length > 0) {
          maps++;
          const map = stored.bytes.subarray(stored.bytes.length - stored.mapSize);
          const items = decodeBlockMap(map, blockSize, checksumSize);
          expect(Buffer.from(encodeBlockMap(items, blockSize)).equals(map), `seed ${seed}/${reference}`).toBe(true);
          prior = items;
        } else {
          prior = undefined;
        }
        expect(restore(prior ?? [], backups, content.length).equals(content), `seed ${seed}/${reference}`).toBe(true);
      }
    }
    // both kinds of outcome have been seen
    expect(kept).toBeGreaterThan(20);
    expect(maps).toBeGreaterThan(500);
  });

  it('give the same bytes however the content is cut', async () => {
    const steps: StepSpec[] = [{ step: 'compress', type: 'zst', level: 3, raw: true }];
    await prepareSteps(steps, codecs);
    const random = randomOf(7);
    const content = Buffer.from(Array.from({ length: 50 * blockSize + 17 }, () => random() * 256));
    const how = { reference: 0, bundleId: 0, offset: 0, superBlockSize: 4 * blockSize, superBlockSteps: steps };
    const whole = store(codecs, content, undefined, how, () => content.length);
    expect(whole.mapSize).toBeGreaterThan(51 * checksumSize);
    for (const size of [1, 7, blockSize - 1, blockSize, blockSize + 1, 5 * blockSize, 777]) {
      expect(store(codecs, content, undefined, how, () => size)).toEqual(whole);
    }
    expect(store(codecs, content, undefined, how, () => Math.floor(random() * 200))).toEqual(whole);
  });

  it('store only what has changed', () => {
    const content = Buffer.alloc(10 * blockSize);
    for (let at = 0; at < 10; at++) content.fill(at + 1, at * blockSize, (at + 1) * blockSize);
    const how = { reference: 0, bundleId: 0, offset: 0, superBlockSize: 4 * blockSize };
    const first = store(codecs, content, undefined, how, () => 999);
    const map = decodeBlockMap(first.bytes.subarray(first.bytes.length - first.mapSize), blockSize, checksumSize);
    expect(store(codecs, content, map, { ...how, reference: 1 }, () => 999)).toMatchObject({ stored: false });

    const shorter = store(codecs, content.subarray(0, 9 * blockSize), map, { ...how, reference: 1 }, () => 999);
    expect(shorter.stored).toBe(true);
    expect(shorter.bytes).toHaveLength(shorter.mapSize);

    content[3 * blockSize] = 99;
    const second = store(codecs, content, map, { ...how, reference: 1 }, () => 999);
    expect(second.bytes.length - second.mapSize).toBe(blockSize);
    expect(second.bytes.subarray(0, blockSize)).toEqual(content.subarray(3 * blockSize, 4 * blockSize));
  });
});

/** Puts a file together from backups that are neither compressed nor encrypted. */
function restore(items: readonly BlockItem[], backups: readonly Buffer[], size: number): Buffer {
  const file = Buffer.alloc(size);
  let wanted = 0;
  for (const read of planBlockReads(items, () => true)) {
    const backup = backups[read.reference] ?? Buffer.alloc(0);
    const plain = backup.subarray(read.offset, read.offset + read.size);
    expect(plain).toHaveLength(read.superSize);
    for (const { block, fileBlock } of read.blocks) {
      wanted++;
      plain.copy(file, fileBlock * blockSize, block * blockSize, (block + 1) * blockSize);
    }
  }
  expect(wanted).toBe(Math.ceil(size / blockSize));
  return file;
}
