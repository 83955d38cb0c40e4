/**
 * The text that archive.info, backup.info and backup.manifest share (format, section 2): sections of `key=JSON` lines
 * between two `[backrest]` sections, the last of which holds a SHA-1 over everything before it.
 *
 * Reading and writing are streams of entries, so that a manifest of ten million lines never stands in memory as text.
 */
import { createHash, type Hash } from 'node:crypto';
import { BackstopError } from '../base/error.ts';
import { compareBytes, formatJsonString, parseJson } from '../base/json.ts';
import { parseJsonString } from '../base/json-fields.ts';

/** Format number of a repository; pgBackRest has written 5 since 2.0. */
export const repositoryFormat = 5;

const headerSection = 'backrest';
const checksumKey = 'backrest-checksum';
/** Longest line we accept: a backup entry with thousands of references is far below. */
const maxLine = 64 * 1024 * 1024;

/** Receives each entry in file order; `raw` is the JSON text exactly as it stands in the file. */
export type InfoEntryHandler = (section: string, key: string, raw: string) => void;

/** Hashes entries as the checksum wants them: `{"section":{"key":value,...},...}` over the raw values. */
class InfoChecksum {
  readonly #hash: Hash = createHash('sha1');
  readonly #encoding: 'latin1' | 'utf8';
  #section: string | undefined;
  /** Nothing of the section has come. */
  #isFirst = true;
  /** Bytes, not text: a text that grows by pieces is copied again and again. */
  readonly #pending = Buffer.allocUnsafe(65536);
  #size = 0;

  constructor(encoding: 'latin1' | 'utf8') {
    this.#encoding = encoding;
    this.#put('{');
  }

  add(section: string, key: string, raw: string): void {
    if (section !== this.#section) this.#open(section);
    this.#put(this.#isFirst ? formatJsonString(key) : `,${formatJsonString(key)}`);
    this.#isFirst = false;
    this.#put(':');
    this.#put(raw);
  }

  digest(): string {
    this.#put(this.#section === undefined ? '}' : '}}');
    this.#flush();
    return this.#hash.digest('hex');
  }

  #open(section: string): void {
    this.#put(`${this.#section === undefined ? '' : '},'}"${section}":{`);
    this.#section = section;
    this.#isFirst = true;
  }

  #put(text: string): void {
    // a character of UTF-16 is three bytes of UTF-8 at most
    const most = this.#encoding === 'latin1' ? text.length : 3 * text.length;
    if (most > this.#pending.length - this.#size) {
      this.#flush();
      if (most > this.#pending.length) {
        this.#hash.update(text, this.#encoding);
        return;
      }
    }
    this.#size += this.#pending.write(text, this.#size, this.#encoding);
  }

  #flush(): void {
    this.#hash.update(this.#pending.subarray(0, this.#size));
    this.#size = 0;
  }
}

/** Takes the bytes of an info file in pieces of any size, hands out its entries and checks format and checksum. */
export class InfoTextReader {
  readonly #handler: InfoEntryHandler;
  // the checksum is over bytes: lines are handled as one character a byte, and only what is handed out is decoded
  readonly #checksum = new InfoChecksum('latin1');
  #rest = '';
  #section: string | undefined;
  #stated: string | undefined;
  #format: number | undefined;
  #version: string | undefined;
  /** Of the line at hand. It stands in messages for its text, which may hold a passphrase. */
  #number = 0;

  constructor(handler: InfoEntryHandler) {
    this.#handler = handler;
  }

  push(bytes: Uint8Array): void {
    this.#text(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'));
  }

  /**
   * Ends the file.
   * @returns the version of the tool that wrote it
   * @throws format for another format number, checksum when the stated one is missing or does not match
   */
  end(): { readonly version: string } {
    if (this.#rest !== '') this.#line(this.#rest);
    this.#rest = '';
    const actual = this.#checksum.digest();
    if (this.#stated === undefined) {
      throw new BackstopError('checksum', `invalid checksum, actual '${actual}' but no checksum found`);
    }
    if (this.#stated !== actual) {
      throw new BackstopError('checksum', `invalid checksum, actual '${actual}' but expected '${this.#stated}'`);
    }
    if (this.#format !== repositoryFormat) {
      throw new BackstopError('format', `expected format ${repositoryFormat} but found ${this.#format ?? 'none'}`);
    }
    return { version: this.#version ?? '' };
  }

  #text(text: string): void {
    let start = 0;
    // only what is new is searched: a line may come in many pieces
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const line = text.slice(start, end);
      this.#line(this.#rest === '' ? line : this.#rest + line);
      this.#rest = '';
      start = end + 1;
    }
    this.#rest += text.slice(start);
    if (this.#rest.length > maxLine) throw new BackstopError('format', 'line too long for an info file');
  }

  #line(line: string): void {
    this.#number++;
    if (line === '') return;
    if (line.startsWith('[') && line.endsWith(']')) {
      this.#section = line.slice(1, -1);
      return;
    }
    if (this.#section === undefined) throw this.#wrong('key/value found outside of section at');
    const { key, raw } = splitEntry(line) ?? {};
    if (key === undefined || raw === undefined) throw this.#wrong('invalid JSON value in');
    if (this.#section === headerSection) {
      if (key === checksumKey) {
        this.#stated = parseJsonString(raw, 'the checksum');
        return;
      }
      if (key === 'backrest-format') this.#format = Number(raw);
      if (key === 'backrest-version') this.#version = parseJsonString(this.#decode(raw), `'${key}'`);
    }
    this.#checksum.add(this.#section, key, raw);
    if (this.#section !== headerSection) this.#handler(this.#section, this.#decode(key), this.#decode(raw));
  }

  /** @throws format for bytes that are not UTF-8: such a name could not be written to disk as it was */
  #decode(bytes: string): string {
    if (!/[\x80-\xff]/.test(bytes)) return bytes;
    try {
      return utf8.decode(Buffer.from(bytes, 'latin1'));
    } catch (error) {
      throw this.#wrong('not valid UTF-8 in', error);
    }
  }

  #wrong(problem: string, cause?: unknown): BackstopError {
    return new BackstopError('format', `${problem} line ${this.#number}`, cause === undefined ? {} : { cause });
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Longest key we accept: a path of Linux has 4096 bytes. It bounds the places where a line may be split. */
const maxKey = 64 * 1024;

/**
 * Splits at the first `=` whose right side is JSON: file names in a manifest may hold `=`.
 * @returns undefined when there is none
 */
function splitEntry(line: string): { readonly key: string; readonly raw: string } | undefined {
  // from 1: a key has a character at least, which may be a '=' too (a database can have any name)
  const first = line.indexOf('=', 1);
  const isOnly = first === line.lastIndexOf('=');
  let lastControl: number | undefined;
  for (let at = first; at > 0 && at <= maxKey; at = line.indexOf('=', at + 1)) {
    if (!beginsLikeItEnds(line, at + 1)) continue;
    const raw = line.slice(at + 1);
    // nearly all lines: there is no other place, and who reads the value parses it
    if (isOnly && raw.startsWith('{') && raw.endsWith('}')) return { key: line.slice(0, at), raw };
    // once for all places: a line of nothing but '=' would be searched again from each
    lastControl ??= lastControlOf(line);
    if (looksLikeJson(raw, lastControl > at)) return { key: line.slice(0, at), raw };
  }
  return undefined;
}

const closing: Readonly<Record<string, string>> = { '{': '}', '[': ']', '"': '"' };

/** False where the end of the line alone tells that no JSON begins here. */
function beginsLikeItEnds(line: string, start: number): boolean {
  const begin = line[start];
  if (begin === undefined || begin === '=') return false;
  const end = closing[begin];
  return end === undefined || line.endsWith(end) || line.charCodeAt(line.length - 1) <= 0x20;
}

/** Where the last control character stands, -1 when there is none. */
function lastControlOf(line: string): number {
  for (let at = line.length - 1; at >= 0; at--) if (line.charCodeAt(at) < 0x20) return at;
  return -1;
}

function looksLikeJson(raw: string, hasControl: boolean): boolean {
  try {
    // quick and strict enough to find the split; values are read exactly by whoever needs them
    JSON.parse(raw);
    return true;
  } catch {
    // control characters stand raw in what pgBackRest writes, and only the exact reader takes them
    if (!hasControl) return false;
    try {
      parseJson(raw);
      return true;
    } catch {
      return false;
    }
  }
}

/** The start of a line for a message; what could move a terminal's cursor is masked. */
function excerpt(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is masked
  const text = line.slice(0, 80).replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
  return `'${text}${line.length > 80 ? '...' : ''}'`;
}

/** Writes an info file entry by entry. Sections and keys must come in byte order. */
export class InfoTextWriter {
  readonly #emit: (text: string) => void;
  readonly #checksum = new InfoChecksum('utf8');
  #section = headerSection;
  #pending: string;

  /** @param version version of the writing tool, which readers show */
  constructor(version: string, emit: (text: string) => void) {
    this.#emit = emit;
    const raw = formatJsonString(version);
    this.#pending = `[${headerSection}]\nbackrest-format=${repositoryFormat}\nbackrest-version=${raw}\n`;
    this.#checksum.add(headerSection, 'backrest-format', String(repositoryFormat));
    this.#checksum.add(headerSection, 'backrest-version', raw);
  }

  /** Adds one entry. @param raw the value as JSON text, never a top-level array */
  entry(section: string, key: string, raw: string): void {
    // the file could not be read again, and nobody would know before it is needed
    if (key.includes('\n'))
      throw new BackstopError('format', `${excerpt(key)} has a line break and cannot be recorded`);
    if (section !== this.#section) {
      if (this.#section !== headerSection && compareBytes(section, this.#section) < 0) {
        throw new BackstopError('assert', `section '${section}' is written after '${this.#section}'`);
      }
      this.#section = section;
      this.#pending += `\n[${section}]\n`;
    }
    this.#pending += `${key}=${raw}\n`;
    this.#checksum.add(section, key, raw);
    if (this.#pending.length > 262144) {
      this.#emit(this.#pending);
      this.#pending = '';
    }
  }

  end(): void {
    this.#emit(`${this.#pending}\n[${headerSection}]\n${checksumKey}="${this.#checksum.digest()}"\n`);
    this.#pending = '';
  }
}
