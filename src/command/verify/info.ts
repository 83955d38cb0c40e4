/** Reads info files and manifests for verify: both copies, and what is wrong with them. */
import { createHash } from 'node:crypto';
import { type BackstopError, isBackstopError, isKind } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { type ArchiveInfo, decodeArchiveInfo } from '../../repo/archive-info.ts';
import { type BackupInfo, decodeBackupInfo } from '../../repo/backup-info.ts';
import { isSameDb } from '../../repo/history.ts';
import { archiveInfoFile, backupInfoFile, copySuffix } from '../../repo/layout.ts';
import { begun } from '../../repo/object-store.ts';
import { checkInfoPair } from '../../repo/stanza-database.ts';
import { infoLimit, type StanzaRepo } from '../../repo/stanza-repo.ts';
import { readStored, readStoredThrough } from '../../repo/stored.ts';
import { UnreachableError } from '../../storage/unreachable.ts';

/** A file, or what kept it from being read, and the SHA-1 of its decrypted bytes. */
type Loaded<T> = { readonly value: T; readonly checksum: string } | { readonly error: BackstopError };

/** @returns what there is of the two info files: undefined when neither copy is usable */
export async function findInfos(
  repo: StanzaRepo,
  log: Log,
): Promise<{ readonly backup: BackupInfo | undefined; readonly archive: ArchiveInfo | undefined }> {
  const { stanza } = repo;
  const backup = beginInfo(repo, backupInfoFile(stanza), 'backup.info', decodeBackupInfo, log);
  const archive = beginInfo(repo, archiveInfoFile(stanza), 'archive.info', decodeArchiveInfo, log);
  return { backup: await backup(), archive: await archive() };
}

/** Begins to load both copies. @returns judges them, and tells of it in the log */
function beginInfo<T>(
  repo: StanzaRepo,
  path: string,
  name: string,
  decode: (bytes: Uint8Array) => T,
  log: Log,
): () => Promise<T | undefined> {
  const { cipherPass } = repo.settings;
  const load = (from: string) =>
    beginAttempt(repo, from, log, async hash => {
      const bytes = await readStored(repo.storage, from, cipherPass, infoLimit);
      hash(bytes);
      return decode(bytes);
    });
  const [loadingMain, loadingCopy] = [load(path), load(path + copySuffix)];
  return async () => {
    const main = await loadingMain();
    const copy = await loadingCopy();
    if ('value' in main) {
      if ('error' in copy) warnOfCopy(repo, path + copySuffix, copy.error, log, infoHint);
      else if (copy.checksum !== main.checksum) log.detail(`${name}${copySuffix} does not match ${name}`);
      return main.value;
    }
    if ('value' in copy) {
      warnOfCopy(repo, path, main.error, log, infoHint);
      return copy.value;
    }
    // who may not look at a file knows nothing of it
    if (isKind(main.error, 'protocol', 'option-required', 'option-invalid', 'service')) throw main.error;
    return undefined;
  };
}

/** Both are written whenever one of them changes. */
const infoHint = 'the next backup writes both copies anew.';

/**
 * The reference tells of one bad copy in two at a level that nobody has on. Nothing is lost yet, but all of it hangs on the
 * other one.
 */
export function warnOfCopy(repo: StanzaRepo, path: string, error: BackstopError, log: Log, hint: string): void {
  // one that is not there may just be being removed
  if (isKind(error, 'file-missing')) return;
  log.warn(`'${repo.fullPath(path)}' is damaged: only the other of its two copies can be used\nHINT: ${hint}`);
}

/**
 * Begins to compare the copy of a file with it.
 * @returns whether it holds the same; a copy that is not there counts as one, and one that cannot be read is told of in the log
 */
export function beginCompareCopy(
  repo: StanzaRepo,
  path: string,
  passphrase: string | undefined,
  log: Log,
): (checksum: string) => Promise<boolean> {
  const loading = beginAttempt(repo, path + copySuffix, log, hash =>
    readStoredThrough(repo.storage, path + copySuffix, passphrase, hash),
  );
  return async checksum => {
    const copy = await loading();
    return 'error' in copy ? isKind(copy.error, 'file-missing') : copy.checksum === checksum;
  };
}

/** Loads a file; a failure is told of in the log and is part of the answer, unless it says nothing of the file. */
export function attempt<T>(
  repo: StanzaRepo,
  path: string,
  log: Log,
  load: (hash: (bytes: Uint8Array) => void) => Promise<T>,
): Promise<Loaded<T>> {
  return beginAttempt(repo, path, log, load)();
}

/** Begins to load a file. @returns waits for it: only then a failure is told of, so that lines keep their order */
function beginAttempt<T>(
  repo: StanzaRepo,
  path: string,
  log: Log,
  load: (hash: (bytes: Uint8Array) => void) => Promise<T>,
): () => Promise<Loaded<T>> {
  const hash = createHash('sha1');
  const loading = begun(load(bytes => void hash.update(bytes)));
  return async () => {
    try {
      return { value: await loading, checksum: hash.digest('hex') };
    } catch (error) {
      if (!isBackstopError(error) || error instanceof UnreachableError) throw error;
      log.detail(error.kind === 'checksum' ? `${error.message} ${repo.fullPath(path)}` : error.message);
      return { error };
    }
  };
}

/** @returns what the two files do not agree on, if anything */
export function compareHistories(archive: ArchiveInfo, backup: BackupInfo): string | undefined {
  try {
    checkInfoPair(archive, backup);
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    return error.text;
  }
  const same =
    archive.history.length === backup.history.length &&
    archive.history.every((db, index) => {
      const other = backup.history[index];
      return other !== undefined && db.id === other.id && isSameDb(db, other);
    });
  return same ? undefined : 'archive and backup history lists do not match';
}
