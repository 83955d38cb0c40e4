/**
 * A repository with one small backup that no server ever made: each test can say what is in its manifest, truthfully or
 * not, and what its files hold. Our tool runs on it as the unprivileged user.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openCodecs, type StepSpec } from '../../../src/codec/codecs.ts';
import { openPipeline, prepareSteps } from '../../../src/codec/pipeline.ts';
import { entryOf } from '../../../src/repo/entry.ts';
import type { BackupLabel } from '../../../src/repo/label.ts';
import type { NewManifestFile } from '../../../src/repo/manifest/file-table.ts';
import {
  type CompressType,
  compressSuffix,
  emptyManifest,
  type Manifest,
  type ManifestHeader,
} from '../../../src/repo/manifest/manifest.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';
import { forgeControl } from '../../postgres/forge.ts';
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

export const bedLabel = '20261121-020956F' as BackupLabel;
const systemId = 6569239123849665679n;

export interface BackupBedOptions {
  readonly compressType?: CompressType;
  readonly cipherPass?: string;
  /** Content of the files of the backup by manifest name, added to what every cluster has. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** Changes the manifest before it is saved: the place to lie. */
  readonly forge?: (manifest: Manifest) => void;
}

export interface Outcome extends RunResult {
  /** Both outputs. */
  readonly output: string;
}

export class BackupBed {
  readonly user: UnprivilegedUser = unprivilegedUser();
  readonly folder: string;
  /** Where restores go; it is there and empty. */
  readonly target: string;
  /** Beside the target: nothing may ever appear in it. */
  readonly outside: string;
  readonly repo: StanzaRepo;
  readonly #options: BackupBedOptions;
  readonly #project: RunnableProject;

  private constructor(options: BackupBedOptions) {
    this.#options = options;
    this.folder = makeTemporaryFolder(this.user, 'backup-');
    this.target = join(this.folder, 'data');
    this.outside = join(this.folder, 'outside');
    const path = join(this.folder, 'repo');
    this.repo = new StanzaRepo(
      { key: 1, type: 'posix', path, ...(options.cipherPass === undefined ? {} : { cipherPass: options.cipherPass }) },
      openPosixStorage({ label: 'repo1', base: path }),
      'demo',
    );
    this.#project = runnableProject(this.user);
  }

  static async create(options: BackupBedOptions = {}): Promise<BackupBed> {
    const bed = new BackupBed(options);
    try {
      await bed.#fill();
    } catch (error) {
      bed.dispose();
      throw error;
    }
    return bed;
  }

  async #fill(): Promise<void> {
    const { cipherPass, files, forge } = this.#options;
    for (const name of ['repo', 'lock', 'log', 'outside']) mkdirSync(join(this.folder, name));
    mkdirSync(this.target, { mode: 0o700 });
    const manifest = this.#manifest();
    const contents: Record<string, Uint8Array> = {
      'pg_data/PG_VERSION': Buffer.from('15\n'),
      'pg_data/base/5/1247': forgePages(3),
      'pg_data/global/pg_control': forgeControl('15', { systemId }),
      'pg_data/postgresql.conf': Buffer.from('# nothing\n'),
      ...files,
    };
    for (const [name, content] of Object.entries(contents)) await this.#addFile(manifest, name, content);
    forge?.(manifest);
    manifest.files.sort();
    const infoPass = cipherPass === undefined ? {} : { cipherPass: 'pass of the manifests' };
    const history = [{ id: 1, version: '15', systemId, catalogVersion: 202209061, controlVersion: 1300 }];
    await this.repo.saveArchiveInfo({ currentId: 1, history, ...infoPass }, '2.59.1');
    await this.repo.saveBackupInfo(
      { currentId: 1, history, backups: [{ ...entryOf(manifest), label: bedLabel }], ...infoPass },
      '2.59.1',
    );
    for (const copy of ['', '.copy']) {
      const path = `/backup/demo/${bedLabel}/backup.manifest${copy}`;
      await this.repo.writeManifest(manifest, path, infoPass.cipherPass, '2.59.1');
    }
    this.writeConfig();
    this.own();
  }

  #manifest(): Manifest {
    const { compressType = 'none', cipherPass } = this.#options;
    const header: ManifestHeader = {
      label: bedLabel,
      type: 'full',
      references: [bedLabel],
      timestampStart: 1795226996,
      timestampCopyStart: 1795226997,
      timestampStop: 1795226999,
      bundle: false,
      bundleRaw: false,
      blockIncremental: false,
      dbId: 1,
      systemId,
      pgVersion: '15',
      catalogVersion: 202209061,
      controlVersion: 1300,
      options: {
        archiveCheck: false,
        archiveCopy: false,
        checksumPage: false,
        compressType,
        delta: false,
        hardlink: false,
        online: false,
      },
      ...(cipherPass === undefined ? {} : { cipherPass: 'pass of the files' }),
      annotations: new Map(),
      toolVersion: '2.59.1',
    };
    const manifest = emptyManifest(header);
    manifest.targets.push({ name: 'pg_data', type: 'path', path: this.target });
    for (const name of ['pg_data', 'pg_data/base', 'pg_data/base/5', 'pg_data/global', 'pg_data/pg_tblspc']) {
      manifest.paths.push({ name, mode: 0o700, user: this.user.name, group: false });
    }
    return manifest;
  }

  async #addFile(manifest: Manifest, name: string, content: Uint8Array): Promise<void> {
    const stored = await this.encode(content);
    const checksum = sha1(content);
    manifest.files.add(fileOf(name, content.length, checksum, stored, this.user.name));
    await this.#store(name, stored);
  }

  /** From a file's content to the bytes that the repository keeps. */
  async encode(content: Uint8Array): Promise<Buffer> {
    const { compressType = 'none', cipherPass } = this.#options;
    const steps: StepSpec[] = [
      ...(compressType === 'none' ? [] : [{ step: 'compress', type: compressType, level: 1, raw: false } as const]),
      ...(cipherPass === undefined ? [] : [{ step: 'encrypt', passphrase: 'pass of the files', raw: false } as const]),
    ];
    const codecs = openCodecs();
    await prepareSteps(steps, codecs);
    const parts: Buffer[] = [];
    const pipeline = openPipeline(steps, codecs, chunk => parts.push(Buffer.from(chunk)));
    try {
      for (let at = 0; at < content.length; at += 1 << 20) pipeline.push(content.subarray(at, at + (1 << 20)));
      pipeline.end();
    } finally {
      pipeline.close();
    }
    return Buffer.concat(parts);
  }

  async #store(name: string, stored: Uint8Array): Promise<void> {
    const path = this.stored(name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, stored);
  }

  /** Where the repository keeps a file of the backup. */
  stored(name: string): string {
    return this.inRepo(`backup/demo/${bedLabel}/${name}${compressSuffix(this.#options.compressType ?? 'none')}`);
  }

  inRepo(path: string): string {
    return join(this.folder, 'repo', path);
  }

  writeConfig(cipherPass: string | undefined = this.#options.cipherPass): void {
    const path = join(this.folder, 'pgbackrest.conf');
    const cipher = cipherPass === undefined ? '' : `repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=${cipherPass}\n`;
    writeFileSync(
      path,
      `[demo]\npg1-path=${this.target}\n[global]\nrepo1-path=${this.folder}/repo\nlock-path=${this.folder}/lock\n` +
        `log-path=${this.folder}/log\nspool-path=${this.folder}/spool\nlog-level-file=off\nlog-level-console=info\n` +
        `log-timestamp=n\nprocess-max=2\n${cipher}`,
    );
    giveTo(this.user, path);
  }

  /** Gives all of the folder to the user: the test process made some of it. */
  own(): void {
    if (this.user.foreign) execFileSync('chown', ['-hR', `${this.user.uid}:${this.user.gid}`, this.folder]);
  }

  /** Runs a command of ours for the stanza. */
  async run(parameters: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const argv = [...this.#project.command, `--config=${this.folder}/pgbackrest.conf`, '--stanza=demo', ...parameters];
    const result = await runAs(this.user, argv, options);
    return { ...result, output: result.stdout + result.stderr };
  }

  restore(...parameters: readonly string[]): Promise<Outcome> {
    return this.run(['restore', ...parameters]);
  }

  /** Without pg_control PostgreSQL refuses to start. */
  get canStart(): boolean {
    return existsSync(join(this.target, 'global/pg_control'));
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
    this.#project.remove();
  }
}

export const sha1 = (content: Uint8Array): string => createHash('sha1').update(content).digest('hex');

/** A manifest's file that tells the truth about what is stored. */
export function fileOf(
  name: string,
  size: number,
  checksum: string,
  stored: Uint8Array,
  user: string,
): NewManifestFile {
  return {
    name,
    size,
    sizeOriginal: size,
    sizeRepo: stored.length,
    timestamp: 1795226000,
    checksum,
    bundleId: 0,
    bundleOffset: 0,
    blockSize: 0,
    blockChecksumSize: 0,
    blockMapSize: 0,
    mode: 0o600,
    user,
    group: false,
  };
}

/** Pages with content that compresses to about a half. */
export function forgePages(count: number): Buffer {
  const content = Buffer.alloc(count * 8192);
  for (let page = 0, state = 88172645; page < count; page++) {
    for (let at = 0; at < 4096; at += 4) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      content.writeInt32LE(state, page * 8192 + at);
    }
  }
  return content;
}

/** What is below a folder, with content and link destinations: to see that nothing has changed. */
export function photograph(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map(entry => {
      const path = join(entry.parentPath, entry.name);
      if (entry.isSymbolicLink()) return `${path} -> ${readlinkSync(path)}`;
      return entry.isFile() ? `${path} ${sha1(readFileSync(path))}` : `${path}/`;
    })
    .sort();
}
