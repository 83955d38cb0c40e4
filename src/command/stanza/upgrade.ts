/**
 * `stanza-upgrade`: tells every repository that the cluster has a new version or system id (behaviour, section 3). What was
 * archived and backed up before stays where it is, under the ids that it has.
 */
import type { ControlData } from '../../postgres/control.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import { currentDb, type DbHistory, isSameDb } from '../../repo/history.ts';
import { begun } from '../../repo/object-store.ts';
import { checkInfoPair } from '../../repo/stanza-database.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { openRepo, repoSettings, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { checkStopFile } from '../stop-file.ts';
import { mendCopies } from './copies.ts';
import { readStanzaDatabase } from './database.ts';

export async function run(session: Session<'stanza-upgrade'>): Promise<undefined> {
  const { log, version } = session;
  checkStopFile(session);
  const control = await readStanzaDatabase(session);
  const stanza = stanzaOf(session);
  for (const repoConfig of repoSettings(session)) {
    log.info(`stanza-upgrade for stanza '${stanza}' on repo${repoConfig.key}`);
    const repo = await openRepo(session, repoConfig);
    try {
      const isUpgraded = await upgradeInRepo(repo, control, version);
      const mended = await mendCopies(repo, log);
      if (!isUpgraded && !mended) {
        log.info(`stanza '${stanza}' on ${repo.name} is already up to date`);
      }
    } finally {
      await repo.storage.close();
    }
  }
}

/** @returns whether anything had to be written */
async function upgradeInRepo(repo: StanzaRepo, control: ControlData, version: string): Promise<boolean> {
  const loading = begun(repo.loadBackupInfo());
  const archive = await repo.loadArchiveInfo();
  const backup = await loading;
  // an upgrade that ended between the two files is finished by the next one: each is judged by itself
  const newArchive = withCluster(archive, control, false);
  const newBackup = withCluster(backup, control, true);
  checkInfoPair(newArchive, newBackup);
  if (newArchive !== archive) await repo.saveArchiveInfo(newArchive, version);
  if (newBackup !== backup) await repo.saveBackupInfo(newBackup, version);
  return newArchive !== archive || newBackup !== backup;
}

/**
 * The info with the cluster as its current one; the same object when it is that already.
 * @param catalog whether this file records the catalog and control versions
 */
function withCluster<I extends ArchiveInfo | BackupInfo>(info: I, control: ControlData, catalog: boolean): I {
  const cluster = { version: control.version.text, systemId: control.systemId };
  const current = currentDb(info);
  if (isSameDb(current, cluster)) return info;
  const { catalogVersion, controlVersion } = control;
  const db: DbHistory = { id: current.id + 1, ...cluster, ...(catalog ? { catalogVersion, controlVersion } : {}) };
  return { ...info, currentId: db.id, history: [...info.history, db] };
}
