/**
 * A copy of the small repository in test/fixture/repo that a test may damage, or of another one of its make, and command
 * lines of our tool or the real one on it.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import type { OptionValues, Tool } from './stanza.ts';
import { giveTo, type RunOptions, type RunResult, runAs, unprivilegedUser } from './unprivileged.ts';
import { projectRoot } from './unprivileged-project.ts';

/** Labels of the small repository. */
export const golden = {
  full: '20261121-032210F',
  diff: '20261121-032210F_20261121-032211D',
  incr: '20261121-032210F_20261121-032212I',
  wal: 'archive/demo/15-1/0000000100000000',
} as const;

const own = join(projectRoot(), 'test', 'fixture', 'repo');
const small = join(own, 'plain-gz');

/** Folders of golden repositories: those in test/fixture/repo, and those in a folder that PGBACKSTOP_FIXTURES names. */
export function goldenSources(): string[] {
  const folders = [own, process.env.PGBACKSTOP_FIXTURES].filter(folder => folder !== undefined);
  return folders.flatMap(folder =>
    readdirSync(folder)
      .map(name => join(folder, name))
      .filter(source => existsSync(join(source, 'expected'))),
  );
}

/** Options of pgbackrest.conf that say how a repository is written, not where things lie. */
const ofRepository = /^((?:compress-|repo1-cipher-|repo1-bundle|repo1-block|repo1-hardlink)[^=]*)=(.*)$/;

export class GoldenRepo {
  /** What repo1-path names. */
  readonly path: string;
  /** How it is written: codec, cipher, bundles and so on. */
  readonly options: OptionValues;
  /** Options that say where it is. */
  readonly place: OptionValues;
  readonly #config: string;

  /**
   * @param folder does not exist yet, in one that the unprivileged user reaches
   * @param source folder with repo.tar.*
   * @param place options that lead to a copy of it elsewhere, such as a bucket
   */
  constructor(folder: string, source = small, place: OptionValues = {}) {
    const user = unprivilegedUser();
    mkdirSync(folder);
    unpack(source, folder);
    if (user.foreign) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, folder]);
    this.path = join(folder, readdirSync(folder)[0] ?? '');
    const file = join(source, 'pgbackrest.conf');
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    this.options = Object.fromEntries(
      lines.flatMap(line => {
        const [, key, value] = ofRepository.exec(line) ?? [];
        return key === undefined || value === undefined ? [] : [[key, value]];
      }),
    );
    this.place = { 'repo1-path': this.path, ...place };
    // other work on this machine is none of ours
    const all = { ...this.place, ...this.options, 'lock-path': join(folder, 'lock') };
    const options = Object.entries(all).map(([key, value]) => `${key}=${value}`);
    this.#config = join(folder, 'config');
    writeFileSync(this.#config, ['[global]', ...options, ''].join('\n'));
  }

  /** Runs a command that writes no log file. */
  async run(tool: Tool, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const common = [`--config=${this.#config}`, '--log-level-file=off', '--log-timestamp=n'];
    return await runAs(unprivilegedUser(), [...tool, ...common, ...args], options);
  }

  read(name: string): Buffer {
    return readFileSync(join(this.path, name));
  }

  /** Puts bytes in the place of a file; other names of the same file keep theirs. */
  write(name: string, bytes: Uint8Array | string): void {
    const path = join(this.path, name);
    const made = mkdirSync(dirname(path), { recursive: true });
    const user = unprivilegedUser();
    if (made !== undefined && user.foreign) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, made]);
    rmSync(path, { force: true });
    writeFileSync(path, bytes, { mode: 0o640 });
    giveTo(user, path);
  }

  /** Turns bits of one byte. @param at from the end when negative; half-way when absent */
  flip(name: string, at?: number): void {
    const bytes = this.read(name);
    const index = at === undefined ? bytes.length >> 1 : at < 0 ? bytes.length + at : at;
    bytes[index] = (bytes[index] ?? 0) ^ 0x55;
    this.write(name, bytes);
  }

  /** Removes a file or a directory. */
  remove(name: string): void {
    rmSync(join(this.path, name), { recursive: true });
  }

  /** Every file, by its path in the repository. */
  files(): string[] {
    return readdirSync(this.path, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => relative(this.path, join(entry.parentPath, entry.name)));
  }

  /** Names in a directory, sorted. */
  names(name: string): string[] {
    return readdirSync(join(this.path, name)).sort();
  }
}

/** Unpacks `repo.tar.*` of a folder; owners and modes in it are those of another machine. */
function unpack(source: string, folder: string): void {
  const name = readdirSync(source).find(name => name.startsWith('repo.tar.')) ?? '';
  const path = join(source, name);
  const extract = ['--no-same-owner', '-C', folder, '-xf'];
  // no tar knows brotli, whose window of 16 MB makes a repository without compression small
  if (name.endsWith('.br')) execFileSync('tar', [...extract, '-'], { input: brotliDecompressSync(readFileSync(path)) });
  else execFileSync('tar', [...extract, path]);
}
