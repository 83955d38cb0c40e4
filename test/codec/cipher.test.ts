import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { decryptKind, deriveKey, encryptedSize, encryptKind, generatePassphrase } from '../../src/codec/cipher.ts';
import type { Step } from '../../src/codec/step.ts';
import { codecContract, pageLike, run } from '../contract/codec.ts';

const passphrase = 'sekret';
const salt = Buffer.from('0102030405060708', 'hex');
const line = Buffer.from('hello pgBackRest\n');
const lineStored = '53616c7465645f5f0102030405060708424ad4f05836f611de6d8df28485ff5fd55cce05adbc66071b61d9447e9f87a1';
const noneStored = '53616c7465645f5f01020304050607084346f14438c0729b8ee2580a23e916db';

const encrypt = (raw: boolean, salted?: Buffer): Step =>
  encryptKind(salted === undefined ? undefined : () => salted).open({ step: 'encrypt', passphrase, raw });
const decrypt = (raw: boolean, pass = passphrase): Step => decryptKind.open({ step: 'decrypt', passphrase: pass, raw });

for (const raw of [false, true]) {
  codecContract(`aes-256-cbc${raw ? ' raw' : ''}`, {
    // a fixed salt: a cut at a block's end is taken for good once in 256 times, padding has no more to tell it by
    encode: () => encrypt(raw, salt),
    decode: () => decrypt(raw),
    damage: 'crypto',
    detectsChange: false,
    trailing: 'refused',
  });
}

describe('aes-256-cbc', () => {
  it('derives key and IV as OpenSSL does', () => {
    const { key, iv } = deriveKey(passphrase, salt);
    expect(key.toString('hex')).toBe('d268184fae3b6bc664a50fb1b198a57db238da10b1c6e70b79766b2d9707ec13');
    expect(iv.toString('hex')).toBe('c8665d10bf2a18c07cfb25b117e36b6d');
  });

  it('writes the bytes that pgBackRest reads', () => {
    expect(run(encrypt(false, salt), line).toString('hex')).toBe(lineStored);
    expect(run(encrypt(true, salt), line).toString('hex')).toBe(lineStored.slice(16));
    expect(run(encrypt(false, salt), Buffer.alloc(0)).toString('hex')).toBe(noneStored);
    expect(run(decrypt(false), Buffer.from(lineStored, 'hex')).equals(line)).toBe(true);
    expect(run(decrypt(true), Buffer.from(lineStored, 'hex').subarray(8)).equals(line)).toBe(true);
  });

  it('knows its size before', () => {
    for (const raw of [false, true]) {
      for (const size of [0, 1, 15, 16, 17, 100_000]) {
        expect(run(encrypt(raw), Buffer.alloc(size)).length).toBe(encryptedSize(size, raw));
      }
    }
  });

  it('salts every stream anew', () => {
    expect(run(encrypt(false), line).equals(run(encrypt(false), line))).toBe(false);
  });

  it('says what is wrong', () => {
    const stored = Buffer.from(lineStored, 'hex');
    const message = (input: Buffer, pass?: string): string => {
      try {
        run(decrypt(false, pass), input);
      } catch (error) {
        return (error as Error).message;
      }
      return 'nothing';
    };
    expect(message(Buffer.from('[backrest]\nbackrest-format=5\n'))).toBe('cipher header invalid');
    expect(message(Buffer.alloc(0))).toBe('cipher header missing');
    expect(message(stored.subarray(0, 12))).toBe('cipher header missing');
    expect(message(stored.subarray(0, 40))).toBe('unable to flush');
    expect(message(stored, 'wrong')).toBe('unable to flush');
  });

  it('makes passphrases of 64 letters that differ', () => {
    expect(generatePassphrase()).toMatch(/^[A-Za-z0-9+/]{64}$/);
    expect(generatePassphrase()).not.toBe(generatePassphrase());
  });

  const openssl = spawnSync('openssl', ['version']).error === undefined;
  it.skipIf(!openssl)('is what openssl reads and writes', () => {
    const plain = pageLike(500_000);
    const args = ['enc', '-aes-256-cbc', '-md', 'sha1', '-pass', 'pass:sekret'];
    const theirs = spawnSync('openssl', args, { input: plain, maxBuffer: 10_000_000 }).stdout;
    expect(run(decrypt(false), theirs, [3, 20, 70_000]).equals(plain)).toBe(true);
    const input = run(encrypt(false), plain, [5]);
    expect(spawnSync('openssl', [...args, '-d'], { input, maxBuffer: 10_000_000 }).stdout.equals(plain)).toBe(true);
  });
});
