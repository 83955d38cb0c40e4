/** LZ4 frames with linked blocks of 64 KiB, as the real tool writes them: our own side makes none. */
import type { Lz4Library } from '../../../src/codec/lz4-library.ts';

const blockSize = 64 * 1024;
/** Plain bytes of a block here: small, so that there are several. */
const piece = 500;

/**
 * A frame in which blocks begin with bytes of those before them.
 * @param isChecked with a checksum of the content
 */
export function linkedFrame(library: Lz4Library, content: Buffer, isChecked: boolean): Buffer {
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, isChecked ? 0x44 : 0x40, 0x40, 0]);
  header[6] = (library.xxhash.h32Raw(header.subarray(4, 6), 0) >>> 8) & 0xff;
  const parts: Buffer[] = [header];
  const checksum = library.xxhash.create32(0);
  for (let at = 0; at < Math.min(content.length, blockSize); at += piece) {
    const block = content.subarray(at, at + piece);
    checksum.update(block);
    const packed = at < 64 || block.length < 40 ? literals(block) : afterOthers(content, at, block.length);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(packed.length);
    parts.push(size, packed);
  }
  const footer = Buffer.alloc(isChecked ? 8 : 4);
  if (isChecked) footer.writeUInt32LE(checksum.digest() >>> 0, 4);
  return Buffer.concat([...parts, footer]);
}

/** A match into the blocks before where there is one, and the rest as it is. */
function afterOthers(content: Buffer, at: number, length: number): Buffer {
  const found = content.subarray(0, at).lastIndexOf(content.subarray(at, at + 8));
  if (found < 0) return literals(content.subarray(at, at + length));
  // token: no literals, 8 bytes of a match; then its distance
  const match = Buffer.from([0x04, 0, 0]);
  match.writeUInt16LE(at - found, 1);
  return Buffer.concat([match, literals(content.subarray(at + 8, at + length))]);
}

/** A sequence without a match. */
function literals(bytes: Buffer): Buffer {
  if (bytes.length < 15) return Buffer.concat([Buffer.from([bytes.length << 4]), bytes]);
  const rest = bytes.length - 15;
  const lengths = Buffer.concat([Buffer.alloc(Math.floor(rest / 255), 255), Buffer.from([rest % 255])]);
  return Buffer.concat([Buffer.from([0xf0]), lengths, bytes]);
}
