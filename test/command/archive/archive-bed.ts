/**
 * What archive-push and archive-get need, without a server: a data directory with a forged pg_control, forged segments,
 * repositories with an archive.info. Both tools run on it as the unprivileged user.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';
import { type ForgedControl, type ForgedWal, forgeControl, forgeWalHeader } from '../../postgres/forge.ts';
import { makeTemporaryFolder } from '../../support/cluster.ts';
import {
  giveTo,
  type RunOptions,
  type RunResult,
  runAs,
  type UnprivilegedUser,
  unprivilegedUser,
} from '../../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../../support/unprivileged-project.ts';

export const systemId = 6569239123849665679n;
const mebibyte = 1024 * 1024;

export interface ArchiveBedOptions {
  readonly repos?: number;
  /** Passphrase of the repositories. */
  readonly cipherPass?: string;
  /** Cluster that archive.info names. */
  readonly stanzaSystemId?: bigint;
  readonly stanzaVersion?: string;
}

export interface Outcome extends RunResult {
  /** Both outputs. */
  readonly output: string;
}

export class ArchiveBed {
  readonly user: UnprivilegedUser = unprivilegedUser();
  readonly folder: string;
  readonly dataDirectory: string;
  readonly #project: RunnableProject;

  private constructor() {
    this.folder = makeTemporaryFolder(this.user, 'archive-');
    this.dataDirectory = join(this.folder, 'data');
    this.#project = runnableProject(this.user);
  }

  static async create(options: ArchiveBedOptions = {}): Promise<ArchiveBed> {
    const bed = new ArchiveBed();
    const keys = Array.from({ length: options.repos ?? 1 }, (_, index) => index + 1);
    for (const name of ['data/global', 'data/pg_wal/archive_status', 'lock', 'log']) {
      mkdirSync(join(bed.folder, name), { recursive: true });
    }
    bed.writeControl();
    bed.writeConfig(keys, options.cipherPass);
    for (const key of keys) {
      await bed.repo(key, options.cipherPass).saveArchiveInfo(
        {
          currentId: 1,
          history: [{ id: 1, version: options.stanzaVersion ?? '15', systemId: options.stanzaSystemId ?? systemId }],
          ...(options.cipherPass === undefined ? {} : { cipherPass: `archive of ${key}` }),
        },
        '2.59.1',
      );
    }
    bed.own();
    return bed;
  }

  writeControl(fields: ForgedControl = {}): void {
    this.write('data/global/pg_control', forgeControl('15', { systemId, walSegmentSize: mebibyte, ...fields }));
  }

  writeConfig(keys: readonly number[], cipherPass: string | undefined): void {
    const repos = keys.map(
      key =>
        `repo${key}-path=${this.repoPath(key)}\n${cipherPass === undefined ? '' : `repo${key}-cipher-type=aes-256-cbc\nrepo${key}-cipher-pass=${cipherPass}\n`}`,
    );
    this.write(
      'pgbackrest.conf',
      `[demo]\npg1-path=${this.dataDirectory}\n[global]\nlock-path=${this.folder}/lock\nlog-path=${this.folder}/log\nspool-path=${this.folder}/spool\n` +
        `log-level-file=off\nlog-level-stderr=off\nlog-level-console=info\n${repos.join('')}`,
    );
  }

  repoPath(key = 1): string {
    return join(this.folder, `repo${key}`);
  }

  /** The repository as the test process, mostly root, sees it. */
  repo(key = 1, cipherPass?: string): StanzaRepo {
    const path = this.repoPath(key);
    return new StanzaRepo(
      { key, type: 'posix', path, ...(cipherPass === undefined ? {} : { cipherPass }) },
      openPosixStorage({ label: `repo${key}`, base: path }),
      'demo',
    );
  }

  /** Writes a file that belongs to the user. @returns its absolute path */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    giveTo(this.user, path);
    return path;
  }

  /** Puts a segment into pg_wal. @returns its content */
  segment(
    name: string,
    seed: number | string = name,
    fields: ForgedWal = {},
    size = fields.segmentSize ?? mebibyte,
  ): Buffer {
    const content = forgeSegment(seed, { segmentSize: mebibyte, ...fields }, size);
    this.write(`data/pg_wal/${name}`, content);
    return content;
  }

  /** Gives all of the folder to the user: the test process made some of it. */
  own(): void {
    if (this.user.foreign) execFileSync('chown', ['-R', `${this.user.uid}:${this.user.gid}`, this.folder]);
  }

  /** Runs our tool. */
  ours(...parameters: readonly string[]): Promise<Outcome> {
    return this.run(this.#project.command, parameters);
  }

  push(parameter: string, options: readonly string[] = [], run: RunOptions = {}): Promise<Outcome> {
    return this.run(this.#project.command, ['archive-push', ...options, parameter], run);
  }

  get(name: string, destination: string, options: readonly string[] = [], run: RunOptions = {}): Promise<Outcome> {
    return this.run(this.#project.command, ['archive-get', ...options, name, destination], run);
  }

  /** Runs one of the tools in the data directory, as PostgreSQL does. */
  async run(program: readonly string[], parameters: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const argv = [...program, `--config=${this.folder}/pgbackrest.conf`, '--stanza=demo', ...parameters];
    const result = await runAs(this.user, argv, { cwd: this.dataDirectory, ...options });
    return { ...result, output: result.stdout + result.stderr };
  }

  /** Files below the archive id, without the SHA-1 pairs of archive.info, sorted. */
  archived(key = 1): string[] {
    const base = join(this.repoPath(key), 'archive/demo/15-1');
    if (!existsSync(base)) return [];
    return readdirSync(base, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).slice(base.length + 1))
      .sort();
  }

  archivedPath(name: string, key = 1): string {
    return join(this.repoPath(key), 'archive/demo/15-1', name);
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
    this.#project.remove();
  }
}

export const sha1 = (content: Uint8Array): string => createHash('sha1').update(content).digest('hex');

/** A segment with a true header and content that compresses to about a third. */
export function forgeSegment(seed: number | string, fields: ForgedWal = {}, size = mebibyte): Buffer {
  const content = Buffer.alloc(size);
  let state = Buffer.from(sha1(Buffer.from(String(seed))), 'hex').readUInt32LE(0) | 1;
  for (let at = 0; at + 4 <= size; at += 12) {
    // xorshift
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    content.writeInt32LE(state, at);
  }
  content.set(forgeWalHeader('15', { systemId, segmentSize: mebibyte, ...fields }));
  return content;
}
