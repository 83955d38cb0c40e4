/** A small repository with every kind of file in it, of one make: codec, cipher, layout, and the tool that wrote it. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha1, systemId } from '../../command/archive/archive-bed.ts';
import { forgeWalHeader } from '../../postgres/forge.ts';
import type { CommandResult } from '../../support/command-run.ts';
import type { RealPgbackrest } from '../../support/real-pgbackrest.ts';
import type { OptionValues } from '../../support/stanza.ts';
import { CommandBed } from '../../support/sweep/command-bed.ts';
import { pages } from '../../support/tiny-cluster.ts';

export interface Make {
  readonly codec: string;
  readonly cipher: string;
  readonly layout: string;
  /** Absent: ours. */
  readonly writer?: RealPgbackrest;
}

const layouts: Readonly<Record<string, OptionValues>> = {
  plain: {},
  bundle: { 'repo1-bundle': 'y' },
  block: { 'repo1-bundle': 'y', 'repo1-block': 'y', 'repo1-bundle-limit': '20KiB' },
};

/** A file, as a restore must bring it back. */
type Content = Readonly<Record<string, string>>;

export interface KnownBackup {
  readonly label: string;
  readonly content: Content;
}

export const segments = ['000000010000000000000004', '000000010000000000000005', '000000010000000000000006'] as const;
const partial = '000000010000000000000007.partial';
const histories: Readonly<Record<string, string>> = {
  '00000002.history': '1\t0/700000\tno recovery target specified\n',
  '00000003.history': '1\t0/700000\tno recovery target specified\n\n2\t0/A00028\tbefore 2026-11-21 02:09:56+00\n',
};

export class TruthBed {
  readonly bed: CommandBed;
  readonly make: Make;
  /** In the order in which they were made. */
  readonly backups: KnownBackup[] = [];
  /** What was archived, by name. */
  readonly archived = new Map<string, Buffer>();

  private constructor(make: Make) {
    this.make = make;
    this.bed = new CommandBed('truth');
  }

  static async create(make: Make): Promise<TruthBed> {
    const bed = new TruthBed(make);
    try {
      await bed.#fill();
    } catch (error) {
      bed.dispose();
      throw error;
    }
    return bed;
  }

  /** The folder of the repository. */
  get repo(): string {
    return this.bed.repoPath();
  }

  async #fill(): Promise<void> {
    const { bed, make } = this;
    bed.configure({
      'compress-type': make.codec,
      'repo1-retention-full': 9,
      'log-level-console': 'warn',
      ...(make.cipher === 'none' ? {} : { 'repo1-cipher-type': make.cipher, 'repo1-cipher-pass': 'secret' }),
      ...layouts[make.layout],
    });
    await bed.run('stanza-create', ['--no-online']);
    const { cluster } = bed;
    cluster.write('base/5/20000', pages(8, 20));
    cluster.write('base/5/20001', randomBytesOf(5000));
    this.#age();
    await this.#backup('full');
    const relation = readFileSync(join(cluster.data, 'base/5/20000'));
    relation.fill(7, 3 * 8192 + 100, 3 * 8192 + 160);
    cluster.write('base/5/20000', relation);
    cluster.write('base/5/16384', pages(1, 33));
    this.#age(60);
    await this.#backup('incr');
    for (const name of [...segments, partial]) await this.#push(name, forgeSmallSegment(name));
    for (const [name, text] of Object.entries(histories)) await this.#push(name, Buffer.from(text));
    await this.#push(`${segments[0]}.00000028.backup`, Buffer.from('START WAL LOCATION: 0/400028\nLABEL: x\n'));
  }

  /** Files that changed just now are not stored by blocks, and are looked at again by the next backup. */
  #age(seconds = 0): void {
    const { data } = this.bed.cluster;
    const at = Math.floor(Date.now() / 1000) - 7200 + seconds;
    for (const name of readdirSync(data, { recursive: true, encoding: 'utf8' })) {
      const path = join(data, name);
      if (lstatSync(path).isFile() && statSync(path).mtimeMs / 1000 > at) utimesSync(path, at, at);
    }
  }

  async #backup(type: string): Promise<void> {
    const { bed, make } = this;
    const content = this.content(bed.cluster.data);
    const args = ['--no-online', `--type=${type}`, '--annotation=why=truth', '--no-checksum-page'];
    if (make.writer === undefined) {
      await bed.run('backup', args);
    } else {
      const { code, output } = await bed.foreign(make.writer.path, 'backup', args);
      if (code !== 0) throw new Error(`the real backup ended with ${code}\n${output}`);
    }
    const labels = readdirSync(join(this.repo, 'backup/demo')).filter(name => /^\d{8}-/.test(name));
    const label = labels.find(name => this.backups.every(backup => backup.label !== name));
    if (label === undefined) throw new Error('there is no new backup');
    this.backups.push({ label, content });
  }

  async #push(name: string, content: Buffer): Promise<void> {
    const path = join(this.bed.root, 'wal', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    await this.bed.run('archive-push', [path]);
    this.archived.set(name, content);
  }

  verify(...args: readonly string[]): Promise<CommandResult> {
    return this.bed.attempt('verify', ['--output=text', ...args]);
  }

  /** Restores a backup into a folder of its own. @returns undefined for the content when it failed */
  async restore(label: string): Promise<{ result: CommandResult; content: Content | undefined; target: string }> {
    const [target, space] = [this.bed.newFolder(), this.bed.newFolder()];
    const args = [`--set=${label}`, `--pg1-path=${target}`, `--tablespace-map-all=${space}`, '--type=none'];
    const result = await this.bed.attempt('restore', args);
    const content = result.error === undefined ? this.content(target) : undefined;
    return { result, content, target };
  }

  /** Fetches an archived file. @returns its bytes, when it came */
  async get(name: string): Promise<{ result: CommandResult; bytes: Buffer | undefined }> {
    const wanted = join(this.bed.root, 'wanted');
    rmSync(wanted, { force: true });
    const result = await this.bed.attempt('archive-get', [name, wanted]);
    const isThere = result.error === undefined && result.code === undefined;
    return { result, bytes: isThere ? readFileSync(wanted) : undefined };
  }

  /** Files of a data directory and its tablespace, with what a restore brings back of them. */
  content(data: string): Content {
    const found: Record<string, string> = {};
    const visit = (folder: string, base: string): void => {
      for (const entry of readdirSync(folder)) {
        const path = join(folder, entry);
        const info = statSync(path);
        if (info.isDirectory()) visit(path, `${base}${entry}/`);
        else if (base + entry !== 'postgresql.auto.conf') {
          const time = Math.floor(info.mtimeMs / 1000);
          found[base + entry] = `${sha1(readFileSync(path))} ${info.size} ${(info.mode & 0o777).toString(8)} ${time}`;
        }
      }
    };
    visit(data, '');
    return found;
  }

  dispose(): void {
    this.bed.dispose();
  }
}

/** Bytes that no codec makes smaller, the same in every run. */
function randomBytesOf(count: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at * 20 < count; at++) parts.push(Buffer.from(sha1(Buffer.from(`${count} ${at}`)), 'hex'));
  return Buffer.concat(parts).subarray(0, count);
}

/** A segment that is nearly empty, as after a forced switch: it compresses to a few kilobytes. */
function forgeSmallSegment(name: string): Buffer {
  const size = 1024 * 1024;
  const content = Buffer.alloc(size);
  content.set(randomBytesOf(2000), 8192);
  content.write(name, 16384);
  content.set(forgeWalHeader('15', { systemId, segmentSize: size }));
  return content;
}
