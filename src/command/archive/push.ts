/** archive-push: PostgreSQL's archive_command gives one file to all repositories (behaviour, section 5.1). */
import { basename } from 'node:path';
import { asBackstopError, BackstopError } from '../../base/error.ts';
import { openCodecs } from '../../codec/codecs.ts';
import { readControl } from '../../postgres/control.ts';
import { isWalSegmentFile } from '../../postgres/wal.ts';
import { openClusterStorage } from '../../storage/drivers.ts';
import type { Storage } from '../../storage/storage.ts';
import { forcedVersion, openRepo, repoSettings } from '../open.ts';
import { formatRepoErrors } from '../repo-error.ts';
import type { Session } from '../session.ts';
import { checkStopFile } from '../stop-file.ts';
import { removeLeftovers } from './leftover.ts';
import { type PushFileOptions, pushFile } from './push-file.ts';
import { beginOpening, closeAll, type OpeningRepo, openPushTargets, type PushTarget } from './push-target.ts';
import { droppedByQueueLimit } from './queue-limit.ts';
import { largestRead, walPathOf } from './wal-parameter.ts';

export async function run(session: Session<'archive-push'>): Promise<undefined> {
  const { settings, log } = session;
  const { values } = settings;
  const [cluster] = settings.clusters;
  if (cluster?.values.host !== undefined) {
    throw new BackstopError('host-invalid', 'archive-push command must be run on the PostgreSQL host');
  }
  const [parameter, ...others] = settings.params;
  if (parameter === undefined || others.length > 0) {
    throw new BackstopError('param-required', 'WAL segment to push required');
  }
  checkStopFile(session);
  const dataDirectory = cluster?.values.path;
  const walFile = walPathOf(parameter, dataDirectory, settings.command);
  const files = await openClusterStorage({ key: 1 });

  const queueMax = values['archive-push-queue-max'];
  const dropped = queueMax === undefined ? undefined : await droppedByQueueLimit(files, walFile, queueMax);
  if (dropped !== undefined) {
    log.warn(dropped);
    return;
  }

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
  const dataDirectory = settings.clusters[0]?.values.path;
  const name = basename(walFile);
  const control =
    dataDirectory === undefined
      ? undefined
      : await readControl(files, dataDirectory, { forcedVersion: forcedVersion(session), clock: session.clock });
  const {
    targets,
    errors,
    cluster: identity,
  } = await openPushTargets(
    opening,
    control === undefined ? undefined : { version: control.version.text, systemId: control.systemId },
  );
  const result = await pushFile(files, walFile, name, targets, {
    ...pushOptions(session),
    ...(values['archive-header-check'] ? { cluster: identity } : {}),
  });
  const failed = [...errors, ...result.errors];
  // PostgreSQL must keep the file while any repository lacks it
  if (failed.length > 0) {
    throw new BackstopError('command', `archive-push command encountered error(s):\n${formatRepoErrors(failed)}`);
  }
  for (const { repo } of values['archive-mode-check'] ? result.existing : []) {
    log.warn(
      `WAL file '${name}' already exists in the ${repo.name} archive with the same checksum\nHINT: this is valid in some recovery scenarios but may also indicate a problem.`,
    );
  }
  log.info(`pushed WAL file '${name}' to the archive`);
  if (isWalSegmentFile(name)) await cleanUp(session, targets, name);
}

function pushOptions(session: Session<'archive-push'>): PushFileOptions {
  const { values } = session.settings;
  const type = values['compress-type'];
  const version = forcedVersion(session);
  return {
    codecs: openCodecs(),
    bufferSize: Math.min(values['buffer-size'], largestRead),
    ...(type === 'none' ? {} : { compression: { type, level: values['compress-level'] } }),
    ...(version === undefined ? {} : { forcedVersion: version }),
  };
}

/** The segment is safe by now: what goes wrong here must not make PostgreSQL push it again. */
async function cleanUp(session: Session<'archive-push'>, targets: readonly PushTarget[], name: string): Promise<void> {
  for (const target of targets) {
    try {
      await removeLeftovers(target, name, session.clock.now() / 1000);
    } catch (error) {
      session.log.warn(`unable to remove temporary files from the archive: ${asBackstopError(error).message}`);
    }
  }
}
