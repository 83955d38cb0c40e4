import { describe, expect, test } from 'vitest';
import { quoteArgument, quoteLine, quoteName } from '../../src/config/quote.ts';
import { optionNames } from '../../src/config/table.ts';

const secret = 'zWaf6XtpjIVZC5444yXB+1/x#2;3==';

describe('the name of an option that there is not', () => {
  test.each([
    ...optionNames,
    'x',
    'nonsense',
    'repo1-pth',
    'Repo1-Path',
    'REPO1_PATH',
    'repo12_s3_key',
    '-pasphrase',
    'no--path',
  ])('%s is quoted', name => expect(quoteName(name)).toBe(name));

  test.each([
    [`repo1-cipher-pass: ${secret}`, 'repo1-cipher-pass<redacted>'],
    [`repo1-cipher-pass ${secret}`, 'repo1-cipher-pass<redacted>'],
    [`repo1-cypher-pass ${secret}`, '<redacted>'],
    [`- repo1-cipher-pass: ${secret}`, '<redacted>'],
    ['zWaf6XtpjIVZC5444yXB', '<redacted>'],
    ['3f9a01c2d4e5b6a7', '<redacted>'],
    ['f47ac10b-58cc-4372-a567-0e02b2c3d479', '<redacted>'],
  ])('%s is not, when it may be a secret', (written, shown) => expect(quoteName(written)).toBe(shown));
});

describe('an argument that is none', () => {
  test.each(['-x', '-', '--', '', 'bogus', '--nonsense', '--nonsense=1', '--repo1-pth=/var/lib/Backup'])(
    '%s is quoted',
    argument => expect(quoteArgument(argument)).toBe(argument),
  );

  test.each([
    [`--repo1-cypher-pass=${secret}`, '--repo1-cypher-pass=<redacted>'],
    [`-repo1-cipher-pass=${secret}`, '-repo1-cipher-pass=<redacted>'],
    [`repo1-cipher-pass=${secret}`, 'repo1-cipher-pass=<redacted>'],
    [`--repo1-cipher-pass ${secret}`, '--repo1-cipher-pass<redacted>'],
    [`PGBACKREST_REPO1_S3_KEY=${secret}`, 'PGBACKREST_REPO1_S3_KEY=<redacted>'],
  ])('%s is not, when it may be a secret', (argument, shown) => expect(quoteArgument(argument)).toBe(shown));
});

describe('a line of a configuration file that cannot be read', () => {
  test.each(['delta', 'a=b', 'a', '=a', 'repo1-path /var/lib', 'repo-path: /var/lib', '[global', '[]', '[demo:backup'])(
    '%s is quoted',
    line => expect(quoteLine(line)).toBe(line),
  );

  test.each([
    [`repo1-cipher-pass ${secret}`, 'repo1-cipher-pass=<redacted>'],
    [`repo_cipher_pass ${secret}`, 'repo_cipher_pass=<redacted>'],
    [`[global] repo1-cipher-pass=${secret}`, '[global]<redacted>'],
    [`'repo1-cipher-pass=${secret}'`, '<redacted>'],
    [`;repo1-cipher-pass ${secret}`, '<redacted>'],
    [`export PGBACKREST_REPO1_CIPHER_PASS ${secret}`, '<redacted>'],
    [`repo1-path /x repo1-cipher-pass ${secret}`, 'repo1-path=<redacted>'],
    [secret, '<redacted>'],
    [`=${secret}`, '<redacted>'],
    ['correct-horse-battery-staple', '<redacted>'],
  ])('%s is not, when it may be a secret', (line, shown) => expect(quoteLine(line)).toBe(shown));
});
