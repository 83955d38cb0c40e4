/** `stanza-create`: makes a stanza's info files in every repository, or checks those that are there (behaviour, section 3). */
import { basename } from 'node:path/posix';
import { BackstopError } from '../../base/error.ts';
import { generatePassphrase } from '../../codec/cipher.ts';
import type { ControlData } from '../../postgres/control.ts';
import { currentDb, type DbHistory, isSameDb } from '../../repo/history.ts';
import { archiveInfoFile, archivePath, backupInfoFile, backupPath, copySuffix } from '../../repo/layout.ts';
import { begun } from '../../repo/object-store.ts';
import { loadStanzaInfo } from '../../repo/stanza-database.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { temporarySuffix } from '../../storage/posix/posix-storage.ts';
import { openRepo, repoSettings, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { checkStopFile } from '../stop-file.ts';
import { mendCopies } from './copies.ts';
import { readStanzaDatabase } from './database.ts';

export async function run(session: Session<'stanza-create'>): Promise<undefined> {
  const { log, settings } = session;
  checkStopFile(session);
  if (settings.values.force) log.warn('option --force is no longer supported');
  const control = await readStanzaDatabase(session);
  const stanza = stanzaOf(session);
  for (const repoConfig of repoSettings(session)) {
    log.info(`stanza-create for stanza '${stanza}' on repo${repoConfig.key}`);
    const repo = await openRepo(session, repoConfig);
    try {
      if (!(await createInRepo(repo, control, session))) {
        log.info(`stanza '${stanza}' already exists on ${repo.name} and is valid`);
      }
    } finally {
      await repo.storage.close();
    }
  }
}

/** @returns whether anything had to be written */
async function createInRepo(
  repo: StanzaRepo,
  control: ControlData,
  { log, version }: Session<'stanza-create'>,
): Promise<boolean> {
  // two lists tell of the four info files, and whether there is anything else
  const { storage, stanza } = repo;
  const listing = begun(storage.names(archivePath(stanza)));
  const inBackup = withoutLeftOver(await storage.names(backupPath(stanza)), backupInfoFile(stanza));
  const inArchive = withoutLeftOver(await listing, archiveInfoFile(stanza));
  const archives = copiesOf(archiveInfoFile(stanza), inArchive);
  const backups = copiesOf(backupInfoFile(stanza), inBackup);
  if (archives === 0 && backups === 0) {
    checkEmpty(inBackup, inArchive);
    await createInfo(repo, control, version);
    return true;
  }
  // the first step of a creation that did not get further; PostgreSQL may have begun to archive
  const isBegun = inBackup.length === 0 && inArchive.includes(basename(archiveInfoFile(stanza))) && archives === 1;
  if (isBegun && (await isOfOnly(repo, control))) {
    await createInfo(repo, control, version, false);
    return true;
  }
  if (archives === 0 || backups === 0) {
    const what =
      archives > 0
        ? 'archive.info exists but backup.info is missing'
        : 'backup.info exists but archive.info is missing';
    throw new BackstopError('file-missing', `${what} on ${repo.name}`, {
      hint: 'this may be a symptom of repository corruption!',
    });
  }
  await loadStanzaInfo(repo, databaseOf(control));
  const isMended = await mendCopies(repo, log);
  // an earlier one may have been killed before it synced the names that are there
  for (const path of [archivePath(stanza), backupPath(stanza)]) await storage.paths?.sync(path);
  return isMended;
}

/**
 * @param names what lies in the directory of the file
 * @returns how many of its two copies there are
 */
const copiesOf = (path: string, names: readonly string[]): number =>
  [path, path + copySuffix].filter(file => names.includes(basename(file))).length;

/** What a creation leaves that was stopped while it wrote an info file is nothing. */
function withoutLeftOver(names: readonly string[], path: string): string[] {
  const leftOver = [path, path + copySuffix].map(file => basename(file) + temporarySuffix);
  return names.filter(name => !leftOver.includes(name));
}

/** What lies there belongs to somebody, even without info files. */
function checkEmpty(inBackup: readonly string[], inArchive: readonly string[]): void {
  const [hasBackup, hasArchive] = [inBackup.length > 0, inArchive.length > 0];
  if (!hasBackup && !hasArchive) return;
  const what = [...(hasBackup ? ['backup directory'] : []), ...(hasArchive ? ['archive directory'] : [])];
  throw new BackstopError('path-not-empty', `${what.join(' and/or ')} not empty`);
}

/** The number of a stanza's first cluster. */
const firstId = 1;

/** Whether archive.info knows this cluster and no other. */
async function isOfOnly(repo: StanzaRepo, control: ControlData): Promise<boolean> {
  const archive = await repo.loadArchiveInfo();
  return (
    archive.history.length === 1 && archive.currentId === firstId && isSameDb(currentDb(archive), databaseOf(control))
  );
}

/**
 * archive.info comes first: a stanza counts as made when backup.info is there.
 * @param withArchive false when archive.info is there already
 */
async function createInfo(repo: StanzaRepo, control: ControlData, version: string, withArchive = true): Promise<void> {
  const db: DbHistory = {
    id: firstId,
    ...databaseOf(control),
    catalogVersion: control.catalogVersion,
    controlVersion: control.controlVersion,
  };
  // archive and backups have keys of their own, so that one does not open the other
  const pass = () => (repo.isEncrypted ? { cipherPass: generatePassphrase() } : {});
  const info = { currentId: db.id, history: [db] };
  const archive = withArchive ? { ...info, ...pass() } : undefined;
  await repo.saveInfos(archive, { ...info, backups: [], ...pass() }, version);
}

const databaseOf = ({ version, systemId }: ControlData): Pick<DbHistory, 'version' | 'systemId'> => ({
  version: version.text,
  systemId,
});
