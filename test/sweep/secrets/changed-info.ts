/**
 * Info files and manifests of an encrypted repository with something wrong in them: what is said of it must not quote the
 * passphrase that they carry.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isBackstopError } from '../../../src/base/error.ts';
import type { BackupLabel } from '../../../src/repo/label.ts';
import { archiveInfoFile, backupInfoFile, copySuffix, manifestFile } from '../../../src/repo/layout.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { readStored, writeStored } from '../../../src/repo/stored.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';
import type { Random } from '../../support/random.ts';

const limit = 64 * 1024 * 1024;
const block = 16;

/** A file that carries a passphrase, and how it is read. */
interface Carrier {
  readonly path: string;
  /** Of the file itself. */
  readonly passphrase: string;
  readonly load: (repo: StanzaRepo) => Promise<unknown>;
}

interface Read {
  readonly carrier: Carrier;
  readonly stored: Buffer;
  readonly text: string;
}

export class ChangedInfo {
  readonly #random: Random;
  /** Of the changed files: thousands are written and synced. */
  readonly #folder: string;
  readonly #place: StanzaRepo;
  readonly #carriers: readonly Read[];

  private constructor(random: Random, folder: string, place: StanzaRepo, carriers: readonly Read[]) {
    this.#random = random;
    this.#folder = folder;
    this.#place = place;
    this.#carriers = carriers;
  }

  /**
   * @param path of a repository with a backup
   */
  static async open(random: Random, path: string, label: string, cipherPass: string): Promise<ChangedInfo> {
    const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'changed-info-'));
    const open = (base: string) =>
      new StanzaRepo(
        { key: 1, type: 'posix', path: base, cipherPass },
        openPosixStorage({ label: 'repo1', base }),
        'demo',
      );
    const [repo, place] = [open(path), open(folder)];
    const info = await repo.loadBackupInfo();
    const manifestPass = info.cipherPass ?? '';
    const set = label as BackupLabel;
    const carriers: Carrier[] = [
      { path: archiveInfoFile('demo'), passphrase: cipherPass, load: one => one.loadArchiveInfo() },
      { path: backupInfoFile('demo'), passphrase: cipherPass, load: one => one.loadBackupInfo() },
      { path: manifestFile('demo', set), passphrase: manifestPass, load: one => one.loadManifest(set, manifestPass) },
    ];
    const read = async (carrier: Carrier) => ({
      carrier,
      stored: Buffer.from(await readStored(repo.storage, carrier.path, undefined, limit)),
      text: Buffer.from(await readStored(repo.storage, carrier.path, carrier.passphrase, limit)).toString(),
    });
    return new ChangedInfo(random, folder, place, await Promise.all(carriers.map(read)));
  }

  /** @returns all that is said of one more change, and what that was */
  async next(): Promise<{ readonly what: string; readonly said: string }> {
    const { carrier, stored, text } = this.#random.pick(this.#carriers);
    const isStored = this.#random.chance(50);
    const { what, content } = isStored ? this.#changeStored(stored) : this.#changeText(text);
    const paths = [carrier.path, carrier.path + copySuffix];
    await writeStored(this.#place.storage, paths, isStored ? undefined : carrier.passphrase, content);
    return { what: `${carrier.path}: ${what}`, said: await saidOf(() => carrier.load(this.#place)) };
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** Something in the file as it is stored: a changed byte makes a block of nonsense. */
  #changeStored(stored: Buffer): { what: string; content: Buffer } {
    const bytes = Buffer.from(stored);
    // the first block is the salt
    const at = this.#random.between(1, Math.floor(bytes.length / block) - 1) * block;
    const pieces = (...parts: readonly [number, number][]) =>
      Buffer.concat(parts.map(([from, to]) => bytes.subarray(from, to)));
    switch (this.#random.between(1, 4)) {
      case 1: {
        const place = at + this.#random.between(0, block - 1);
        bytes[place] = (bytes[place] ?? 0) ^ this.#random.between(1, 255);
        return { what: `byte ${place} changed`, content: bytes };
      }
      case 2:
        return { what: `block at ${at} lost`, content: pieces([0, at], [at + block, bytes.length]) };
      case 3:
        return { what: `block at ${at} twice`, content: pieces([0, at + block], [at, bytes.length]) };
      default:
        return { what: `ends at ${at}`, content: pieces([0, at]) };
    }
  }

  /** Something in the text, near the passphrase. */
  #changeText(text: string): { what: string; content: Buffer } {
    const start = Math.max(0, text.indexOf('[cipher]') - 4);
    const end = text.indexOf('\n', text.indexOf('cipher-pass')) + 2;
    const at = this.#random.between(start, end);
    const put = this.#random.pick(['', '\n', '=', '"', ']\n', '[', '\\', '\u0000', '\u00ff', '{', 'x']);
    const taken = this.#random.between(0, 2);
    const changed = text.slice(0, at) + put + text.slice(at + taken);
    return { what: `${taken} at ${at} replaced by ${JSON.stringify(put)}`, content: Buffer.from(changed, 'latin1') };
  }
}

async function saidOf(load: () => Promise<unknown>): Promise<string> {
  try {
    await load();
    return '';
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    return `${error.text}\n${error.stack}`;
  }
}
