/** Where the repositories have an archived file. */
import { BackstopError } from '../../base/error.ts';
import { isWalSegmentFile, type WalName } from '../../postgres/wal.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import { type ArchiveId, archiveIdOf, isSameDb } from '../../repo/history.ts';
import { archiveFilePath, archivePath } from '../../repo/layout.ts';
import { begun } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { type ArchivedWal, findWalCopies } from '../../repo/wal-store.ts';
import type { ClusterIdentity, OpeningRepo } from './push-target.ts';
import { formatRepoError, type RepoError, repoError } from './repo-error.ts';

/** A repository with the archives of one cluster in it. */
export interface ArchiveSource {
  readonly repo: StanzaRepo;
  /** Newest first; at least one. */
  readonly archiveIds: readonly ArchiveId[];
  readonly passphrase?: string;
}

/** One copy of the file that is asked for. */
export interface ArchivedFile {
  readonly source: ArchiveSource;
  readonly archiveId: ArchiveId;
  /** Path in the repository. */
  readonly path: string;
  /** What its name says; absent for files whose name says nothing (history). */
  readonly wal?: ArchivedWal;
}

/** `15-1/0000000100000000/000000010000000000000004-SHA1.gz`: for messages. */
export function shownPath({ source, path }: ArchivedFile): string {
  return path.slice(archivePath(source.repo.stanza).length + 1);
}

type Warn = (message: string) => void;

/**
 * Waits for the repositories that have an archive of the cluster. Each that cannot be used is warned of.
 * @throws repo-invalid when none can be used
 */
export async function openArchiveSources(
  repos: readonly OpeningRepo[],
  cluster: ClusterIdentity,
  warn: Warn,
): Promise<ArchiveSource[]> {
  const sources: ArchiveSource[] = [];
  for (const { key, loading } of repos) {
    try {
      const { repo, info } = await loading;
      sources.push(sourceOf(repo, info, cluster));
    } catch (error) {
      warn(formatRepoError(repoError(key, error)));
    }
  }
  if (sources.length === 0) throw new BackstopError('repo-invalid', 'unable to find a valid repository');
  return sources;
}

function sourceOf(repo: StanzaRepo, info: ArchiveInfo, cluster: ClusterIdentity): ArchiveSource {
  const archiveIds = info.history
    .filter(db => isSameDb(db, cluster))
    .map(archiveIdOf)
    .toReversed();
  if (archiveIds.length === 0) {
    throw new BackstopError(
      'archive-mismatch',
      `unable to retrieve the archive id for database version '${cluster.version}' and system-id '${cluster.systemId}'`,
    );
  }
  return { repo, archiveIds, ...(info.cipherPass === undefined ? {} : { passphrase: info.cipherPass }) };
}

/**
 * Finds every copy of a file.
 * @param name as PostgreSQL asks for it
 * @returns in the order in which to try them; none when no repository has it
 * @throws archive-duplicate when there are copies of a segment with different content, repo-invalid when no repository
 *   can be searched
 */
export async function findArchivedFile(
  sources: readonly ArchiveSource[],
  name: string,
  warn: Warn,
): Promise<ArchivedFile[]> {
  const found: ArchivedFile[] = [];
  const errors: RepoError[] = [];
  const searches = sources.map(source => ({
    source,
    searching: source.archiveIds.map(archiveId => begun(findIn(source, archiveId, name))),
  }));
  for (const { source, searching } of searches) {
    try {
      // what is found before a failure counts: without it recovery could end too early
      for (const copies of searching) found.push(...(await copies));
    } catch (error) {
      const failed = repoError(source.repo.key, error);
      errors.push(failed);
      warn(formatRepoError(failed));
    }
  }
  if (errors.length === sources.length) throw new BackstopError('repo-invalid', 'unable to find a valid repository');
  if (new Set(found.map(file => file.wal?.checksum)).size > 1) throw duplicates(name, found);
  return found;
}

async function findIn(source: ArchiveSource, archiveId: ArchiveId, name: string): Promise<ArchivedFile[]> {
  const { repo } = source;
  if (isWalSegmentFile(name)) {
    const copies = await findWalCopies(repo, archiveId, name.slice(0, 24) as WalName, name.endsWith('.partial'));
    return copies.map(wal => ({ source, archiveId, path: wal.path, wal }));
  }
  const path = `${archiveFilePath(repo.stanza, archiveId, name)}/${name}`;
  const info = await repo.storage.info(path);
  return info?.type === 'file' ? [{ source, archiveId, path }] : [];
}

function duplicates(name: string, found: readonly ArchivedFile[]): BackstopError {
  const repos = [...new Set(found.map(file => file.source.repo))];
  const lines = repos.map(repo => {
    const paths = found.filter(file => file.source.repo === repo).map(shownPath);
    return `\n${repo.name}: ${paths.join(', ')}`;
  });
  return new BackstopError('archive-duplicate', `duplicates found for WAL segment ${name}:${lines.join('')}`, {
    hint: 'are multiple primaries archiving to this stanza?',
  });
}
