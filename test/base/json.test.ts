import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKind } from '../../src/base/error.ts';
import { compareBytes, formatJson, formatJsonString, type Json, parseJson } from '../../src/base/json.ts';
import { JsonFields } from '../../src/base/json-fields.ts';

/** Values as info files hold them: integers of any size, no fractions. */
const json = fc.letrec<{ value: Json }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n }),
    fc.string({ unit: 'grapheme' }),
    fc.array(tie('value')),
    fc.dictionary(fc.string({ unit: 'grapheme' }), tie('value')),
  ),
})).value;

describe('what is written', () => {
  it('is read as what it was', () => {
    fc.assert(
      fc.property(json, value => {
        expect(plain(parseJson(formatJson(value)))).toEqual(plain(value));
      }),
    );
  });

  it('stays the same when it is read and written again', () => {
    fc.assert(
      fc.property(json, value => {
        const text = formatJson(value);
        expect(formatJson(parseJson(text))).toBe(text);
      }),
    );
  });

  it('has the escapes that pgBackRest reads and no others', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), text => {
        expect(formatJsonString(text)).toMatch(/^"([^"\\]|\\["\\nrtbf])*"$/);
      }),
    );
    expect(formatJsonString('a"b\\c\n\r\t\b\f\u0001/é')).toBe('"a\\"b\\\\c\\n\\r\\t\\b\\f\u0001/é"');
  });

  it('has keys in the order of their bytes and no white space', () => {
    expect(formatJson({ b: 1, a: [1, 'x', null, true], B: {}, 'a-b': 2n ** 63n })).toBe(
      '{"B":{},"a":[1,"x",null,true],"a-b":9223372036854775808,"b":1}',
    );
  });

  it.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])('cannot be the number %d', value => {
    expect(() => formatJson(value)).toThrow('cannot be written exactly');
  });
});

describe('reading', () => {
  it.each<[string, Json]>([
    ['6569239123849665679', 6569239123849665679n],
    ['18446744073709551615', 18446744073709551615n],
    ['-9223372036854775808', -9223372036854775808n],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['1.5', 1.5],
    ['-1e3', -1000],
    [' [ 1 , 2 ] ', [1, 2]],
    ['"\\u00e9\\ud83d\\ude00"', 'é😀'],
    ['"a\u0001b"', 'a\u0001b'],
  ])('%s', (text, value) => {
    expect(parseJson(text)).toEqual(value);
  });

  it('keeps big integers exact at any depth', () => {
    expect(formatJson(parseJson('{"a":[{"db-id":6569239123849665679}]}'))).toBe(
      '{"a":[{"db-id":6569239123849665679}]}',
    );
  });

  it.each([
    '',
    ' ',
    '{',
    '[1',
    '[1,]',
    '{"a"}',
    '{"a":}',
    '{a:1}',
    "'a'",
    '"a',
    '1 2',
    'nul',
    '01x',
    '1234567890123456789x',
    '{"a":1234567890123456789,}',
    '[1234567890123456789 2]',
    '"\\x" 1234567890123456789',
    '"half a character: \\ud800"',
    '{"\\udc00a":1}',
  ])('%j is no JSON, and where is said', text => {
    let thrown: unknown;
    try {
      parseJson(text);
    } catch (error) {
      thrown = error;
    }
    expect(isKind(thrown, 'json-format')).toBe(true);
    expect(String(thrown)).toMatch(/character \d+/);
  });

  it('any text gives a value or an error of ours', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'[]{}":,0123456789.-eE\\ntrue \u0001') }), text => {
        try {
          parseJson(text);
        } catch (error) {
          expect(isKind(error, 'json-format')).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('is bounded in depth', () => {
    const deep = `${'['.repeat(100_000)}1234567890123456789${']'.repeat(100_000)}`;
    expect(() => parseJson(deep)).toThrow('nested too deeply');
  });

  it('takes hostile keys as keys', () => {
    const value = parseJson('{"__proto__":{"polluted":1234567890123456789},"constructor":1}') as Record<string, Json>;
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('comparing', () => {
  it('is as the UTF-8 bytes compare', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
      }),
      { numRuns: 2000 },
    );
    expect(compareBytes('\u{10000}', '\uffff')).toBeGreaterThan(0);
  });
});

describe('fields', () => {
  const fields = new JsonFields(
    parseJson('{"n":5,"s":"x","b":true,"l":["a"],"m":{"k":"v"},"z":null,"i":6569239123849665679,"neg":-1}'),
    'thing',
  );

  it('are read by their type', () => {
    expect(fields.count('n')).toBe(5);
    expect(fields.string('s')).toBe('x');
    expect(fields.boolean('b')).toBe(true);
    expect(fields.strings('l')).toEqual(['a']);
    expect([...fields.map('m')]).toEqual([['k', 'v']]);
    expect(fields.bigint('i')).toBe(6569239123849665679n);
    expect(fields.bigint('n')).toBe(5n);
    expect(fields.optional('z', fields.string)).toBeUndefined();
    expect(fields.optional('missing', fields.string)).toBeUndefined();
  });

  it.each<[string, () => unknown]>([
    ["'n' of thing is not a string", () => fields.string('n')],
    ["'missing' of thing is missing", () => fields.string('missing')],
    ["'neg' of thing is not a count", () => fields.count('neg')],
    ["'i' of thing is not a count", () => fields.count('i')],
    ["'s' of thing is not an integer", () => fields.bigint('s')],
    ["'m' of thing is not a list of strings", () => fields.strings('m')],
    ["'s' of thing is not a boolean", () => fields.boolean('s')],
    ['list is not a JSON object', () => JsonFields.parse('[1]', 'list')],
  ])('%s', (message, read) => {
    expect(read).toThrow(message);
  });
});

/** Objects without a prototype compare as plain ones; small bigints are numbers. */
function plain(value: Json): unknown {
  if (typeof value === 'bigint') return value;
  if (Array.isArray(value)) return (value as Json[]).map(plain);
  if (value !== null && typeof value === 'object') {
    return new Map(
      Object.entries(value)
        .sort(([a], [b]) => compareBytes(a, b))
        .map(([key, item]) => [key, plain(item as Json)]),
    );
  }
  return Object.is(value, -0) ? 0 : value;
}
