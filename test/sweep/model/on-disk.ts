/** What lies in a repository, as the file system and its own files tell. */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupInfo } from '../../../src/repo/backup-info.ts';
import { type BackupLabel, isBackupLabel } from '../../../src/repo/label.ts';
import { backupFile } from '../../../src/repo/layout.ts';
import { compressSuffix, type Manifest } from '../../../src/repo/manifest/manifest.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';
import { sha1 } from '../../command/archive/archive-bed.ts';

/** What a killed process may leave beside a file. */
export const isTemporary = (name: string): boolean => name.endsWith('.pgbackrest.tmp');

/** Where a backup that is being made is seen to change. */
const touched = ['', '/pg_data', '/bundle', '/backup.manifest.copy'];

export class RepoOnDisk {
  readonly path: string;
  readonly repo: StanzaRepo;

  constructor(key: number, path: string, cipherPass: string | undefined) {
    this.path = path;
    this.repo = new StanzaRepo(
      { key, type: 'posix', path, ...(cipherPass === undefined ? {} : { cipherPass }) },
      openPosixStorage({ label: `repo${key}`, base: path }),
      'demo',
    );
  }

  info(): Promise<BackupInfo> {
    return this.repo.loadBackupInfo();
  }

  /** Labels of all directories, complete or not. */
  directories(): BackupLabel[] {
    return this.#names('backup/demo').filter(isBackupLabel);
  }

  /** Labels of directories with a final manifest. */
  complete(): BackupLabel[] {
    return this.directories().filter(label => this.has(`backup/demo/${label}/backup.manifest`));
  }

  /** Archived files, by archive id; a temporary file is none. */
  archive(): Map<string, Set<string>> {
    const ids = this.#names('archive/demo').filter(name => /^\d+-\d+$/.test(name));
    return new Map(
      ids.map(id => {
        const files = this.#files(`archive/demo/${id}`).filter(name => !isTemporary(name));
        const names = files.map(name => name.slice(name.lastIndexOf('/') + 1).replace(/-[0-9a-f]{40}.*$/, ''));
        const twice = names.find((name, index) => names.indexOf(name) !== index);
        if (twice !== undefined) throw new Error(`${twice} is in the archive ${id} twice`);
        return [id, new Set(names)];
      }),
    );
  }

  /** Labels of the manifests in the history. */
  history(): Set<string> {
    const names = this.#files('backup/demo/backup.history').filter(name => !isTemporary(name));
    return new Set(names.map(name => name.slice(name.lastIndexOf('/') + 1).replace(/\.manifest\.gz$/, '')));
  }

  latest(): string | undefined {
    const path = join(this.path, 'backup/demo/latest');
    return this.#names('backup/demo').includes('latest') ? readlinkSync(path) : undefined;
  }

  has(name: string): boolean {
    return existsSync(join(this.path, name));
  }

  /** What the directory of a backup holds, and what its manifest says that it should hold. */
  async filesOf(label: BackupLabel): Promise<{ actual: string[]; expected: string[] }> {
    const { cipherPass } = await this.info();
    const manifest = await this.repo.loadManifest(label, cipherPass);
    const base = `backup/demo/${label}`;
    const actual = this.#files(base).filter(name => !isTemporary(name));
    return { actual, expected: [...storedFiles(manifest)].sort() };
  }

  /** Everything with its content: to see that nothing has changed. */
  photograph(): string[] {
    return this.#files('').map(name => `${name} ${sha1(readFileSync(join(this.path, name)))}`);
  }

  /** Lets a directory look as if it was last changed then. @param seconds since the epoch */
  touch(label: string, seconds: number): void {
    for (const name of touched) {
      const path = join(this.path, 'backup/demo', label + name);
      if (existsSync(path)) utimesSync(path, seconds, seconds);
    }
  }

  /** Seconds since the last change of a directory. @param now seconds since the epoch */
  ageOf(label: string, now: number): number {
    const times = touched.map(name =>
      statSync(join(this.path, 'backup/demo', label + name), { throwIfNoEntry: false }),
    );
    return now - Math.max(...times.map(info => Math.floor((info?.mtimeMs ?? 0) / 1000)));
  }

  #names(folder: string): string[] {
    const path = join(this.path, folder);
    return existsSync(path) ? readdirSync(path).sort() : [];
  }

  #files(folder: string): string[] {
    const base = join(this.path, folder);
    if (!existsSync(base)) return [];
    return readdirSync(base, { recursive: true, encoding: 'utf8' })
      .filter(name => {
        const info = statSync(join(base, name), { throwIfNoEntry: false });
        return info?.isFile() === true && !name.startsWith('pg_data/pg_tblspc/') && !name.startsWith('latest/');
      })
      .sort();
  }
}

function* storedFiles({ header, files }: Manifest): Generator<string> {
  yield 'backup.manifest';
  yield 'backup.manifest.copy';
  const base = `/backup/demo/${header.label}/`;
  const seen = new Set<string>();
  for (let index = 0; index < files.length; index++) {
    const file = files.get(index);
    if (file.size === 0 && header.bundle) continue;
    // links of a backup with hardlinks are files, too
    if (file.reference !== undefined && !(header.options.hardlink && file.bundleId === 0)) continue;
    const path = backupFile('demo', header.label as BackupLabel, file, compressSuffix(header.options.compressType));
    const name = path.slice(base.length);
    if (!seen.has(name)) yield name;
    seen.add(name);
  }
}
