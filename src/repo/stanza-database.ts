/** Checks that both info files of a repository belong to the cluster at hand. */
import { BackstopError } from '../base/error.ts';
import type { ArchiveInfo } from './archive-info.ts';
import type { BackupInfo } from './backup-info.ts';
import { currentDb, type DbHistory, isSameDb } from './history.ts';
import { begun } from './object-store.ts';
import type { StanzaRepo } from './stanza-repo.ts';

export interface StanzaInfo {
  readonly archive: ArchiveInfo;
  readonly backup: BackupInfo;
}

/**
 * Loads archive.info and backup.info and checks that their current database is the given one.
 * @throws file-invalid when they name another one or disagree; else as loading them does
 */
export async function loadStanzaInfo(
  repo: StanzaRepo,
  db: Pick<DbHistory, 'version' | 'systemId'>,
): Promise<StanzaInfo> {
  const loading = begun(repo.loadBackupInfo());
  const archive = await repo.loadArchiveInfo();
  const backup = await loading;
  checkInfoPair(archive, backup);
  if (!isSameDb(currentDb(archive), db)) {
    throw new BackstopError('file-invalid', 'backup and archive info files exist but do not match the database', {
      hint: ['is this the correct stanza?', 'did an error occur during stanza-upgrade?'],
    });
  }
  return { archive, backup };
}

/** @throws file-invalid when the two files do not have the same current database */
export function checkInfoPair(archive: ArchiveInfo, backup: BackupInfo): void {
  const [a, b] = [currentDb(archive), currentDb(backup)];
  if (a.id === b.id && isSameDb(a, b)) return;
  const line = (db: DbHistory) => `id = ${db.id}, version = ${db.version}, system-id = ${db.systemId}`;
  throw new BackstopError(
    'file-invalid',
    `backup info file and archive info file do not match\narchive: ${line(a)}\nbackup : ${line(b)}`,
    { hint: 'this may be a symptom of repository corruption!' },
  );
}
