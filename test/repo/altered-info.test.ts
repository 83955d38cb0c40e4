/** Info files with the right checksum, altered by somebody who knows the format: each is refused as what it is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isKind } from '../../src/base/error.ts';
import { decodeArchiveInfo } from '../../src/repo/archive-info.ts';
import { decodeBackupInfo } from '../../src/repo/backup-info.ts';
import { InfoTextReader } from '../../src/repo/info-text.ts';
import { withChecksum } from '../support/info-checksum.ts';

const folder = join(import.meta.dirname, '../fixture/info-repo');
const archiveInfo = readFileSync(join(folder, 'archive.info'), 'utf8');
const backupInfo = readFileSync(join(folder, 'backup.info'), 'utf8');

/** The error of a file in which a text was replaced, with the checksum that fits. */
function refusal(decode: (bytes: Uint8Array) => unknown, text: string, from: string | RegExp, to: string): unknown {
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  try {
    decode(Buffer.from(withChecksum(changed)));
  } catch (error) {
    return error;
  }
  throw new Error('it was read');
}

const withCipher = (text: string, raw: string): string => text.replace('[db]', `[cipher]\ncipher-pass=${raw}\n\n[db]`);

describe.each([
  ['archive.info', decodeArchiveInfo, archiveInfo],
  ['backup.info', decodeBackupInfo, backupInfo],
] as const)('%s', (_, decode, text) => {
  it.each([
    [
      'a version of the tool that is an object without a text',
      'backrest-version="2.59.1"',
      'backrest-version={"toString":1}',
    ],
    ['a version of the tool that is a number', 'backrest-version="2.59.1"', 'backrest-version=18446744073709551616'],
    ['a version of PostgreSQL that leads out of the archive', '"db-version":"15"', '"db-version":"15/../../../x"'],
    ['an id that is no number', /^1=/m, '1.5='],
    ['an id of zero', /^1=/m, '0='],
  ])('with %s is refused', (_what, from, to) => {
    const error = refusal(decode, text, from, to);
    expect(isKind(error, 'format'), String(error)).toBe(true);
  });

  it('with a passphrase that is an object is refused', () => {
    for (const raw of ['{"a":18446744073709551616}', '[1]', 'null']) {
      const error = refusal(decode, text, text, withCipher(text, raw));
      expect(isKind(error, 'format'), String(error)).toBe(true);
    }
  });
});

describe('a backup in backup.info', () => {
  it.each([
    [
      'whose WAL begins with what is no segment',
      '"backup-archive-start":"000000010000000000000002"',
      '"backup-archive-start":"ZZZ"',
    ],
    [
      'whose WAL ends with what is no segment',
      '"backup-archive-stop":"000000010000000000000002"',
      '"backup-archive-stop":""',
    ],
    ['whose prior is no label', '"backup-prior":"20261121-032210F"', '"backup-prior":"../../../x"'],
  ])('%s is refused', (_what, from, to) => {
    const error = refusal(decodeBackupInfo, backupInfo, from, to);
    expect(isKind(error, 'format'), String(error)).toBe(true);
  });
});

it('the version of the tool is text like any other', () => {
  const reader = new InfoTextReader(() => undefined);
  reader.push(Buffer.from(withChecksum(archiveInfo.replace('"2.59.1"', '"2.59.1 \u00e4"'))));
  expect(reader.end()).toEqual({ version: '2.59.1 \u00e4' });
});

describe('a long line', () => {
  /** What is said of a text that was given in pieces. */
  function refused(text: string, piece: number): unknown {
    const reader = new InfoTextReader(() => undefined);
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += piece) reader.push(bytes.subarray(at, at + piece));
      reader.end();
    } catch (error) {
      return error;
    }
    throw new Error('it was read');
  }

  // each would take minutes or hours, were the rest of the line looked at from each place
  it.each([
    ['=', '\n'],
    ['={', '}\n'],
    ['="', '"\n'],
    ['=1', '\n'],
    ['=\u0001', '\n'],
  ])('of nothing but %j is refused soon', (unit, end) => {
    const error = refused(`[db]\n${unit.repeat(2_000_000)}${end}`, 1 << 18);
    expect(isKind(error, 'format'), String(error)).toBe(true);
  });

  it('that comes in very many pieces is read soon', () => {
    const error = refused(`[db]\nkey="${'x'.repeat(16 * 1024 * 1024)}"\n`, 512);
    expect(isKind(error, 'checksum'), String(error)).toBe(true);
  });
});
