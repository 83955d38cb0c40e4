/** The repositories that a segment goes to, each with the archive of the cluster it comes from. */
import { BackstopError } from '../../base/error.ts';
import { type ArchiveId, archiveIdOf, currentDb, type DbHistory, isSameDb } from '../../repo/history.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { RepoSettings } from '../../storage/drivers.ts';
import { formatRepoErrors, type RepoError, repoError } from './repo-error.ts';

export interface PushTarget {
  readonly repo: StanzaRepo;
  readonly archiveId: ArchiveId;
  /** Encrypts what is archived; absent where the repository is not encrypted. */
  readonly passphrase?: string;
}

/** A cluster's identity. */
export type ClusterIdentity = Pick<DbHistory, 'version' | 'systemId'>;

export interface PushTargets {
  /** What all targets agree on. */
  readonly cluster: ClusterIdentity;
  /** At least one. */
  readonly targets: readonly PushTarget[];
  /** The repositories that cannot be used. */
  readonly errors: readonly RepoError[];
}

/**
 * Opens the repositories and compares their current cluster with the one we push from: with pg_control where it can be
 * read, else with the first repository that says.
 * @param open opens one repository
 * @param cluster from pg_control
 * @throws repo-invalid when none can be used
 */
export async function openPushTargets(
  repos: readonly RepoSettings[],
  open: (settings: RepoSettings) => Promise<StanzaRepo>,
  cluster: ClusterIdentity | undefined,
): Promise<PushTargets> {
  const targets: PushTarget[] = [];
  const errors: RepoError[] = [];
  let expected = cluster;
  let expectedFrom = 'PostgreSQL';
  for (const settings of repos) {
    try {
      const repo = await open(settings);
      const info = await repo.loadArchiveInfo();
      const current = currentDb(info);
      if (expected === undefined) {
        expected = current;
        expectedFrom = `${repo.name} stanza`;
      } else checkSame(expectedFrom, expected, repo, current);
      targets.push({
        repo,
        archiveId: archiveIdOf(current),
        ...(info.cipherPass === undefined ? {} : { passphrase: info.cipherPass }),
      });
    } catch (error) {
      errors.push(repoError(settings.key, error));
    }
  }
  if (expected === undefined || targets.length === 0) {
    throw new BackstopError('repo-invalid', `unable to find a valid repository:\n${formatRepoErrors(errors)}`);
  }
  return { cluster: expected, targets, errors };
}

function checkSame(from: string, expected: ClusterIdentity, repo: StanzaRepo, current: ClusterIdentity): void {
  if (isSameDb(expected, current)) return;
  throw new BackstopError(
    'archive-mismatch',
    `${from} version ${expected.version}, system-id ${expected.systemId} do not match ${repo.name} stanza version ${current.version}, system-id ${current.systemId}`,
    { hint: 'are you archiving to the correct stanza?' },
  );
}
