/** The repositories that a segment goes to, each with the archive of the cluster it comes from. */
import { BackstopError } from '../../base/error.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import { type ArchiveId, archiveIdOf, currentDb, type DbHistory, isSameDb } from '../../repo/history.ts';
import { begun } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { RepoSettings } from '../../storage/drivers.ts';
import { formatRepoErrors, type RepoError, repoError } from '../repo-error.ts';

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

/** A repository whose archive.info is on its way. */
export interface OpeningRepo {
  readonly key: number;
  readonly opening: Promise<StanzaRepo>;
  readonly loading: Promise<{ readonly repo: StanzaRepo; readonly info: ArchiveInfo }>;
}

/** Begins to open all repositories at once. What fails is told when it is awaited. @param open opens one repository */
export function beginOpening(
  repos: readonly RepoSettings[],
  open: (settings: RepoSettings) => Promise<StanzaRepo>,
): OpeningRepo[] {
  const load = async (opening: Promise<StanzaRepo>) => {
    const repo = await opening;
    return { repo, info: await repo.loadArchiveInfo() };
  };
  return repos.map(settings => {
    const opening = begun(open(settings));
    return { key: settings.key, opening, loading: begun(load(opening)) };
  });
}

/** Closes all that could be opened, and waits for no answer. */
export async function closeAll(repos: readonly OpeningRepo[]): Promise<void> {
  for (const opened of await Promise.allSettled(repos.map(({ opening }) => opening))) {
    if (opened.status === 'fulfilled') await opened.value.storage.close();
  }
}

/**
 * Compares the current cluster of the repositories with the one we push from: with pg_control where it can be read, else
 * with the first repository that says.
 * @param cluster from pg_control
 * @throws repo-invalid when none can be used
 */
export async function openPushTargets(
  repos: readonly OpeningRepo[],
  cluster: ClusterIdentity | undefined,
): Promise<PushTargets> {
  const targets: PushTarget[] = [];
  const errors: RepoError[] = [];
  let expected = cluster;
  let expectedFrom = 'PostgreSQL';
  for (const { key, loading } of repos) {
    try {
      const { repo, info } = await loading;
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
      errors.push(repoError(key, error));
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
