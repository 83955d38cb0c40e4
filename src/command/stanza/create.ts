/** `stanza-create`: makes a stanza's info files in every repository, or checks those that are there (behaviour, section 3). */
import { basename } from 'node:path/posix';
import { BackstopError } from '../../base/error.ts';
import { generatePassphrase } from '../../codec/cipher.ts';
import type { ControlData } from '../../postgres/control.ts';
import { currentDb, type DbHistory, isSameDb } from '../../repo/history.ts';
import { archiveInfoFile, archivePath, backupInfoFile, backupPath, copySuffix } from '../../repo/layout.ts';
import { begun, isObjectStore } from '../../repo/object-store.ts';
import { loadStanzaInfo } from '../../repo/stanza-database.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { openRepo, repoSettings, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { checkStopFile } from '../stop-file.ts';
import { readStanzaDatabase } from './database.ts';

export async function run(session: Session<'stanza-create'>): Promise<undefined> {
  const { log, settings, version } = session;
  checkStopFile(session);
  if (settings.values.force) log.warn('option --force is no longer supported');
  const control = await readStanzaDatabase(session);
  const stanza = stanzaOf(session);
  for (const repoConfig of repoSettings(session)) {
    log.info(`stanza-create for stanza '${stanza}' on repo${repoConfig.key}`);
    const repo = await openRepo(session, repoConfig);
    try {
      if (!(await createInRepo(repo, control, version))) {
        log.info(`stanza '${stanza}' already exists on ${repo.name} and is valid`);
      }
    } finally {
      await repo.storage.close();
    }
  }
}

/** @returns whether anything had to be written */
async function createInRepo(repo: StanzaRepo, control: ControlData, version: string): Promise<boolean> {
  // two lists tell of the four info files, and whether there is anything else
  const { storage, stanza } = repo;
  const listing = begun(storage.names(archivePath(stanza)));
  const inBackup = await storage.names(backupPath(stanza));
  const inArchive = await listing;
  const archive = findPair(archiveInfoFile(stanza), inArchive);
  const backup = findPair(backupInfoFile(stanza), inBackup);
  if (archive.count === 0 && backup.count === 0) {
    checkEmpty(inBackup, inArchive);
    await createInfo(repo, control, version);
    return true;
  }
  if (backup.count === 0 && (await finishInfo(repo, control, version, inBackup))) return true;
  if (archive.count === 0 || backup.count === 0) {
    const what =
      archive.count > 0
        ? 'archive.info exists but backup.info is missing'
        : 'backup.info exists but archive.info is missing';
    throw new BackstopError('file-missing', `${what} on ${repo.name}`, {
      hint: 'this may be a symptom of repository corruption!',
    });
  }
  await loadStanzaInfo(repo, { version: control.version.text, systemId: control.systemId });
  for (const { twin } of [archive, backup]) if (twin !== undefined) await repo.copy(twin.from, twin.to);
  return archive.twin !== undefined || backup.twin !== undefined;
}

interface InfoPair {
  /** How many of the two copies there are. */
  readonly count: number;
  /** The copy to make, when just one is there. */
  readonly twin?: { readonly from: string; readonly to: string };
}

/** @param names what lies in the directory of the file */
function findPair(path: string, names: readonly string[]): InfoPair {
  const copy = path + copySuffix;
  const [hasMain, hasCopy] = [names.includes(basename(path)), names.includes(basename(copy))];
  if (hasMain === hasCopy) return { count: hasMain ? 2 : 0 };
  return { count: 1, twin: hasMain ? { from: path, to: copy } : { from: copy, to: path } };
}

/** An info file that a process was writing when it was killed. */
const isHalfWritten = (name: string): boolean => /^(archive|backup)\.info(\.copy)?\.pgbackrest\.tmp$/.test(name);

/** What lies there belongs to somebody, even without info files. */
function checkEmpty(inBackup: readonly string[], inArchive: readonly string[]): void {
  const [hasBackup, hasArchive] = [inBackup, inArchive].map(names => !names.every(isHalfWritten));
  if (!hasBackup && !hasArchive) return;
  const what = [...(hasBackup ? ['backup directory'] : []), ...(hasArchive ? ['archive directory'] : [])];
  throw new BackstopError('path-not-empty', `${what.join(' and/or ')} not empty`);
}

/**
 * archive.info comes first: a stanza counts as made when backup.info is there. The place of that one is made before, so that
 * what a killed process has begun is told from a stanza that has lost its backups.
 */
async function createInfo(repo: StanzaRepo, control: ControlData, version: string): Promise<void> {
  const db = firstDb(control);
  await repo.storage.paths?.create(backupPath(repo.stanza));
  await repo.saveArchiveInfo({ currentId: db.id, history: [db], ...newPass(repo) }, version);
  await repo.saveBackupInfo({ currentId: db.id, history: [db], backups: [], ...newPass(repo) }, version);
}

/**
 * Ends what a stanza-create has begun that was killed: there is archive.info of this cluster alone, and a place for backups with
 * none in it.
 * @returns false when it does not look like that: backups may have been lost
 */
async function finishInfo(
  repo: StanzaRepo,
  control: ControlData,
  version: string,
  inBackup: readonly string[],
): Promise<boolean> {
  const { storage, stanza } = repo;
  const hasPlace = isObjectStore(storage) || (await storage.info(backupPath(stanza))) !== undefined;
  if (!hasPlace || !inBackup.every(isHalfWritten)) return false;
  const archive = await repo.loadArchiveInfo();
  const db = firstDb(control);
  if (archive.history.length > 1 || archive.currentId !== db.id || !isSameDb(currentDb(archive), db)) return false;
  // both copies: either may be missing
  await repo.saveArchiveInfo(archive, version);
  await repo.saveBackupInfo({ currentId: db.id, history: [db], backups: [], ...newPass(repo) }, version);
  return true;
}

function firstDb({ version, systemId, catalogVersion, controlVersion }: ControlData): DbHistory {
  return { id: 1, version: version.text, systemId, catalogVersion, controlVersion };
}

/** Archive and backups have keys of their own, so that one does not open the other. */
const newPass = (repo: StanzaRepo) => (repo.isEncrypted ? { cipherPass: generatePassphrase() } : {});
