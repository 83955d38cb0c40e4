/**
 * `stanza-upgrade`: tells every repository that the cluster has a new version or system id (behaviour, section 3). What was
 * archived and backed up before stays where it is, under the ids that it has.
 */
import { asBackstopError } from '../../base/error.ts';
import type { ControlData } from '../../postgres/control.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import { currentDb, type DbHistory, isSameDb } from '../../repo/history.ts';
import { begun } from '../../repo/object-store.ts';
import { checkInfoPair, type StanzaInfo } from '../../repo/stanza-database.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { UnreachableError } from '../../storage/unreachable.ts';
import { openRepo, repoSettings, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { checkStopFile } from '../stop-file.ts';
import { mendCopies } from './copies.ts';
import { readStanzaDatabase } from './database.ts';

export async function run(session: Session<'stanza-upgrade'>): Promise<undefined> {
  const { log } = session;
  checkStopFile(session);
  const control = await readStanzaDatabase(session);
  const stanza = stanzaOf(session);
  for (const repoConfig of repoSettings(session)) {
    log.info(`stanza-upgrade for stanza '${stanza}' on repo${repoConfig.key}`);
    const repo = await openRepo(session, repoConfig);
    try {
      // an upgrade writes all copies
      if (!(await upgradeInRepo(repo, control, session)) && !(await mendCopies(repo, log))) {
        log.info(`stanza '${stanza}' on ${repo.name} is already up to date`);
      }
    } finally {
      await repo.storage.close();
    }
  }
}

/** @returns whether anything had to be written */
async function upgradeInRepo(
  repo: StanzaRepo,
  control: ControlData,
  session: Session<'stanza-upgrade'>,
): Promise<boolean> {
  const loading = begun(repo.loadBackupInfo());
  const archive = await repo.loadArchiveInfo();
  const backup = await loading;
  // an upgrade that ended between the two files is finished by the next one: each is judged by itself
  const newArchive = withCluster(archive, control, false);
  const newBackup = withCluster(backup, control, true);
  checkInfoPair(newArchive, newBackup);
  if (newArchive === archive && newBackup === backup) return false;
  try {
    await repo.saveInfos(newArchive, newBackup, session.version);
  } catch (error) {
    await putBack(repo, { archive, backup }, error, session);
    throw error;
  }
  return true;
}

/**
 * No backup is made while the two files disagree, and verify calls it an error. An upgrade that fails leaves them as they were;
 * what was archived under the new id meanwhile is there again after the next one.
 */
async function putBack(
  repo: StanzaRepo,
  { archive, backup }: StanzaInfo,
  reason: unknown,
  { log, version }: Session<'stanza-upgrade'>,
): Promise<void> {
  // who does not answer now would have to be waited for again
  if (reason instanceof UnreachableError) return;
  try {
    await repo.saveInfos(archive, backup, version);
  } catch (error) {
    log.warn(
      `${repo.name}: the info files may disagree until stanza-upgrade has been run again: ${asBackstopError(error).message}`,
    );
  }
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
