/**
 * The libraries that know Zstandard, best first: Node itself (22.15 and newer), the optional `zstd-napi`, and for
 * Node 20 without that one a prebuilt encoder with a decoder in JavaScript (right, but several times slower to restore).
 */
import { createRequire } from 'node:module';
import { BackstopError } from '../base/error.ts';
import { type NodeCodecs, nodeZlib } from './node-zlib.ts';
import type { Emit, Step } from './step.ts';

export type ZstdEngine = 'node' | 'zstd-napi' | 'portable';

export interface ZstdLibrary {
  readonly engine: ZstdEngine;
  /** The decoder wants no more blocks at once, so that its time can be limited. */
  readonly mostBlocks?: number;
  /** Writes one frame or several. */
  openEncoder(level: number): Step;
  /** Reads frames whose structure was looked at already; throws when what is in them is corrupt. */
  openDecoder(): Step;
}

/**
 * Milliseconds for the decoder in JavaScript to come back from a few blocks: each of the largest, with the largest window, takes
 * it 40. From some hostile ones it never comes back.
 */
const patience = 20_000;

/**
 * @param engine to have just this one; absent: the best there is
 * @param blockTime after so many milliseconds blocks are given up, where its decoder is written in JavaScript
 */
export async function loadZstd(codecs: NodeCodecs, engine?: ZstdEngine, blockTime = patience): Promise<ZstdLibrary> {
  const found =
    (engine === undefined || engine === 'node' ? nodeLibrary(codecs) : undefined) ??
    (engine === undefined || engine === 'zstd-napi' ? napiLibrary(codecs) : undefined) ??
    (engine === undefined || engine === 'portable' ? await portableLibrary(blockTime) : undefined);
  if (found === undefined) throw new BackstopError('assert', `zstandard by ${engine} is not available`);
  return found;
}

export function corruptZstd(cause: unknown): BackstopError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BackstopError('format', `zst data is corrupt: ${reason}`, { cause });
}

const empty = Buffer.alloc(0);

/** What node:zlib has from 22.15 on, and Node 20's types do not tell. */
interface NodeZstd {
  createZstdCompress?(options: { params: Record<number, number> }): object;
  createZstdDecompress?(): object;
  readonly constants: Readonly<Record<string, number>>;
}

function nodeLibrary(codecs: NodeCodecs): ZstdLibrary | undefined {
  const { createZstdCompress, createZstdDecompress, constants } = nodeZlib() as unknown as NodeZstd;
  const { ZSTD_c_compressionLevel: parameter, ZSTD_e_continue: more, ZSTD_e_end: finish } = constants;
  if (createZstdCompress === undefined || createZstdDecompress === undefined) return undefined;
  if (parameter === undefined || more === undefined || finish === undefined) return undefined;
  return {
    engine: 'node',
    openEncoder(level) {
      const key = `zstd ${level}`;
      const codec = codecs.take(key, () => createZstdCompress({ params: { [parameter]: level } }));
      const output = codecs.buffers.take();
      const write = (flush: number, chunk: Uint8Array, emit: Emit): void => {
        const left = codec.write(flush, chunk, output, emit);
        if (left !== 0) throw new BackstopError('assert', `zst compression failed: ${JSON.stringify(left)}`);
      };
      return {
        push: (chunk, emit) => write(more, chunk, emit),
        end: emit => write(finish, empty, emit),
        close() {
          codecs.give(key, codec);
          codecs.buffers.give(output);
        },
      };
    },
    openDecoder() {
      const key = 'unzstd';
      const codec = codecs.take(key, createZstdDecompress);
      const output = codecs.buffers.take();
      return {
        push(chunk, emit) {
          let rest = chunk;
          while (rest.length > 0) {
            // it stops at the end of each frame
            const left = codec.write(more, rest, output, emit);
            if (typeof left !== 'number') throw corruptZstd(left.message);
            if (left === rest.length) throw corruptZstd('decoder takes no more bytes');
            rest = rest.subarray(rest.length - left);
          }
        },
        end: nothing,
        close() {
          codecs.give(key, codec);
          codecs.buffers.give(output);
        },
      };
    },
  };
}

/** The part of `zstd-napi/binding` that is used. A stream call gives [bytes to come, bytes written, bytes taken]. */
interface Binding {
  readonly CCtx: new () => CompressContext;
  readonly DCtx: new () => DecompressContext;
  readonly CParameter: { readonly compressionLevel: number };
  readonly EndDirective: { readonly continue: number; readonly end: number };
  readonly ResetDirective: { readonly sessionOnly: number };
}
interface CompressContext {
  setParameter(parameter: number, value: number): void;
  reset(directive: number): void;
  compressStream2(output: Uint8Array, input: Uint8Array, end: number): [number, number, number];
}
interface DecompressContext {
  reset(directive: number): void;
  decompressStream(output: Uint8Array, input: Uint8Array): [number, number, number];
}

/** Contexts that are kept for the next file: making one costs more than a small file. */
const keepIdle = 2;

function napiLibrary({ buffers }: NodeCodecs): ZstdLibrary | undefined {
  let binding: Binding;
  try {
    binding = createRequire(import.meta.url)('zstd-napi/binding.js') as Binding;
  } catch {
    // optional: not installed, or there was neither a prebuilt binary nor a compiler
    return undefined;
  }
  const { CCtx, DCtx, CParameter, EndDirective, ResetDirective } = binding;
  const encoders = new Map<number, CompressContext[]>();
  const decoders: DecompressContext[] = [];
  return {
    engine: 'zstd-napi',
    openEncoder(level) {
      const idle = encoders.get(level) ?? [];
      encoders.set(level, idle);
      const context = idle.pop() ?? new CCtx();
      context.setParameter(CParameter.compressionLevel, level);
      const output = buffers.take();
      const write = (chunk: Uint8Array, directive: number, emit: Emit): void => {
        let rest = chunk;
        for (;;) {
          const [coming, written, taken] = context.compressStream2(output, rest, directive);
          if (written > 0) emit(output.subarray(0, written));
          rest = rest.subarray(taken);
          if (directive === EndDirective.end ? coming === 0 : rest.length === 0) return;
        }
      };
      return {
        push: (chunk, emit) => write(chunk, EndDirective.continue, emit),
        end: emit => write(empty, EndDirective.end, emit),
        close() {
          context.reset(ResetDirective.sessionOnly);
          if (idle.length < keepIdle) idle.push(context);
          buffers.give(output);
        },
      };
    },
    openDecoder() {
      const context = decoders.pop() ?? new DCtx();
      const output = buffers.take();
      return {
        push(chunk, emit) {
          let rest = chunk;
          for (;;) {
            const [written, taken] = decode(context, output, rest);
            if (written > 0) emit(output.subarray(0, written));
            rest = rest.subarray(taken);
            if (rest.length === 0 && written < output.length) return;
            if (written === 0 && taken === 0) throw corruptZstd('decoder takes no more bytes');
          }
        },
        end: nothing,
        close() {
          context.reset(ResetDirective.sessionOnly);
          if (decoders.length < keepIdle) decoders.push(context);
          buffers.give(output);
        },
      };
    },
  };
}

function decode(context: DecompressContext, output: Buffer, input: Uint8Array): [written: number, taken: number] {
  try {
    const [, written, taken] = context.decompressStream(output, input);
    return [written, taken];
  } catch (cause) {
    throw corruptZstd(cause);
  }
}

/** Plain bytes of one frame: the encoder takes a whole frame at once. */
const frameSize = 4 * 1024 * 1024;

async function portableLibrary(blockTime: number): Promise<ZstdLibrary> {
  const encoding = await import('@toondepauw/node-zstd');
  const { Decompress } = await import('fzstd');
  const { openTimeLimit } = await import('./time-limit.ts');
  const limit = openTimeLimit(blockTime);
  return {
    engine: 'portable',
    mostBlocks: 8,
    openEncoder(level) {
      const encoder = new encoding.Encoder(level);
      let parts: Buffer[] = [];
      let held = 0;
      let frames = 0;
      const frame = (emit: Emit): void => {
        emit(encoder.encodeSync(parts.length === 1 ? (parts[0] ?? empty) : Buffer.concat(parts)));
        frames++;
        parts = [];
        held = 0;
      };
      return {
        push(chunk, emit) {
          for (let at = 0; at < chunk.length; ) {
            const take = Math.min(frameSize - held, chunk.length - at);
            parts.push(Buffer.from(chunk.subarray(at, at + take)));
            held += take;
            at += take;
            if (held === frameSize) frame(emit);
          }
        },
        end(emit) {
          if (held > 0 || frames === 0) frame(emit);
        },
      };
    },
    openDecoder() {
      const plain: Uint8Array[] = [];
      const decoder = new Decompress(chunk => {
        if (chunk.length > 0) plain.push(chunk);
      });
      const push = (chunk: Uint8Array, last: boolean, emit: Emit): void => {
        try {
          limit(() => decoder.push(chunk, last));
        } catch (cause) {
          throw corruptZstd(cause);
        }
        for (const part of plain.splice(0)) emit(part);
      };
      return {
        // the decoder keeps what it cannot use yet, and the chunk is the caller's
        push: (chunk, emit) => push(Uint8Array.from(chunk), false, emit),
        end: emit => push(empty, true, emit),
      };
    },
  };
}

function nothing(): void {
  // nothing is held back
}
