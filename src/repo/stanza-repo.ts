/**
 * One repository as a stanza sees it: its info files and manifests, each in two copies, decrypted with the key that
 * belongs to it (format, sections 2 and 5).
 */
import { BackstopError, isBackstopError, isKind } from '../base/error.ts';
import { openCodecs, type StepSpec } from '../codec/codecs.ts';
import { openPipeline } from '../codec/pipeline.ts';
import type { Emit } from '../codec/step.ts';
import type { RepoSettings } from '../storage/drivers.ts';
import type { ByteSink, Storage } from '../storage/storage.ts';
import { UnreachableError } from '../storage/unreachable.ts';
import { type ArchiveInfo, decodeArchiveInfo, encodeArchiveInfo } from './archive-info.ts';
import { type BackupInfo, decodeBackupInfo, encodeBackupInfo } from './backup-info.ts';
import type { BackupLabel } from './label.ts';
import { archiveInfoFile, backupInfoFile, copySuffix, manifestFile } from './layout.ts';
import type { Manifest } from './manifest/manifest.ts';
import { copyStored, encrypted, finishSink, readStored, readStoredThrough, writeBytes, writeStored } from './stored.ts';

/** An info file is small: 100,000 backups are far below. It is read as a whole, and as text has twice that. */
export const infoLimit = 256 * 1024 * 1024;

/**
 * Half of a manifest are checksums, which nothing makes smaller: the highest level, which the reference takes, takes
 * three times as long for 5 % less.
 */
const historyLevel = 3;

export class StanzaRepo {
  readonly settings: RepoSettings;
  readonly storage: Storage;
  readonly stanza: string;

  constructor(settings: RepoSettings, storage: Storage, stanza: string) {
    this.settings = settings;
    this.storage = storage;
    this.stanza = stanza;
  }

  /** Number users know the repository by. */
  get key(): number {
    return this.settings.key;
  }

  /** `repo1`, for messages. */
  get name(): string {
    return `repo${this.key}`;
  }

  get isEncrypted(): boolean {
    return this.settings.cipherPass !== undefined;
  }

  /** Where the path lies, for messages. */
  fullPath(path: string): string {
    return (this.settings.path === '/' ? '' : this.settings.path) + path;
  }

  /** Whether a link stands in the place of a directory of ours: it may lead anywhere, so nothing is removed behind it. */
  async isLink(path: string): Promise<boolean> {
    // a look would be a request where there are none
    return this.storage.links !== undefined && (await this.storage.info(path))?.type === 'link';
  }

  /** @throws file-missing when neither copy is there; the error of the first copy when both are unsound */
  loadArchiveInfo(): Promise<ArchiveInfo> {
    return this.#loadEither(archiveInfoFile(this.stanza), 'archive.info', async path =>
      decodeArchiveInfo(await readStored(this.storage, path, this.settings.cipherPass, infoLimit)),
    );
  }

  /**
   * To a file system a mount that went away after it was opened is an empty directory: what is not there proves nothing, and
   * what is written there is lost. Asks nothing of other storages.
   * @throws file-missing when neither copy of archive.info is there
   */
  async checkPresence(): Promise<void> {
    if (this.storage.paths === undefined) return;
    const path = archiveInfoFile(this.stanza);
    const infos = await Promise.all([path, path + copySuffix].map(file => this.storage.info(file)));
    if (infos.some(info => info !== undefined)) return;
    throw new BackstopError('file-missing', `'${this.fullPath(path)}' is not there any more`, {
      hint: 'was the file system of the repository unmounted?',
    });
  }

  async saveArchiveInfo(info: ArchiveInfo, version: string): Promise<void> {
    await this.#saveBoth(archiveInfoFile(this.stanza), encodeArchiveInfo(info, version));
  }

  /** @throws as loadArchiveInfo */
  loadBackupInfo(): Promise<BackupInfo> {
    return this.#loadEither(backupInfoFile(this.stanza), 'backup.info', async path =>
      decodeBackupInfo(await readStored(this.storage, path, this.settings.cipherPass, infoLimit)),
    );
  }

  async saveBackupInfo(info: BackupInfo, version: string): Promise<void> {
    await this.#saveBoth(backupInfoFile(this.stanza), encodeBackupInfo(info, version));
  }

  /**
   * Writes both info files, where they must agree. The copies come last: the time in which the files do not is short, and of a new
   * stanza both copies of a file are there only when the other file is, so that what an interrupted creation leaves cannot be
   * taken for a stanza that has lost one.
   * @param archive absent when an interrupted creation has left it: it stays, since WAL may be there under its key
   */
  async saveInfos(archive: ArchiveInfo | undefined, backup: BackupInfo, version: string): Promise<void> {
    const { storage, stanza } = this;
    const { cipherPass } = this.settings;
    const [archiveFile, backupFile] = [archiveInfoFile(stanza), backupInfoFile(stanza)];
    const archiveBytes = archive && encrypted(cipherPass, encodeArchiveInfo(archive, version));
    const backupBytes = encrypted(cipherPass, encodeBackupInfo(backup, version));
    if (archiveBytes !== undefined) await writeBytes(storage, archiveFile, archiveBytes);
    await writeBytes(storage, backupFile, backupBytes);
    if (archiveBytes !== undefined) await writeBytes(storage, archiveFile + copySuffix, archiveBytes);
    else await this.copy(archiveFile, archiveFile + copySuffix);
    await writeBytes(storage, backupFile + copySuffix, backupBytes);
  }

  /**
   * Loads the manifest of a backup.
   * @param passphrase cipher-pass of backup.info
   */
  loadManifest(label: BackupLabel, passphrase: string | undefined): Promise<Manifest> {
    return this.#loadEither(manifestFile(this.stanza, label), 'backup.manifest', path =>
      this.readManifest(path, passphrase),
    );
  }

  /** Reads one file as a manifest. */
  async readManifest(path: string, passphrase: string | undefined): Promise<Manifest> {
    // archive commands use this class too, and never read a manifest
    const { ManifestReader } = await import('./manifest/read.ts');
    const reader = new ManifestReader();
    await readStoredThrough(this.storage, path, passphrase, chunk => reader.push(chunk));
    return reader.end();
  }

  /**
   * Writes a manifest to one path, streaming.
   * @param compress true for the gzip copy that the history keeps
   * @param permanent true for the final manifest of a backup
   */
  async writeManifest(
    manifest: Manifest,
    path: string,
    passphrase: string | undefined,
    version: string,
    { compress = false, permanent = false } = {},
  ): Promise<void> {
    const sink = await this.storage.write(path, { permanent });
    await finishSink(sink, () => encodeManifest(manifest, sink, compress, passphrase, version));
  }

  /**
   * Writes a manifest in the clear to another storage: a restore keeps it beside what it restores. Without the passphrase of
   * the backup's files, as it stays there when the restore does not end.
   */
  async writeManifestTo(storage: Storage, manifest: Manifest, path: string, version: string): Promise<void> {
    const { cipherPass: _, ...header } = manifest.header;
    const sink = await storage.write(path);
    await finishSink(sink, () => encodeManifest({ ...manifest, header }, sink, false, undefined, version));
  }

  /**
   * Makes the gzip copy that the history keeps of a manifest from what is stored of it: it is not formatted once more.
   * @param passphrase of both
   */
  async compressManifest(from: string, to: string, passphrase: string | undefined): Promise<void> {
    const sink = await this.storage.write(to);
    await finishSink(sink, () =>
      encode(sink, { compress: true, passphrase }, push => readStoredThrough(this.storage, from, passphrase, push)),
    );
  }

  /** Copies a file of the repository, byte for byte. */
  copy(from: string, to: string): Promise<void> {
    return copyStored(this.storage, from, to);
  }

  async #saveBoth(path: string, bytes: Uint8Array): Promise<void> {
    await writeStored(this.storage, [path, path + copySuffix], this.settings.cipherPass, bytes);
  }

  /** Any failure of the file makes us try its copy; when both fail the user reads about both. */
  async #loadEither<T>(path: string, what: string, load: (path: string) => Promise<T>): Promise<T> {
    const failures: BackstopError[] = [];
    for (const candidate of [path, path + copySuffix]) {
      try {
        return await load(candidate);
      } catch (error) {
        if (!isBackstopError(error) || error instanceof UnreachableError) throw error;
        failures.push(error);
      }
    }
    const [first, second] = failures as [BackstopError, BackstopError];
    // a broken file says more than a missing twin
    const main = isKind(first, 'file-missing') && !isKind(second, 'file-missing') ? second : first;
    // a service that refuses tells why
    const hints = isKind(main, 'protocol') ? [...main.hints] : [];
    if (isKind(main, 'file-missing')) {
      hints.push(`${what} cannot be opened but is required to perform this command.`);
      hints.push(
        what === 'backup.manifest' ? 'was the backup removed meanwhile?' : 'has a stanza-create been performed?',
      );
    }
    if (isKind(main, 'crypto', 'checksum', 'format', 'json-format')) {
      hints.push('is or was the repo encrypted, and is the passphrase the right one?');
    }
    const lines = failures.map(error => `${error.name}: ${error.message}`);
    throw new BackstopError(
      main.kind,
      `unable to load info file '${this.fullPath(path)}' or '${this.fullPath(path + copySuffix)}':\n${lines.join('\n')}`,
      { cause: main, hint: hints },
    );
  }
}

/**
 * Opens the steps between the text of a manifest and what is stored of it, and ends them when all is given.
 * @param give is given what takes the text
 */
async function encode(
  sink: ByteSink,
  { compress, passphrase }: { readonly compress: boolean; readonly passphrase: string | undefined },
  give: (push: Emit) => void | Promise<void>,
): Promise<void> {
  const steps: StepSpec[] = [
    ...(compress ? [{ step: 'compress', type: 'gz', level: historyLevel, raw: false } as const] : []),
    ...(passphrase === undefined ? [] : [{ step: 'encrypt', passphrase, raw: false } as const]),
  ];
  const waiting: Promise<void>[] = [];
  const pipeline = openPipeline(steps, openCodecs(), chunk => {
    const pressure = sink.write(chunk);
    if (pressure !== undefined) waiting.push(pressure);
  });
  try {
    await give(pipeline.push);
    pipeline.end();
    await Promise.all(waiting);
  } finally {
    pipeline.close();
  }
}

async function encodeManifest(
  manifest: Manifest,
  sink: ByteSink,
  compress: boolean,
  passphrase: string | undefined,
  version: string,
): Promise<void> {
  const { writeManifest } = await import('./manifest/write.ts');
  await encode(sink, { compress, passphrase }, push =>
    writeManifest(manifest, version, text => push(Buffer.from(text))),
  );
}
