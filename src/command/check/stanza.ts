/** Checks of a running cluster against the repositories of its stanza. */
import type { Cluster } from '../../postgres/cluster.ts';
import { checkArchiving, checkSameCluster } from '../../postgres/cluster-check.ts';
import { archiveIdOf, currentDb } from '../../repo/history.ts';
import { begun } from '../../repo/object-store.ts';
import { loadStanzaInfo, type StanzaInfo } from '../../repo/stanza-database.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { waitForWal } from '../../repo/wal-store.ts';
import { openRepo, repoSettings, settingsOfCluster } from '../open.ts';
import type { Session } from '../session.ts';
import { tellFailure, tellLag } from './archiver.ts';

/** A standby cannot switch WAL: only its configuration is checked. */
export async function checkStandby(session: Session<'check'>, standby: Cluster): Promise<void> {
  checkSameCluster(standby, settingsOfCluster(session, standby));
  await withRepos(session, async repos => {
    await inOrder(repos, loadInfo(standby), repo => session.log.info(`check ${repo.name} (standby)`));
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
  await withRepos(session, async repos => {
    const infos = await inOrder(repos, loadInfo(primary), repo =>
      log.info(`check ${repo.name} configuration (primary)`),
    );
    const archives = repos.flatMap((repo, index) => {
      const info = infos[index];
      return info === undefined ? [] : [{ repo, info }];
    });
    await tellLag(session, archives);
    const segment = await primary.switchWal();
    const waiting = inOrder(
      archives,
      async ({ repo, info }, signal) => {
        return await waitForWal(repo, archiveIdOf(currentDb(info.archive)), [segment], { timeout, clock, signal });
      },
      ({ repo }) => log.info(`check ${repo.name} archive for WAL (primary)`),
      ({ repo }, wal) => {
        for (const { path } of wal) {
          log.info(`WAL segment ${segment} successfully archived to '${repo.fullPath(path)}' on ${repo.name}`);
        }
      },
    );
    try {
      await waiting;
    } catch (error) {
      await tellFailure(session, primary, undefined);
      throw error;
    }
    await tellFailure(session, primary, archives);
  });
}

const loadInfo =
  ({ control }: Cluster) =>
  (repo: StanzaRepo): Promise<StanzaInfo> =>
    loadStanzaInfo(repo, { version: control.version.text, systemId: control.systemId });

/** Opens all repositories, in key order, for the work. */
async function withRepos(
  session: Session<'check'>,
  work: (repos: readonly StanzaRepo[]) => Promise<void>,
): Promise<void> {
  const repos: StanzaRepo[] = [];
  try {
    for (const settings of repoSettings(session)) repos.push(await openRepo(session, settings));
    await work(repos);
  } finally {
    for (const repo of repos) await repo.storage.close();
  }
}

/**
 * Works on all repositories at once, and tells of it as if it were one after the other: the first that fails, in key order,
 * ends the check, and the others need not wait any longer.
 */
async function inOrder<I, R>(
  items: readonly I[],
  work: (item: I, signal: AbortSignal) => Promise<R>,
  before: (item: I) => void,
  after: (item: I, result: R) => void = () => undefined,
): Promise<R[]> {
  const ending = new AbortController();
  const results: R[] = [];
  try {
    for (const { item, working } of items.map(item => ({ item, working: begun(work(item, ending.signal)) }))) {
      before(item);
      const result = await working;
      after(item, result);
      results.push(result);
    }
  } finally {
    ending.abort();
  }
  return results;
}
