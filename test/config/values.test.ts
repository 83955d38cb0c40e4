import { describe, expect, test } from 'vitest';
import { parseInteger, parsePair, parseSize, parseTime, withoutPassword } from '../../src/config/values.ts';

describe('sizes', () => {
  const cases: [text: string, bytes: number | undefined][] = [
    ['0', 0],
    ['1', 1],
    ['10b', 10],
    ['10B', 10],
    ['16k', 16384],
    ['16KB', 16384],
    ['16KiB', 16384],
    ['20MiB', 20 * 1024 ** 2],
    ['1g', 1024 ** 3],
    ['3TB', 3 * 1024 ** 4],
    ['4PiB', 4 * 1024 ** 5],
    ['', undefined],
    ['k', undefined],
    ['1.5k', undefined],
    ['-1', undefined],
    ['1 k', undefined],
    ['1kk', undefined],
    ['1ib', undefined],
    ['1x', undefined],
    ['9223372036854775807', 2 ** 63],
    ['9223372036854775808', undefined],
    ['8192p', undefined],
  ];
  test.each(cases)('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes));
});

describe('times', () => {
  const cases: [text: string, milliseconds: number | undefined][] = [
    ['60', 60_000],
    ['100ms', 100],
    ['100MS', 100],
    ['5s', 5000],
    ['30m', 1_800_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['1w', 604_800_000],
    ['-5', -5000],
    ['', undefined],
    ['ms', undefined],
    ['1.5', undefined],
    ['5 s', undefined],
    ['5x', undefined],
    ['9223372036854775807', undefined],
  ];
  test.each(cases)('%s', (text, milliseconds) => expect(parseTime(text)).toBe(milliseconds));
});

describe('integers', () => {
  const cases: [text: string, value: number | undefined][] = [
    ['0', 0],
    ['-7', -7],
    ['+7', 7],
    ['007', 7],
    ['1.0', undefined],
    ['1e3', undefined],
    ['0x10', undefined],
    [' 1', undefined],
    ['', undefined],
    ['99999999999999999999', undefined],
  ];
  test.each(cases)('%s', (text, value) => expect(parseInteger(text)).toBe(value));
});

test('a pair is split at its first equals sign', () => {
  expect(parsePair('a=b=c')).toEqual(['a', 'b=c']);
  expect(parsePair('a=')).toEqual(['a', '']);
  expect(parsePair('a')).toBeUndefined();
});

describe('passwords in a connection', () => {
  test.each([
    ['primary_conninfo=host=db password=se,cret user=me', 'primary_conninfo=host=db password=<redacted> user=me'],
    ["primary_conninfo=password = 'two words' user=me", 'primary_conninfo=password = <redacted> user=me'],
    ["PASSWORD='it\\'s' port=1", 'PASSWORD=<redacted> port=1'],
    ["password='it''s' port=1", 'password=<redacted> port=1'],
    ["password='open", 'password=<redacted>'],
    ['password=it\'s"5 port=1', 'password=<redacted> port=1'],
    ['password=two\\ words port=1', 'password=<redacted> port=1'],
    ["password=''two words'' port=1", 'password=<redacted> port=1'],
    ['restore_command=PGPASSWORD=x get %f', 'restore_command=PGPASSWORD=<redacted>'],
    ['postgresql://db/x?user=me&password=a', 'postgresql://db/x?user=me&password=<redacted>'],
    ['sslpassword=a sslmode=require', 'sslpassword=<redacted> sslmode=require'],
    ['postgresql://me:secret@db/x', 'postgresql://me:<redacted>@db/x'],
    ['https://me:secret@minio:9000', 'https://me:<redacted>@minio:9000'],
    ['https://me:se/cret@minio:9000', 'https://me:<redacted>@minio:9000'],
    ['http://minio:9000/a@b', 'http://minio:9000/a@b'],
    ['/var/lib/password', '/var/lib/password'],
    ['restore_command=cp /a/%f %p', 'restore_command=cp /a/%f %p'],
  ])('%s', (text, shown) => expect(withoutPassword(text)).toBe(shown));
});
