import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKind } from '../../src/base/error.ts';
import { bufferPool } from '../../src/codec/buffer-pool.ts';
import { openCodecs, type StepSpec } from '../../src/codec/codecs.ts';
import { lz4BufferSize, openLz4, openUnlz4 } from '../../src/codec/lz4.ts';
import { loadLz4 } from '../../src/codec/lz4-library.ts';
import { openPipeline } from '../../src/codec/pipeline.ts';
import { MemorySink, pump } from '../../src/storage/pump.ts';
import type { ByteSource } from '../../src/storage/storage.ts';
import { noise } from '../contract/storage.ts';

/** Gives at most `piece` bytes a time, sometimes after a wait. */
function source(content: Uint8Array, piece: number, waits = false): ByteSource & { closed: boolean } {
  let at = 0;
  return {
    closed: false,
    read(into) {
      const part = content.subarray(at, at + Math.min(piece, into.length));
      into.set(part);
      at += part.length;
      return waits ? Promise.resolve(part.length) : part.length;
    },
    close() {
      this.closed = true;
    },
  };
}

describe('the pump', () => {
  it('moves all bytes in order, whatever the sizes, waiting or not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(5000),
        fc.integer({ min: 1, max: 3000 }),
        fc.integer({ min: 1, max: 3000 }),
        fc.boolean(),
        async (size, piece, buffer, waits) => {
          const content = noise(size);
          const sink = new MemorySink(10_000);
          const open = (emit: (chunk: Uint8Array) => void) => openPipeline<StepSpec>([], openCodecs(), emit);
          await pump(source(content, piece, waits), open, sink, Buffer.alloc(buffer));
          expect(sink.bytes()).toEqual(content);
        },
      ),
    );
  });

  it('a large file is not held by a library that takes memory for each block', async () => {
    const library = await loadLz4(false);
    const megabyte = Buffer.from(noise(1024 * 1024));
    /** Compresses and decompresses so many megabytes. */
    const through = async (megabytes: number): Promise<{ bytes: number; most: number }> => {
      let left = megabytes;
      const measured = { bytes: 0, most: 0 };
      const forth = openLz4(1, false, library, bufferPool(lz4BufferSize));
      const back = openUnlz4(library);
      const pipeline = (emit: (chunk: Uint8Array) => void) => ({
        push: (chunk: Uint8Array) => forth.push(chunk, stored => back.push(stored, emit)),
        end: () => {
          forth.end(stored => back.push(stored, emit));
          back.end(emit);
        },
      });
      const content: ByteSource = {
        read(into) {
          if (left === 0) return 0;
          left--;
          into.set(megabyte);
          return megabyte.length;
        },
        close: () => undefined,
      };
      const sink = {
        write(chunk: Uint8Array) {
          measured.bytes += chunk.length;
          measured.most = Math.max(measured.most, process.memoryUsage.rss());
        },
      };
      await pump(content, pipeline, sink, Buffer.alloc(megabyte.length));
      return measured;
    };
    const little = await through(32);
    const much = await through(640);
    expect(much.bytes).toBe(640 * megabyte.length);
    expect(much.most - little.most).toBeLessThan(128 * 1024 * 1024);
  });

  it('waits for a slow sink before it reads on', async () => {
    let writing = 0;
    let most = 0;
    const sink = {
      async write() {
        writing++;
        most = Math.max(most, writing);
        await new Promise(resolve => setTimeout(resolve, 1));
        writing--;
      },
    };
    await pump(source(noise(1000), 10), emit => openPipeline<StepSpec>([], openCodecs(), emit), sink, Buffer.alloc(10));
    expect(most).toBe(1);
    expect(writing).toBe(0);
  });

  it.each([true, false])('ends with the error of a sink (waiting: %s)', async waits => {
    const sink = {
      write(): void | Promise<void> {
        const error = new Error('disk full');
        if (!waits) throw error;
        return Promise.reject(error);
      },
    };
    const moving = pump(
      source(noise(100), 10),
      emit => openPipeline<StepSpec>([], openCodecs(), emit),
      sink,
      Buffer.alloc(10),
    );
    await expect(moving).rejects.toThrow('disk full');
  });

  it('ends with the error of a source', async () => {
    const broken: ByteSource = {
      read: () => {
        throw new Error('unreadable');
      },
      close: () => undefined,
    };
    const moving = pump(
      broken,
      emit => openPipeline<StepSpec>([], openCodecs(), emit),
      new MemorySink(1),
      Buffer.alloc(10),
    );
    await expect(moving).rejects.toThrow('unreadable');
  });
});

describe('a sink in memory', () => {
  it('keeps a copy, and not more than its limit', () => {
    const sink = new MemorySink(5);
    const chunk = Buffer.from('abc');
    sink.write(chunk);
    chunk.fill(0);
    expect(sink.bytes().toString()).toBe('abc');
    expect(() => sink.write(Buffer.from('def'))).toThrow('more than 5 bytes');
  });

  it('says of what is too long that its format is wrong: it is no defect of ours', () => {
    let error: unknown;
    try {
      new MemorySink(5).write(Buffer.alloc(6));
    } catch (thrown) {
      error = thrown;
    }
    expect(isKind(error, 'format')).toBe(true);
  });
});
