/** zst: Zstandard frames (RFC 8878). One frame or several in a row are written and read; raw is the same. */
import { BackstopError } from '../base/error.ts';
import type { Step } from './step.ts';
import { corruptZstd, type ZstdLibrary } from './zstd-library.ts';

/** @param level -7 to 22 */
export function openZstd(level: number, library: ZstdLibrary): Step {
  return library.openEncoder(level);
}

/** Errors are format: cut short, altered so far as it can be told (there is no checksum), window above 128 MiB. */
export function openUnzstd(library: ZstdLibrary): Step {
  const decoder = library.openDecoder();
  const frames = new FrameWatch();
  return {
    push(chunk, emit) {
      let from = 0;
      let blocks = 0;
      frames.watch(chunk, end => {
        if (library.mostBlocks === undefined || ++blocks < library.mostBlocks) return;
        blocks = 0;
        decoder.push(chunk.subarray(from, end), emit);
        from = end;
      });
      if (from < chunk.length) decoder.push(chunk.subarray(from), emit);
    },
    end(emit) {
      frames.end();
      decoder.end(emit);
    },
    close: () => decoder.close?.(),
  };
}

const magic = 0xfd2fb528;
/** 0x184d2a50 to 0x184d2a5f: a frame to pass over. */
const skippableMagic = 0x184d2a50;
/** The largest window that any level up to 22 uses, and that other readers accept. */
const maxWindow = 2 ** 27;
const maxBlock = 128 * 1024;

type Part = 'magic' | 'skip-length' | 'descriptor' | 'header' | 'block' | 'body' | 'checksum';

/**
 * Follows the frames and blocks without decoding them, so that whatever library decodes: a stream that is cut short is
 * told from a whole one, and a hostile header cannot ask for gigabytes of window.
 */
class FrameWatch {
  #part: Part = 'magic';
  #need = 4;
  #have = 0;
  /** Bytes to pass over, of a block's body, a checksum or a skippable frame. */
  #skip = 0;
  readonly #bytes = Buffer.alloc(16);
  #descriptor = 0;
  #last = false;
  #frames = 0;

  /** @param onBlock is told where in the chunk a block ends */
  watch(chunk: Uint8Array, onBlock: (end: number) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const take = Math.min(this.#skip, chunk.length - at);
        this.#skip -= take;
        at += take;
        const isBlock = this.#part === 'body';
        if (this.#skip > 0) continue;
        this.#skipped();
        if (isBlock) onBlock(at);
      } else {
        this.#bytes[this.#have++] = chunk[at++] ?? 0;
        if (this.#have === this.#need) this.#take();
      }
    }
  }

  end(): void {
    if (this.#frames === 0 || this.#part !== 'magic' || this.#have > 0) {
      throw new BackstopError('format', 'unexpected eof in compressed data');
    }
  }

  #expect(part: Part, need: number): void {
    this.#part = part;
    this.#need = need;
    this.#have = 0;
  }

  #passOver(part: Part, bytes: number): void {
    this.#part = part;
    this.#skip = bytes;
    if (bytes === 0) this.#skipped();
  }

  #skipped(): void {
    if (this.#part === 'body' && !this.#last) this.#expect('block', 3);
    else if (this.#part === 'body' && (this.#descriptor & 0x04) !== 0) this.#passOver('checksum', 4);
    else {
      this.#frames++;
      this.#expect('magic', 4);
    }
  }

  #take(): void {
    switch (this.#part) {
      case 'magic': {
        const found = this.#bytes.readUInt32LE(0);
        if (found === magic) this.#expect('descriptor', 1);
        else if ((found & 0xfffffff0) >>> 0 === skippableMagic) this.#expect('skip-length', 4);
        else throw corruptZstd('frame magic not found');
        return;
      }
      case 'skip-length':
        this.#passOver('checksum', this.#bytes.readUInt32LE(0));
        return;
      case 'descriptor': {
        this.#descriptor = this.#bytes[0] ?? 0;
        if ((this.#descriptor & 0x08) !== 0) throw corruptZstd('frame header has a reserved bit');
        if ((this.#descriptor & 0x03) !== 0) throw corruptZstd('frame needs a dictionary');
        this.#expect('header', this.#windowBytes() + this.#sizeBytes());
        return;
      }
      case 'header': {
        if (this.#window() > maxWindow) throw corruptZstd('frame needs a window above 128 MiB');
        this.#expect('block', 3);
        return;
      }
      case 'block': {
        const header = this.#bytes.readUIntLE(0, 3);
        const type = (header >> 1) & 3;
        const size = header >> 3;
        if (type === 3 || size > maxBlock) throw corruptZstd('block type or size unknown');
        this.#last = (header & 1) === 1;
        // type 1 is one byte, repeated
        this.#passOver('body', type === 1 ? 1 : size);
        return;
      }
      case 'body':
      case 'checksum':
        return;
    }
  }

  #windowBytes(): number {
    return (this.#descriptor & 0x20) === 0 ? 1 : 0;
  }

  #sizeBytes(): number {
    const code = this.#descriptor >> 6;
    return code === 0 ? 1 - this.#windowBytes() : 2 ** code;
  }

  /** Bytes of plain data that must be kept to decode the frame. */
  #window(): number {
    if (this.#windowBytes() === 1) {
      const [exponent, mantissa] = [(this.#bytes[0] ?? 0) >> 3, (this.#bytes[0] ?? 0) & 7];
      return 2 ** (10 + exponent) * (1 + mantissa / 8);
    }
    const bytes = this.#sizeBytes();
    if (bytes === 8) return Number(this.#bytes.readBigUInt64LE(0));
    return this.#bytes.readUIntLE(0, bytes) + (bytes === 2 ? 256 : 0);
  }
}
