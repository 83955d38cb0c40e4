/** The synchronous archive-push: the process that PostgreSQL waits for sends the file itself. */
import { basename } from 'node:path';
import { asBackstopError, BackstopError } from '../../base/error.ts';
import { openCodecs } from '../../codec/codecs.ts';
import { openClusterStorage } from '../../storage/drivers.ts';
import type { Storage } from '../../storage/storage.ts';
import { openRepo, repoSettings } from '../open.ts';
import { formatRepoErrors } from '../repo-error.ts';
import type { Session } from '../session.ts';
import { removeLeftovers } from './leftover.ts';
import { pushFile } from './push-file.ts';
import { alreadyThere, archivingCluster, pushOptions } from './push-settings.ts';
import { beginOpening, closeAll, type OpeningRepo, openPushTargets, type PushTarget } from './push-target.ts';
import { dropForQueueLimit } from './queue-limit.ts';

/** @param walFile absolute path of the file */
export async function pushNow(session: Session<'archive-push'>, walFile: string): Promise<undefined> {
  const { values } = session.settings;
  const queueMax = values['archive-push-queue-max'];
  if (queueMax !== undefined && dropForQueueLimit(session, walFile, queueMax)) return;

  const files = await openClusterStorage({ key: 1 });
  // nothing else takes as long as the first answer of a repository that is far away
  const opening = beginOpening(repoSettings(session), repo => openRepo(session, repo));
  try {
    await push(session, files, walFile, opening);
  } finally {
    await closeAll(opening);
  }
}

async function push(
  session: Session<'archive-push'>,
  files: Storage,
  walFile: string,
  opening: readonly OpeningRepo[],
): Promise<void> {
  const { settings, log } = session;
  const { values } = settings;
  const name = basename(walFile);
  const { targets, errors, cluster } = await openPushTargets(opening, await archivingCluster(session, files));
  const result = await pushFile(files, walFile, name, targets, {
    ...pushOptions(session),
    codecs: openCodecs(),
    ...(values['archive-header-check'] ? { cluster } : {}),
  });
  const failed = [...errors, ...result.errors];
  // PostgreSQL must keep the file while any repository lacks it
  if (failed.length > 0) {
    throw new BackstopError('command', `archive-push command encountered error(s):\n${formatRepoErrors(failed)}`);
  }
  for (const { repo } of values['archive-mode-check'] ? result.existing : []) log.warn(alreadyThere(name, repo.name));
  log.info(`pushed WAL file '${name}' to the archive`);
  await cleanUp(session, targets, name);
}

/** The file is safe by now: what goes wrong here must not make PostgreSQL push it again. */
async function cleanUp(session: Session<'archive-push'>, targets: readonly PushTarget[], name: string): Promise<void> {
  for (const target of targets) {
    try {
      await removeLeftovers(target, name, session.clock.now() / 1000);
    } catch (error) {
      session.log.warn(`unable to remove temporary files from the archive: ${asBackstopError(error).message}`);
    }
  }
}
