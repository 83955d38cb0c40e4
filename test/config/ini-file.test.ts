import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Ini, parseIni } from '../../src/config/ini-file.ts';

function read(content: string | Buffer): Record<string, Record<string, string[]>> {
  const ini: Ini = new Map();
  parseIni(Buffer.isBuffer(content) ? content : Buffer.from(content), ini, line => line);
  return Object.fromEntries([...ini].map(([name, keys]) => [name, Object.fromEntries(keys)]));
}

describe('what is a value', () => {
  const cases: [name: string, line: string, value: string][] = [
    ['a passphrase of base64 and marks', 'k=x+y/z#1;2==', 'x+y/z#1;2=='],
    ['a hash after a space', 'k=a # b', 'a # b'],
    ['a semicolon', 'k=a;b', 'a;b'],
    ['quotes', 'k="a b"', '"a b"'],
    ['backslashes', 'k=a\\nb\\', 'a\\nb\\'],
    ['blanks around', '  k \t=  a b  ', 'a b'],
    ['a carriage return', 'k=a\r', 'a'],
    ['equals signs', 'k==a=b=', '=a=b='],
    ['brackets', 'k=[a]', '[a]'],
    ['what other readers take for a boolean', 'k=true', 'true'],
    ['nothing', 'k=', ''],
    ['a no-break space at the end', 'k=a\u00a0', 'a\u00a0'],
  ];
  test.each(cases)('%s', (_name, line, value) => expect(read(`[s]\n${line}\n`)).toEqual({ s: { k: [value] } }));

  test('many blanks between words, at once', () => {
    const value = `a${' '.repeat(1_000_000)}b`;
    expect(read(`[s]\nk=${value} \n`)).toEqual({ s: { k: [value] } });
  });

  test('any text without line feed and outer blanks survives', () => {
    const texts = fc
      .string({ unit: fc.constantFrom(...';#="\' \t\\[]{}%$äé/+-:,abcXYZ019') })
      .map(text => text.trim())
      .filter(text => text !== '');
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 5 }), values => {
        const content = `[s]\n${values.map(value => `k=${value}`).join('\n')}`;
        expect(read(content)).toEqual({ s: { k: values } });
      }),
    );
  });
});

describe('structure', () => {
  test('comments and empty lines are skipped, sections join, keys repeat', () => {
    expect(read('# a\n[s]\n\n #b\na=1\n[t:u]\nb=2\n[s]\na=3\n;c=4\n')).toEqual({
      s: { a: ['1', '3'], ';c': ['4'] },
      't:u': { b: ['2'] },
    });
  });

  test('keys of a prototype are only keys', () => {
    expect(read('[s]\n__proto__=1\nconstructor=2').s).toHaveProperty('constructor', ['2']);
  });

  const broken: [name: string, content: string, message: string][] = [
    ['a key before any section', 'a=1', 'key/value found outside of section at line 1: a=1'],
    ['no equals sign', '[s]\n\nab', "missing '=' in key/value at line 3: ab"],
    ['no key', '[s]\n=1', 'key is zero-length at line 2: =1'],
    ['an open section', '[s', 'ini section should end with ] at line 1: [s'],
    ['an empty section', '[]', 'invalid empty section at line 1: []'],
    ['a byte order mark', '\ufeff[s]', 'key/value found outside of section at line 1: \ufeff[s]'],
  ];
  test.each(broken)('%s', (_name, content, message) => {
    expect(() => read(content)).toThrow(expect.objectContaining({ kind: 'format', message }));
  });

  test('another encoding is accepted in comments only', () => {
    const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
    expect(read(latin1('# für\n[s]\na=1'))).toEqual({ s: { a: ['1'] } });
    expect(() => read(latin1('[s]\na=für'))).toThrow(/text is not UTF-8 at line 2/);
  });
});
