/** backup: the story of one backup, step by step (behaviour, section 4.2), to one repository or to several at once. */
import { BackstopError } from '../../base/error.ts';
import { OwnerNames } from '../../base/owner.ts';
import { formatSize } from '../../base/units.ts';
import { deriveSettings } from '../../config/derive.ts';
import { buildManifest } from '../../repo/manifest/build.ts';
import { controlName, copyManifest, type Manifest } from '../../repo/manifest/manifest.ts';
import type { Session } from '../session.ts';
import { checkStopFile } from '../stop-file.ts';
import { copyCluster } from './copy.ts';
import { type BackupCluster, openBackupCluster } from './database.ts';
import { FanOut } from './fan-out.ts';
import { completeManifest, type EndOfCopy, finishBackup } from './finish.ts';
import { type BackupRepo, chosenRepos, openBackupRepo } from './repo.ts';
import type { RepoCopy } from './repo-copy.ts';
import { checkPriorSegment, planRepo, type RepoWithHeader, withHeader, withLabels, withPrior } from './repo-plan.ts';

export async function run(session: Session<'backup'>): Promise<undefined> {
  checkStopFile(session);
  const chosen = chosenRepos(session);
  const fanOut = new FanOut(
    session,
    chosen.map(({ key }) => key),
  );
  const repos = await fanOut.each(chosen, repo => openBackupRepo(fanOut.sessionOf(repo.key), repo));
  try {
    await backUp(session, fanOut, repos);
  } finally {
    for (const { repo } of repos) await repo.storage.close();
  }
  if (session.settings.values['expire-auto']) expireAfterwards(session, fanOut);
  fanOut.end();
  return undefined;
}

async function backUp(session: Session<'backup'>, fanOut: FanOut, repos: readonly BackupRepo[]): Promise<void> {
  const cluster = await openBackupCluster(session);
  try {
    const fitting = await fanOut.each(repos, async repo => {
      cluster.checkStanza(repo.backupInfo, repo.archiveInfo);
      return repo;
    });
    cluster.checkPages();
    const building = await fanOut.each(fitting, repo => withPrior(repo, cluster));
    const timestampStart = Math.floor((await cluster.time()) / 1000);
    const start = await cluster.start();
    const begun = await fanOut.each(building, async repo => {
      if (start !== undefined) await checkPriorSegment(repo, start);
      return await withHeader(repo, cluster, timestampStart);
    });
    const manifest = await lookAtCluster(session, cluster, begun);
    const copyAt = await copyStart(session, cluster);
    const labelled = await withLabels(fanOut, begun);
    const looking = labelled.map((repo, at) => ({
      ...repo,
      manifest: at === labelled.length - 1 ? manifest : copyManifest(manifest),
    }));
    const planned = await fanOut.each(looking, repo => planRepo(repo, copyAt.second, start));
    const copied = await copyCluster(session, { cluster, fanOut, repos: planned, come: copyAt.come });
    const stop = await cluster.stop();
    const end = { cluster, start, stop, timestampStop: Math.floor((await cluster.time()) / 1000) };
    await finish(session, fanOut, planned, end, copied);
  } catch (error) {
    await cluster.abort();
    throw error;
  } finally {
    await cluster.close();
  }
}

async function finish(
  session: Session<'backup'>,
  fanOut: FanOut,
  repos: readonly RepoCopy[],
  end: EndOfCopy & { readonly cluster: BackupCluster },
  copied: ReadonlyMap<number, number>,
): Promise<void> {
  const complete = await fanOut.each(repos, async repo => {
    await completeManifest(repo.session, repo, end);
    return repo;
  });
  if (end.stop !== undefined && session.settings.values['archive-check']) await end.cluster.close();
  await fanOut.each(complete, async repo => {
    await finishBackup(repo.session, repo, end);
    const { header, files } = repo.manifest;
    repo.session.log.info(
      `${header.type} backup size = ${formatSize(copied.get(repo.key) ?? 0)}, file total = ${files.length}`,
    );
  });
}

/** The cluster as it is now. Which repository it is for makes no difference yet. */
async function lookAtCluster(
  { log, settings }: Session<'backup'>,
  cluster: BackupCluster,
  repos: readonly RepoWithHeader[],
): Promise<Manifest> {
  const [first] = repos;
  if (first === undefined) throw new BackstopError('assert', 'a backup without repositories');
  const manifest = await buildManifest({
    storage: cluster.files,
    header: first.header,
    path: cluster.path,
    version: cluster.version,
    catalogVersion: cluster.control.catalogVersion,
    online: cluster.isOnline,
    checksumPage: repos.some(({ header }) => header.options.checksumPage),
    exclude: settings.values.exclude ?? [],
    tablespaces: await cluster.tablespaceNames(),
    owners: new OwnerNames(),
    onWarning: message => log.warn(message),
    onInfo: message => log.info(message),
  });
  manifest.databases.push(...(await cluster.manifestDatabases()));
  if (manifest.files.find(controlName) === undefined) {
    // it was there when the backup began
    const kind = cluster.isOnline ? 'online ' : '';
    throw new BackstopError('file-missing', `pg_control must be present in all ${kind}backups`, {
      hint: [
        'is something wrong with the clock or filesystem timestamps?',
        `has '${cluster.path}/global/pg_control' been removed?`,
      ],
    });
  }
  return manifest;
}

interface CopyStart {
  /** The second from which on files may be copied. */
  readonly second: number;
  /** Waits for it. */
  readonly come: () => Promise<void>;
}

/**
 * When files may be copied. A file changed in the second of the walk could change again within it without a newer time, so an
 * online backup waits that second out; what is done meanwhile reads nothing of the cluster.
 */
async function copyStart(
  { clock }: Session<'backup'>,
  cluster: { isOnline: boolean; time(): Promise<number> },
): Promise<CopyStart> {
  const now = await cluster.time();
  const second = Math.floor(now / 1000) + (cluster.isOnline ? 1 : 0);
  const come = async (): Promise<void> => {
    if (!cluster.isOnline) return;
    for (let at = await cluster.time(); at < second * 1000; at = await cluster.time()) {
      await clock.sleep(Math.max(1, second * 1000 - at));
    }
  };
  return { second, come };
}

/** Expires where there is a new backup: a repository that did not get one keeps what it has. */
function expireAfterwards(session: Session<'backup'>, fanOut: FanOut): void {
  const { settings } = session;
  if (fanOut.isComplete) session.afterwards(deriveSettings(settings, 'expire'));
  else for (const repo of fanOut.left) session.afterwards(deriveSettings(settings, 'expire', { repo }));
}
