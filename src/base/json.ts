/**
 * JSON that keeps 64-bit integers exact and writes the bytes that info files are checksummed over.
 *
 * Reading: an integer beyond 2^53 becomes a bigint (`JSON.parse` would round a PostgreSQL system id). Objects become
 * plain objects without a prototype, so that a hostile key `__proto__` is just a key.
 * Writing: no whitespace, keys in byte order, only `" \ \n \r \t \b \f` escaped. `\uXXXX` is never written, because
 * pgBackRest 2.59.1 fails to load a file that holds it (repository format, section 2.2).
 */
import { BackstopError } from './error.ts';

export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

const maxDepth = 64;

/**
 * Parses one JSON value that must fill the whole text.
 * @throws json-format with the position when the text is not JSON
 */
export function parseJson(text: string): Json {
  // of two escapes that make one character one alone may be there
  if (!text.includes('\\u')) {
    try {
      const value = JSON.parse(text) as Json;
      if (isExact(value, 0)) return value;
    } catch {
      // the exact parser below takes raw control characters, and says where the text is wrong
    }
  }
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.space();
  if (parser.at !== text.length) throw parser.error('unexpected text after the value');
  return value;
}

/** Whether JSON.parse has rounded nothing: what it rounds is beyond the integers that a number holds. */
function isExact(value: Json, depth: number): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  if (typeof value !== 'object' || value === null) return true;
  if (depth === maxDepth) return false;
  for (const key in value) {
    if (!isExact((value as JsonObject)[key] ?? null, depth + 1)) return false;
  }
  return true;
}

class Parser {
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  error(reason: string): BackstopError {
    return new BackstopError('json-format', `invalid JSON at character ${this.at + 1}: ${reason}`);
  }

  space(): void {
    for (;;) {
      const c = this.#text.charCodeAt(this.at);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
      this.at++;
    }
  }

  value(depth: number): Json {
    if (depth > maxDepth) throw this.error('nested too deeply');
    this.space();
    const c = this.#text[this.at];
    if (c === undefined) throw this.error('unexpected end');
    if (c === '{') return this.#object(depth);
    if (c === '[') return this.#array(depth);
    if (c === '"') return this.#string();
    if (c === '-' || (c >= '0' && c <= '9')) return this.#number();
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.#text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    throw this.error('expected a value');
  }

  #object(depth: number): JsonObject {
    const result: Record<string, Json> = Object.create(null);
    this.at++;
    this.space();
    if (this.#text[this.at] === '}') {
      this.at++;
      return result;
    }
    for (;;) {
      this.space();
      if (this.#text[this.at] !== '"') throw this.error('expected a key');
      const key = this.#string();
      this.space();
      if (this.#text[this.at] !== ':') throw this.error("expected ':'");
      this.at++;
      result[key] = this.value(depth + 1);
      this.space();
      const c = this.#text[this.at++];
      if (c === '}') return result;
      if (c !== ',') {
        this.at--;
        throw this.error("expected ',' or '}'");
      }
    }
  }

  #array(depth: number): Json[] {
    const result: Json[] = [];
    this.at++;
    this.space();
    if (this.#text[this.at] === ']') {
      this.at++;
      return result;
    }
    for (;;) {
      result.push(this.value(depth + 1));
      this.space();
      const c = this.#text[this.at++];
      if (c === ']') return result;
      if (c !== ',') {
        this.at--;
        throw this.error("expected ',' or ']'");
      }
    }
  }

  #string(): string {
    const start = this.at;
    for (let i = start + 1; i < this.#text.length; i++) {
      const c = this.#text.charCodeAt(i);
      if (c === 0x5c) {
        i++;
      } else if (c === 0x22) {
        this.at = i + 1;
        const raw = this.#text.slice(start, i + 1);
        // pgBackRest writes control characters other than \n \r \t \b \f raw, which JSON.parse refuses
        let value: string;
        try {
          value = JSON.parse(raw.replace(rawControls, escapeControl)) as string;
        } catch (error) {
          throw new BackstopError('json-format', `invalid JSON string at character ${start + 1}`, { cause: error });
        }
        // it has no bytes, so it could not be written again
        if (halfCharacter.test(value)) {
          throw new BackstopError('json-format', `half a character in the JSON string at character ${start + 1}`);
        }
        return value;
      }
    }
    throw this.error('unterminated string');
  }

  #number(): number | bigint {
    numberPattern.lastIndex = this.at;
    const match = numberPattern.exec(this.#text);
    if (match === null) throw this.error('expected a number');
    this.at += match[0].length;
    if (match[1] !== undefined || match[2] !== undefined) return Number(match[0]);
    const number = Number(match[0]);
    return Number.isSafeInteger(number) ? number : BigInt(match[0]);
  }
}

/** A surrogate without the other. */
const halfCharacter = /\p{Cs}/u;
const numberPattern = /-?\d+(\.\d+)?([eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding raw control characters is the point
const rawControls = /[\u0000-\u001f]/g;
const escapeControl = (c: string): string => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Renders a value as pgBackRest does: no whitespace, keys in byte order, integers only. */
export function formatJson(value: Json): string {
  if (value === null) return 'null';
  switch (typeof value) {
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'number':
      if (!Number.isSafeInteger(value)) {
        throw new BackstopError('assert', `number ${value} cannot be written exactly`);
      }
      return String(value);
    case 'string':
      return formatJsonString(value);
  }
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(formatJson).join(',')}]`;
  const object = value as JsonObject;
  const parts: string[] = [];
  for (const key of Object.keys(object).sort(compareBytes)) {
    const item = object[key];
    if (item !== undefined) parts.push(`${formatJsonString(key)}:${formatJson(item)}`);
  }
  return `{${parts.join(',')}}`;
}

/** A JSON string with only the escapes that pgBackRest reads. */
export function formatJsonString(text: string): string {
  return `"${text.replace(/["\\\n\r\t\b\f]/g, c => escapes[c] ?? c)}"`;
}

const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
};

/** Compares two strings as their UTF-8 bytes compare (C's strcmp), whatever the locale and UTF-16 say. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x !== y) {
      // code points above U+FFFF are surrogate pairs in UTF-16 and would sort before U+E000..U+FFFF
      if (x >= 0xd800) x += x >= 0xe000 ? -0x800 : 0x2000;
      if (y >= 0xd800) y += y >= 0xe000 ? -0x800 : 0x2000;
      return x - y;
    }
  }
  return a.length - b.length;
}
