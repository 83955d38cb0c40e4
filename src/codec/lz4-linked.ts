/**
 * An LZ4 block that refers to the plain bytes before it, as one that stands alone: those bytes become literals at its
 * beginning, and every distance stays what it is. So a library that knows only blocks that stand alone can decompress it.
 */

/** The most bytes that the result may have. */
export function joinedBound(dictionary: number, packed: number): number {
  return dictionary + packed + Math.floor((dictionary + packed) / 255) + 16;
}

/** A nibble that says: more bytes follow. */
const more = 15;

/**
 * @param dictionary the plain bytes before the block, at most 64 KiB
 * @param packed the block
 * @param into at least joinedBound() bytes
 * @returns the block that stands alone; its plain bytes are the dictionary and then the plain bytes of `packed`
 * @throws RangeError when the block ends within its first literals
 */
export function joinDictionary(dictionary: Buffer, packed: Buffer, into: Buffer): Buffer {
  const [token = 0] = packed;
  let at = 1;
  let literals = token >> 4;
  if (literals === more) {
    let next: number | undefined;
    do {
      next = packed[at++];
      literals += next ?? 0;
    } while (next === 255);
  }
  if (literals > packed.length - at) throw new RangeError('the block ends within its literals');
  let length = dictionary.length + literals;
  let to = 1;
  into[0] = (Math.min(length, more) << 4) | (token & more);
  if (length >= more) {
    length -= more;
    const full = Math.floor(length / 255);
    into.fill(255, to, to + full);
    to += full;
    into[to++] = length % 255;
  }
  to += dictionary.copy(into, to);
  to += packed.copy(into, to, at);
  return into.subarray(0, to);
}
