/** Checks of a running cluster against the repositories of its stanza. */
import type { Cluster } from '../../postgres/cluster.ts';
import { checkArchiving, checkSameCluster } from '../../postgres/cluster-check.ts';
import { archiveIdOf, currentDb } from '../../repo/history.ts';
import { loadStanzaInfo, type StanzaInfo } from '../../repo/stanza-database.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { waitForWal } from '../../repo/wal-store.ts';
import { openRepo, repoSettings, settingsOfCluster } from '../open.ts';
import type { Session } from '../session.ts';

/** A standby cannot switch WAL: only its configuration is checked. */
export async function checkStandby(session: Session<'check'>, standby: Cluster): Promise<void> {
  checkSameCluster(standby, settingsOfCluster(session, standby));
  await eachRepo(session, async repo => {
    session.log.info(`check ${repo.name} (standby)`);
    await loadInfo(repo, standby);
  });
  session.log.info('switch wal not performed because this is a standby');
}

/** Makes the primary archive a segment and waits for it in every repository. */
export async function checkPrimary(session: Session<'check'>, primary: Cluster): Promise<void> {
  const { log, clock, settings } = session;
  const {
    'archive-check': archiveCheck,
    'archive-mode-check': modeCheck,
    'archive-timeout': timeout,
  } = settings.values;
  checkSameCluster(primary, settingsOfCluster(session, primary));
  if (archiveCheck) checkArchiving(primary, { modeCheck });
  const archiveIds = await eachRepo(session, async repo => {
    log.info(`check ${repo.name} configuration (primary)`);
    const { archive } = await loadInfo(repo, primary);
    return archiveIdOf(currentDb(archive));
  });
  const segment = await primary.switchWal();
  await eachRepo(session, async (repo, index) => {
    log.info(`check ${repo.name} archive for WAL (primary)`);
    const archiveId = archiveIds[index];
    if (archiveId === undefined) return;
    const [found] = await waitForWal(repo, archiveId, [segment], { timeout, clock });
    if (found === undefined) return;
    log.info(`WAL segment ${segment} successfully archived to '${repo.fullPath(found.path)}' on ${repo.name}`);
  });
}

const loadInfo = (repo: StanzaRepo, { control }: Cluster): Promise<StanzaInfo> =>
  loadStanzaInfo(repo, { version: control.version.text, systemId: control.systemId });

/** Runs over the repositories in key order, one at a time: the first that fails ends the check. */
async function eachRepo<T>(
  session: Session<'check'>,
  work: (repo: StanzaRepo, index: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  for (const [index, settings] of repoSettings(session).entries()) {
    const repo = await openRepo(session, settings);
    try {
      results.push(await work(repo, index));
    } finally {
      await repo.storage.close();
    }
  }
  return results;
}
