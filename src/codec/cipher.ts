/**
 * aes-256-cbc with PKCS#7 padding, laid out as `openssl enc -md sha1` does: `Salted__`, 8 bytes of salt, ciphertext.
 * The raw form (bundle members, super blocks, block maps) leaves the eight letters out.
 */
import { type Cipher, createCipheriv, createDecipheriv, createHash, type Decipher, randomBytes } from 'node:crypto';
import { BackstopError } from '../base/error.ts';
import type { StepKind } from './pipeline.ts';
import type { Emit } from './step.ts';

export interface EncryptSpec {
  readonly step: 'encrypt';
  /** Used as its text bytes: base64 passphrases are not decoded. */
  readonly passphrase: string;
  readonly raw: boolean;
}

export interface DecryptSpec {
  readonly step: 'decrypt';
  readonly passphrase: string;
  readonly raw: boolean;
}

const magic = Buffer.from('Salted__', 'latin1');
const saltLength = 8;
const wrongKey = 'is this the passphrase (cipher-pass) that the data was encrypted with?';

/** A new passphrase for a sub-key: 48 random bytes in base64, 64 letters. */
export function generatePassphrase(): string {
  return randomBytes(48).toString('base64');
}

/** Bytes that `plain` bytes have once encrypted. */
export function encryptedSize(plain: number, raw: boolean): number {
  return (raw ? 0 : magic.length) + saltLength + 16 * (Math.floor(plain / 16) + 1);
}

/** Key and IV as EVP_BytesToKey makes them with SHA-1 and one iteration. */
export function deriveKey(passphrase: string, salt: Uint8Array): { key: Buffer; iv: Buffer } {
  const pass = Buffer.from(passphrase, 'utf8');
  const digests: Buffer[] = [];
  let previous: Buffer = Buffer.alloc(0);
  for (let round = 0; round < 3; round++) {
    previous = createHash('sha1').update(previous).update(pass).update(salt).digest();
    digests.push(previous);
  }
  const all = Buffer.concat(digests);
  return { key: all.subarray(0, 32), iv: all.subarray(32, 48) };
}

/** Bytes given to OpenSSL at once: Node allocates the output of each call, and pieces this small stay in the heap's bins. */
const piece = 64 * 1024;

function update(cipher: Cipher | Decipher, chunk: Uint8Array, emit: Emit): void {
  for (let at = 0; at < chunk.length; at += piece) {
    const out = cipher.update(chunk.length <= piece ? chunk : chunk.subarray(at, at + piece));
    if (out.length > 0) emit(out);
  }
}

/** @param salt for tests with vectors; absent: random, as it must be */
export function encryptKind(salt?: () => Uint8Array): StepKind<EncryptSpec> {
  return {
    open({ passphrase, raw }) {
      const salted = salt?.() ?? randomBytes(saltLength);
      const { key, iv } = deriveKey(passphrase, salted);
      const cipher = createCipheriv('aes-256-cbc', key, iv);
      let started = false;
      const start = (emit: Emit): void => {
        started = true;
        emit(raw ? salted : Buffer.concat([magic, salted]));
      };
      return {
        push(chunk, emit) {
          if (!started) start(emit);
          update(cipher, chunk, emit);
        },
        end(emit) {
          if (!started) start(emit);
          emit(cipher.final());
        },
      };
    },
  };
}

/** Errors are crypto: header invalid, header missing, unable to flush (cut short, altered at the end, or a wrong key). */
export const decryptKind: StepKind<DecryptSpec> = {
  open({ passphrase, raw }) {
    const header = Buffer.alloc((raw ? 0 : magic.length) + saltLength);
    let held = 0;
    let decipher: Decipher | undefined;
    return {
      push(chunk, emit) {
        let rest = chunk;
        if (decipher === undefined) {
          const take = Math.min(header.length - held, chunk.length);
          header.set(chunk.subarray(0, take), held);
          held += take;
          if (!raw && !magic.subarray(0, held).equals(header.subarray(0, Math.min(held, magic.length)))) {
            throw new BackstopError('crypto', 'cipher header invalid', {
              hint: 'is the repository encrypted, and is this file from it?',
            });
          }
          if (held < header.length) return;
          const { key, iv } = deriveKey(passphrase, header.subarray(header.length - saltLength));
          decipher = createDecipheriv('aes-256-cbc', key, iv);
          rest = chunk.subarray(take);
        }
        update(decipher, rest, emit);
      },
      end(emit) {
        if (decipher === undefined) throw new BackstopError('crypto', 'cipher header missing');
        let last: Buffer;
        try {
          last = decipher.final();
        } catch (cause) {
          throw new BackstopError('crypto', 'unable to flush', { hint: wrongKey, cause });
        }
        if (last.length > 0) emit(last);
      },
    };
  },
};
