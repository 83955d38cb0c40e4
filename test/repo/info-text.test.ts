import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes, formatJson } from '../../src/base/json.ts';
import { InfoTextReader, InfoTextWriter } from '../../src/repo/info-text.ts';

type Entry = readonly [section: string, key: string, raw: string];

function write(entries: readonly Entry[], version = '2.59.1'): string {
  let text = '';
  const writer = new InfoTextWriter(version, part => {
    text += part;
  });
  for (const [section, key, raw] of entries) writer.entry(section, key, raw);
  writer.end();
  return text;
}

/** @param sizes bytes of each piece that the reader is given, over and over */
function read(bytes: Uint8Array | string, sizes: readonly number[] = [1e9]): { entries: Entry[]; version: string } {
  const entries: Entry[] = [];
  const reader = new InfoTextReader((section, key, raw) => entries.push([section, key, raw]));
  const all = Buffer.from(bytes as string);
  for (let at = 0, turn = 0; at < all.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    reader.push(all.subarray(at, at + size));
    at += size;
  }
  return { entries, ...reader.end() };
}

// accepted by pgBackRest 2.59.1
const vector = `[backrest]
backrest-format=5
backrest-version="2.59.1"

[db]
db-id=1
db-system-id=6569239123849665679
db-version="15"

[db:history]
1={"db-id":6569239123849665679,"db-version":"15"}

[backrest]
backrest-checksum="7b594644318103fa1d691065f450a05f9c13dbb9"
`;
const vectorEntries: readonly Entry[] = [
  ['db', 'db-id', '1'],
  ['db', 'db-system-id', '6569239123849665679'],
  ['db', 'db-version', '"15"'],
  ['db:history', '1', '{"db-id":6569239123849665679,"db-version":"15"}'],
];

describe('the vector', () => {
  it('is written byte for byte', () => {
    expect(write(vectorEntries)).toBe(vector);
  });

  it('is read, in pieces of any size', () => {
    for (const size of [1, 2, 7, 64, 1000]) {
      expect(read(vector, [size])).toEqual({ entries: vectorEntries, version: '2.59.1' });
    }
  });

  it('with any byte changed is refused, unless it stays the same text', () => {
    for (let at = 0; at < vector.length; at++) {
      const bytes = Buffer.from(vector);
      bytes[at] = (bytes[at] ?? 0) ^ 0x01;
      let entries: readonly Entry[] | undefined;
      try {
        ({ entries } = read(bytes));
      } catch (error) {
        expect(['format', 'checksum', 'json-format']).toContain((error as { kind: string }).kind);
      }
      if (entries !== undefined) expect(entries).toEqual(vectorEntries);
    }
  });

  it('cut off anywhere is refused, but for its last line break', () => {
    for (let length = 0; length < vector.length - 1; length++) expect(() => read(vector.slice(0, length))).toThrow();
    expect(read(vector.slice(0, -1)).entries).toEqual(vectorEntries);
  });
});

describe('any entries', () => {
  const name = fc.string({ unit: fc.constantFrom(...'abcXYZ019_-. =é😀[]"\\:'), minLength: 1, maxLength: 20 });
  const key = name.filter(text => !text.startsWith('[') && !/=[0-9"[{]/.test(text));
  const raw = fc
    .oneof(
      fc.maxSafeInteger(),
      fc.bigInt({ min: 2n ** 60n, max: 2n ** 64n }),
      fc.string({ unit: 'grapheme' }),
      fc.boolean(),
    )
    .map(value => formatJson(value));
  const section = fc.constantFrom('backup', 'backup:db', 'db', 'target:file', 'target:path');

  it('are read as they were written', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(section, key, raw)),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }),
        (entries, sizes) => {
          entries.sort((a, b) => compareBytes(a[0], b[0]) || compareBytes(a[1], b[1]));
          expect(read(write(entries), sizes).entries).toEqual(entries);
        },
      ),
    );
  });
});

describe('a name', () => {
  it.each(['=', '=a', '==1', 'a=b', 'a=', 'a==', 'pg_data/x=1=y', 'é', 'a b', 'a\tb', '"quoted"', "it's"])(
    '%s may be in a key',
    key => {
      const entries: Entry[] = [['target:file', key, '{"size":1}']];
      expect(read(write(entries)).entries).toEqual(entries);
    },
  );

  it('that is not UTF-8 is refused', () => {
    const text = Buffer.from(write([['target:file', 'pg_data/xx', '1']]));
    text[text.indexOf('xx')] = 0xff;
    expect(() => read(text)).toThrow('not valid UTF-8');
  });
});

describe('the reader refuses', () => {
  it.each<[string, string]>([
    ['key/value found outside of section', 'a=1\n'],
    ['invalid JSON value in', '[a]\nb=nonsense\n'],
    ['invalid JSON value in', '[a]\njust text\n'],
    ['no checksum found', '[a]\nb=1\n'],
    ['no checksum found', ''],
    ["actual '", '[a]\nb=1\n\n[backrest]\nbackrest-checksum="0000000000000000000000000000000000000000"\n'],
    ['the checksum is not a string', '[backrest]\nbackrest-checksum=1\n'],
    ['expected format 5 but found 6', withFormat('6')],
    ['expected format 5 but found 4', withFormat('4')],
  ])('%s', (message, text) => {
    expect(() => read(text)).toThrow(message);
  });

  it('what it does not quote: it may be a passphrase', () => {
    for (const text of [
      'cipher-pass="secret"\n',
      '[cipher]\n\ncipher-pass="secret\n',
      '[cipher]\n\ncipher-pass secret=="\n',
    ]) {
      expect(() => read(text)).toThrow(/^[^=]* line [13]$/);
      expect(() => read(text)).not.toThrow('secret');
    }
  });

  it('a line without an end, with bounded memory', () => {
    const reader = new InfoTextReader(() => undefined);
    const piece = Buffer.alloc(8 * 1024 * 1024, 'x');
    reader.push(Buffer.from('[a]\n'));
    expect(() => {
      for (let turn = 0; turn < 20; turn++) reader.push(piece);
    }).toThrow('line too long');
  });
});

it('the writer refuses a key with a line break, which nobody could read', () => {
  expect(() => write([['db', 'a\nb', '1']])).toThrow("'a?b' has a line break and cannot be recorded");
});

it('the writer refuses sections out of order', () => {
  expect(() =>
    write([
      ['b', 'x', '1'],
      ['a', 'x', '1'],
    ]),
  ).toThrow("section 'a' is written after 'b'");
});

/** A file that is right in all but its format number: checksums are as another format's writer would make them. */
function withFormat(format: string): string {
  const body = `{"backrest":{"backrest-format":${format},"backrest-version":"9"}}`;
  const { createHash } = process.getBuiltinModule('node:crypto');
  const checksum = createHash('sha1').update(body).digest('hex');
  return `[backrest]\nbackrest-format=${format}\nbackrest-version="9"\n\n[backrest]\nbackrest-checksum="${checksum}"\n`;
}
