/**
 * gz: normal form is one gzip member (RFC 1952) without name and time; raw form is a zlib stream (RFC 1950), not a
 * headerless one. Readers of repositories take the first member only, so exactly one is written, and one is read.
 */
import { BackstopError } from '../base/error.ts';
import { type NodeCodec, type NodeCodecs, nodeZlib, Z_FINISH, Z_NO_FLUSH } from './node-zlib.ts';
import type { Emit, Step } from './step.ts';

/** @param level -1 (zlib's default) to 9 */
export function openGzip(level: number, raw: boolean, codecs: NodeCodecs): Step {
  const output = codecs.buffers.take();
  let used: { readonly key: string; readonly codec: NodeCodec } | undefined;
  const write = (flush: number, chunk: Uint8Array, emit: Emit): void => {
    used ??= takeDeflate(searchLevel(level, chunk), raw, codecs);
    const left = used.codec.write(flush, chunk, output, emit);
    if (left !== 0) throw new BackstopError('assert', `gz compression failed: ${JSON.stringify(left)}`);
  };
  return {
    push: (chunk, emit) => write(Z_NO_FLUSH, chunk, emit),
    end: emit => write(Z_FINISH, empty, emit),
    close() {
      if (used !== undefined) codecs.give(used.key, used.codec);
      codecs.buffers.give(output);
    },
  };
}

function takeDeflate(level: number, raw: boolean, codecs: NodeCodecs): { key: string; codec: NodeCodec } {
  const options = { level, memLevel: 9, windowBits: 15 };
  const key = `deflate ${level} ${raw}`;
  const codec = codecs.take(key, () => (raw ? nodeZlib().createDeflate(options) : nodeZlib().createGzip(options)));
  return { key, codec };
}

/** Bytes of a first piece from which on it is worth a trial, and of the trial. */
const triedFrom = 512 * 1024;
const trialSize = 64 * 1024;

/** How much larger, at most, what a shorter search finds may be. */
const trialLoss = 1.01;

/**
 * zlib's level for the one that is asked for. At 6, the default, zlib looks at up to 128 earlier places for a longer match, at 5
 * at 32. Most tables, indexes and WAL are hardly larger after it (0 to 1 %), in 0.55 to 0.85 of the time; what is
 * larger keeps its level.
 * @param first what is compressed first
 */
function searchLevel(level: number, first: Uint8Array): number {
  if ((level !== 6 && level !== -1) || first.length < triedFrom) return level;
  const at = Math.floor((first.length - trialSize) / 2);
  const sample = first.subarray(at, at + trialSize);
  const size = (tried: number): number => nodeZlib().deflateRawSync(sample, { level: tried, memLevel: 9 }).length;
  return size(5) <= size(6) * trialLoss ? 5 : level;
}

/** Errors are format: cut short, altered, not gz at all. What follows the first member is ignored. */
export function openGunzip(raw: boolean, codecs: NodeCodecs): Step {
  const key = `inflate ${raw}`;
  // Node's own gunzip goes on with a second member and cannot tell that one ended; the deflate stream alone can
  const codec = codecs.take(key, () => (raw ? nodeZlib().createInflate() : nodeZlib().createInflateRaw()));
  const output = codecs.buffers.take();
  const header = raw ? undefined : new HeaderReader();
  const trailer = Buffer.alloc(raw ? 0 : 8);
  let trailerHeld = 0;
  let bodyEnded = false;
  let crc = 0;
  let size = 0;

  const inflate = (flush: number, chunk: Uint8Array, emit: Emit): number => {
    const left = codec.write(flush, chunk, output, plain => {
      if (!raw) {
        crc = nodeZlib().crc32(plain, crc);
        size = (size + plain.length) >>> 0;
      }
      emit(plain);
    });
    if (typeof left === 'number') return left;
    if (left.code === 'Z_BUF_ERROR') throw cutShort();
    throw new BackstopError('format', `gz data is corrupt: ${left.message}`);
  };

  return {
    push(chunk, emit) {
      let rest = chunk;
      if (header !== undefined && !header.done) rest = header.read(rest);
      if (rest.length > 0 && !bodyEnded) {
        const left = inflate(Z_NO_FLUSH, rest, emit);
        if (left === 0) return;
        bodyEnded = true;
        rest = rest.subarray(rest.length - left);
      }
      if (trailerHeld < trailer.length && rest.length > 0) {
        const take = rest.subarray(0, trailer.length - trailerHeld);
        trailer.set(take, trailerHeld);
        trailerHeld += take.length;
      }
    },
    end(emit) {
      if (header !== undefined && !header.done) throw cutShort();
      // finishing an ended stream is no error; finishing any other is
      if (!bodyEnded) inflate(Z_FINISH, empty, emit);
      if (raw) return;
      if (trailerHeld < trailer.length) throw cutShort();
      if (trailer.readUInt32LE(0) !== crc || trailer.readUInt32LE(4) !== size) {
        throw new BackstopError('format', 'gz data is corrupt: incorrect data check');
      }
    },
    close() {
      codecs.give(key, codec);
      codecs.buffers.give(output);
    },
  };
}

const empty = new Uint8Array(0);

function cutShort(): BackstopError {
  return new BackstopError('format', 'unexpected eof in compressed data');
}

const flagHeaderCrc = 2;
const flagExtra = 4;
const flagName = 8;
const flagComment = 16;

/** Passes over a gzip member header, byte by byte: it may be cut anywhere, and its parts may be as long as they like. */
class HeaderReader {
  done = false;
  #at = 0;
  #flags = 0;
  #extra = 0;
  #part: 'fixed' | 'extra-length' | 'extra' | 'name' | 'comment' | 'crc' = 'fixed';

  /** @returns what follows the header, empty while it is not complete */
  read(chunk: Uint8Array): Uint8Array {
    let index = 0;
    while (index < chunk.length && !this.done) this.#take(chunk[index++] ?? 0);
    return chunk.subarray(index);
  }

  #take(byte: number): void {
    switch (this.#part) {
      case 'fixed':
        this.#takeFixed(byte, this.#at++);
        if (this.#at === 10) this.#enter('extra-length', this.#flags & flagExtra);
        break;
      case 'extra-length':
        this.#extra |= byte << (8 * this.#at++);
        if (this.#at === 2) this.#enter('extra', this.#extra);
        break;
      case 'extra':
        if (++this.#at === this.#extra) this.#enter('name', this.#flags & flagName);
        break;
      case 'name':
        if (byte === 0) this.#enter('comment', this.#flags & flagComment);
        break;
      case 'comment':
        if (byte === 0) this.#enter('crc', this.#flags & flagHeaderCrc);
        break;
      case 'crc':
        if (++this.#at === 2) this.done = true;
        break;
    }
  }

  #takeFixed(byte: number, at: number): void {
    const good = at === 0 ? byte === 0x1f : at === 1 ? byte === 0x8b : at === 2 ? byte === 8 : at !== 3 || byte < 32;
    if (!good) throw new BackstopError('format', 'gz data is corrupt: incorrect header check');
    if (at === 3) this.#flags = byte;
  }

  /** Goes to the part, or to the one after it when it is absent. */
  #enter(part: 'extra-length' | 'extra' | 'name' | 'comment' | 'crc', present: number): void {
    this.#part = part;
    this.#at = 0;
    if (present !== 0) return;
    if (part === 'extra-length' || part === 'extra') this.#enter('name', this.#flags & flagName);
    else if (part === 'name') this.#enter('comment', this.#flags & flagComment);
    else if (part === 'comment') this.#enter('crc', this.#flags & flagHeaderCrc);
    else this.done = true;
  }
}
