/** Where the repositories have an archived file. */
import { BackstopError } from '../../base/error.ts';
import { isWalSegmentFile, type WalName } from '../../postgres/wal.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import { type ArchiveId, archiveIdOf, isSameDb } from '../../repo/history.ts';
import { archiveFilePath, archivePath } from '../../repo/layout.ts';
import { begun } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { type ArchivedWal, findWalCopies } from '../../repo/wal-store.ts';
import { formatRepoError, formatRepoErrors, type RepoError, repoError } from '../repo-error.ts';
import type { ClusterIdentity, OpeningRepo } from './push-target.ts';

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

/** A repository whose archives of the cluster are on their way. */
export interface OpeningSource {
  readonly key: number;
  /** Fails for a repository that cannot be used. */
  readonly opening: Promise<ArchiveSource>;
}

/** Begins to look which repositories have archives of the cluster. */
export function openArchiveSources(repos: readonly OpeningRepo[], cluster: ClusterIdentity): OpeningSource[] {
  return repos.map(({ key, loading }) => ({
    key,
    opening: begun(loading.then(({ repo, info }) => sourceOf(repo, info, cluster))),
  }));
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

/** A repository that could not be asked. */
export interface SearchError extends RepoError {
  readonly key: number;
}

/** Where the copies of one file are, as far as the repositories have answered. */
export interface ArchiveSearch {
  /** In the order in which to try them. */
  readonly copies: readonly ArchivedFile[];
  readonly errors: readonly SearchError[];
  /** Keys of those that had not answered when another had the file already. */
  readonly unanswered: readonly number[];
}

/** Looks for a file in one archive. */
export type FindIn = (source: ArchiveSource, archiveId: ArchiveId, name: string) => Promise<ArchivedFile[]>;

export interface SearchOptions {
  /** Milliseconds that the others still get once one repository has the file: it may be the only one that is up. */
  readonly patience: number;
  /** As findIn() when absent. */
  readonly find?: FindIn;
}

/** Milliseconds that recovery waits for a slow repository when another has the file. */
export const usualPatience = 2000;

/** What one repository said. */
interface Answer {
  readonly copies: readonly ArchivedFile[];
  readonly error?: SearchError;
}

/**
 * Looks for a file in all repositories at once.
 * @param name as PostgreSQL asks for it
 * @throws archive-duplicate when there are copies of a segment with different content
 */
export async function searchArchives(
  sources: readonly OpeningSource[],
  name: string,
  { patience, find = findIn }: SearchOptions,
): Promise<ArchiveSearch> {
  const answers = new Map<number, Answer>();
  const asking = sources.map(async source => {
    const answer = await ask(source, name, find);
    answers.set(source.key, answer);
    return answer;
  });
  await allOrPatience(asking, patience);
  const copies = sources.flatMap(({ key }) => answers.get(key)?.copies ?? []);
  const errors = sources.flatMap(({ key }) => answers.get(key)?.error ?? []);
  if (new Set(copies.map(file => file.wal?.checksum)).size > 1) throw duplicates(name, copies);
  if (copies.length === 0)
    errors.push(...(await goneMeanwhile(sources.filter(({ key }) => !errors.some(error => error.key === key)))));
  return { copies, errors, unanswered: sources.flatMap(({ key }) => (answers.has(key) ? [] : key)) };
}

/**
 * That a file is not there is an answer of all repositories: one that failed may have it, and recovery would end too early.
 * @param asked how many repositories
 * @param warn told of the repositories that failed, where that is not the error
 * @throws repo-invalid when no repository has it and not all could be asked
 */
export function checkProof(
  name: string,
  { copies, errors }: ArchiveSearch,
  asked: number,
  warn: (message: string) => void,
): void {
  if (copies.length === 0 && errors.length > 0 && errors.length < asked) throw notProven(name, errors);
  for (const error of errors) warn(formatRepoError(error));
  if (copies.length === 0 && errors.length > 0) {
    throw new BackstopError('repo-invalid', 'unable to find a valid repository');
  }
}

/** Both in one: what is found, or proven not to be there. */
export async function findArchivedFile(
  sources: readonly OpeningSource[],
  name: string,
  { warn, ...options }: SearchOptions & { readonly warn: (message: string) => void },
): Promise<ArchiveSearch> {
  const search = await searchArchives(sources, name, options);
  checkProof(name, search, sources.length, warn);
  return search;
}

/** What is found before a failure counts: without it recovery could end too early. */
async function ask({ key, opening }: OpeningSource, name: string, find: FindIn): Promise<Answer> {
  const copies: ArchivedFile[] = [];
  try {
    const source = await opening;
    const searches = source.archiveIds.map(archiveId => begun(find(source, archiveId, name)));
    for (const search of searches) copies.push(...(await search));
    return { copies };
  } catch (error) {
    return { copies, error: { ...repoError(key, error), key } };
  }
}

/** Of repositories that do not have a file: those which are not there at all. */
async function goneMeanwhile(sources: readonly OpeningSource[]): Promise<SearchError[]> {
  const looks = sources.map(async ({ key, opening }): Promise<SearchError[]> => {
    try {
      const { repo } = await opening;
      await repo.checkPresence();
      return [];
    } catch (error) {
      return [{ ...repoError(key, error), key }];
    }
  });
  return (await Promise.all(looks)).flat();
}

/** Waits for all answers, and once one has copies only so much longer. */
async function allOrPatience(asking: readonly Promise<Answer>[], patience: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>(resolve => {
    for (const answer of asking) {
      void answer.then(({ copies }) => {
        if (copies.length > 0 && patience !== Number.POSITIVE_INFINITY) timer ??= setTimeout(resolve, patience);
      });
    }
  });
  await Promise.race([Promise.all(asking), enough]);
  clearTimeout(timer);
}

/** Nobody has the file, but not everybody was asked. */
function notProven(name: string, errors: readonly RepoError[]): BackstopError {
  return new BackstopError(
    'repo-invalid',
    `unable to say whether ${name} is in the archive, because not all repositories can be searched:\n${formatRepoErrors(errors)}`,
    {
      hint: [
        'the other repositories do not have it.',
        'use option repo to ask one repository only, when the one that fails is gone for good.',
      ],
    },
  );
}

/** Looks for a file in one archive of a repository. */
export async function findIn(source: ArchiveSource, archiveId: ArchiveId, name: string): Promise<ArchivedFile[]> {
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
