/**
 * Secrets that are only made to be looked for. They are found as they are, and in what encodings make of them; a piece of
 * one is as bad as the whole. So each has words of letters and digits, which no URL, JSON, XML or shell writes in another way,
 * between the marks that such writers trip over.
 */
import type { Random } from '../../support/random.ts';

/** Where a secret was seen. */
export interface Sighting {
  /** What the secret is for. */
  readonly secret: string;
  /** `as it is`, `base64`, `hex`. */
  readonly form: string;
  /** What stands around it. */
  readonly context: string;
}

interface Needle {
  readonly secret: string;
  readonly form: string;
  readonly bytes: Buffer;
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** A shorter piece is no longer a secret, and could be there by chance. */
const shortestWord = 8;

export class Canaries {
  readonly #random: Random;
  /** By their first four bytes. */
  readonly #needles = new Map<number, Needle[]>();
  /** Whether there can be one with such a beginning: a thousand needles are to be looked for in one go. */
  readonly #beginnings = new Uint8Array(1 << 16);

  constructor(random: Random) {
    this.#random = random;
  }

  /** Makes a secret. @param marks between its words: what may not be in an HTTP header, or in a line of a file, stays away */
  make(secret: string, marks: readonly string[] = ['+', '/', '#1;2==']): string {
    const value = marks.reduce((text, mark) => text + this.#word() + mark, '');
    return this.add(secret, value);
  }

  /** One of letters and digits, as keys often are. */
  plain(secret: string): string {
    return this.make(secret, ['', '', '']);
  }

  /** Has a secret looked for that others have made. @returns it */
  add(secret: string, value: string): string {
    const words = value.match(new RegExp(`\\w{${shortestWord},}`, 'g')) ?? [];
    if (words.length === 0) throw new Error(`the secret '${secret}' has nothing that could be looked for`);
    for (const word of words) {
      const pieces = word.length < 24 ? [word] : [word.slice(0, 12), word.slice(-12)];
      for (const piece of pieces) this.#look(secret, piece);
    }
    return value;
  }

  /** All secrets that are in the text. */
  find(text: Uint8Array): Sighting[] {
    const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
    const found = new Map<Needle, number>();
    let key = 0;
    for (let at = 0; at < bytes.length; at++) {
      key = (key << 8) | (bytes[at] ?? 0);
      if (this.#beginnings[hash(key)] === 0) continue;
      for (const needle of this.#needles.get(key) ?? []) {
        const start = at - 3;
        const end = start + needle.bytes.length;
        if (found.has(needle) || start < 0 || end > bytes.length) continue;
        if (needle.bytes.compare(bytes, start, end) === 0) found.set(needle, start);
      }
    }
    return [...found].map(([{ secret, form }, at]) => {
      const context = bytes.toString('latin1', Math.max(0, at - 80), at + 80).replace(/[^\x20-\x7e\n]/g, '?');
      return { secret, form, context };
    });
  }

  #word(): string {
    return Array.from({ length: 12 }, () => letters[this.#random.between(0, letters.length - 1)]).join('');
  }

  #look(secret: string, word: string): void {
    const needle = (form: string, text: string): void => {
      const bytes = Buffer.from(text, 'latin1');
      const key = bytes.readInt32BE();
      this.#needles.set(key, [...(this.#needles.get(key) ?? []), { secret, form, bytes }]);
      this.#beginnings[hash(key)] = 1;
    };
    const hex = Buffer.from(word).toString('hex');
    needle('as it is', word);
    needle('in small letters', word.toLowerCase());
    needle('hex', hex);
    needle('hex', hex.toUpperCase());
    // by the place of the word among three bytes; what is shared with its neighbours is left out
    for (const before of [0, 1, 2]) {
      const text = Buffer.from('\0'.repeat(before) + word).toString('base64');
      const whole = Math.floor((before + word.length) / 3) * 4;
      needle('base64', text.slice(before === 0 ? 0 : 4, whole));
    }
  }
}

const hash = (key: number): number => Math.imul(key, 0x9e3779b1) >>> 16;

/** What was seen, as a test shows it. */
export const describeSightings = (where: string, sightings: readonly Sighting[]): string[] =>
  sightings.map(({ secret, form, context }) => `${where}: ${secret}, ${form}: ...${context}...`);
