/**
 * Moves bytes from a source through a pipeline into a sink: the only place where synchronous steps meet waiting.
 */
import { BackstopError } from '../base/error.ts';
import type { Emit } from '../codec/step.ts';
import type { ByteSink, ByteSource } from './storage.ts';
import { turnAfter } from './turns.ts';

/** What the pump needs of an open pipeline (see codec/pipeline.ts). */
export interface OpenPipeline {
  push(chunk: Uint8Array): void;
  end(): void;
}

/**
 * Reads all of the source, in pieces of the buffer's size, and pushes it through. Neither source nor sink is closed.
 * @param open makes the pipeline over the function that takes its output
 * @param buffer reused for every read
 */
export function pump(
  source: ByteSource,
  open: (emit: Emit) => OpenPipeline,
  sink: Pick<ByteSink, 'write'>,
  buffer: Uint8Array,
): Promise<void> {
  return pumpInto(source, into => open(into(sink)), buffer);
}

/**
 * As pump(), for a pipeline that ends in several sinks. The slowest one paces: nothing is read before all have taken what
 * was read before.
 * @param open makes the pipeline; the function that it is given makes what takes the bytes for a sink
 */
export async function pumpInto(
  source: ByteSource,
  open: (into: (sink: Pick<ByteSink, 'write'>) => Emit) => OpenPipeline,
  buffer: Uint8Array,
): Promise<void> {
  let pressure: Promise<void> | undefined;
  const pipeline = open(sink => chunk => {
    const waiting = sink.write(chunk);
    if (waiting === undefined) return;
    pressure = pressure === undefined ? waiting : Promise.all([pressure, waiting]).then(() => undefined);
    // when a step fails before it is waited for, its own failure is nobody's
    pressure.catch(() => undefined);
  });
  for (;;) {
    const reading = source.read(buffer);
    // awaiting a number would cost a turn of the queue for each read of a local file
    const count = typeof reading === 'number' ? reading : await reading;
    if (count === 0) break;
    pipeline.push(buffer.subarray(0, count));
    if (pressure !== undefined) {
      await pressure;
      pressure = undefined;
    }
    const turn = turnAfter(count);
    if (turn !== undefined) await turn;
  }
  pipeline.end();
  if (pressure !== undefined) await pressure;
}

/** A sink that keeps the bytes, up to a limit. */
export class MemorySink {
  readonly #limit: number;
  readonly #chunks: Uint8Array[] = [];
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  write(chunk: Uint8Array): void {
    this.#size += chunk.length;
    if (this.#size > this.#limit) throw new BackstopError('format', `it has more than ${this.#limit} bytes`);
    // a copy: Buffer.slice would share the memory that the emitter reuses
    this.#chunks.push(Uint8Array.from(chunk));
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}
