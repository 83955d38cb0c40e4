/** Looks into the repositories for `info`. What is wrong with one stanza or repository becomes part of the answer. */
import { dirname } from 'node:path/posix';
import { asBackstopError, BackstopError, isBackstopError, isKind } from '../../base/error.ts';
import { compareBytes } from '../../base/json.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import { ArchiveListing } from '../../repo/archive-listing.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import { type ArchiveId, archiveIdOf, currentDb, type DbHistory, isSameDb } from '../../repo/history.ts';
import { type BackupLabel, isBackupLabel } from '../../repo/label.ts';
import { archiveIdPath, backupPath, manifestFile } from '../../repo/layout.ts';
import { begun, forAll } from '../../repo/object-store.ts';
import { StanzaRepo } from '../../repo/stanza-repo.ts';
import { openRepoStorage, type RepoSettings, type StorageContext } from '../../storage/drivers.ts';
import type { Storage } from '../../storage/storage.ts';
import { archiveGaps } from '../archive-gap.ts';
import { archiveLag } from '../archive-lag.ts';
import type { LocalArchiver } from '../local-archiver.ts';
import {
  type DatabaseFinding,
  emptyFinding,
  type LockFinding,
  lockFree,
  type RepoFinding,
  type StanzaFinding,
} from './finding.ts';
import { findLocks } from './lock.ts';
import { findWalRange } from './wal-range.ts';

export interface FindRequest {
  /** In key order. */
  readonly repos: readonly RepoSettings[];
  readonly lockPath: string;
  /** All stanzas when absent. */
  readonly stanza?: string;
  /** Label of the backup whose manifest is wanted. */
  readonly set?: string;
  /** Only locks are looked at. */
  readonly progressOnly: boolean;
  /** Who is told of what while a repository is open. */
  readonly contextOf: (settings: RepoSettings) => StorageContext;
  /** What is known on this host of a stanza's archiving. */
  readonly archiverOf: (stanza: string) => Promise<LocalArchiver | undefined>;
  /** Is told why something of it is not known. */
  readonly tell: (message: string) => void;
  /** Seconds since the epoch. */
  readonly now: number;
}

/** Where every stanza has a directory. */
const stanzasPath = dirname(backupPath('stanza'));

interface OpenRepo {
  readonly settings: RepoSettings;
  /** Absent when the repository could not be opened or listed; then error says why. */
  readonly storage?: Storage;
  readonly stanzas: readonly string[];
  readonly error?: string;
}

/**
 * @returns the stanzas in byte order. When no repository can be read and no stanza is named, one named `[invalid]`
 * holds the errors.
 */
export async function findStanzas(request: FindRequest): Promise<StanzaFinding[]> {
  const repos = await Promise.all(request.repos.map(settings => openAndList(settings, request.contextOf(settings))));
  try {
    const names =
      request.stanza === undefined
        ? [...new Set(repos.flatMap(repo => repo.stanzas))].sort(compareBytes)
        : [request.stanza];
    const findings = await forAll(names, name => findStanza(name, repos, request));
    if (findings.length === 0 && repos.some(repo => repo.error !== undefined)) {
      const failed = repos.map(repo => withError(emptyFinding(repo.settings.key, cipherOf(repo.settings)), repo.error));
      return [{ name: '[invalid]', repos: failed }];
    }
    return findings;
  } finally {
    for (const repo of repos) await repo.storage?.close();
  }
}

async function openAndList(settings: RepoSettings, context: StorageContext): Promise<OpenRepo> {
  let storage: Storage | undefined;
  try {
    storage = await openRepoStorage(settings, context);
    return { settings, storage, stanzas: await storage.names(stanzasPath) };
  } catch (error) {
    await storage?.close();
    return { settings, stanzas: [], error: describe(error) };
  }
}

async function findStanza(name: string, repos: readonly OpenRepo[], request: FindRequest): Promise<StanzaFinding> {
  // before the repositories: what is archived meanwhile does not count as missing
  const archiver = request.progressOnly ? undefined : await request.archiverOf(name);
  const found = await findInRepos(name, repos, request, archiver);
  const locked = found.map(repo => (request.progressOnly ? repo.state !== 'failed' : repo.state === 'found'));
  if (!locked.includes(true)) return { name, repos: found };
  try {
    const keys = found.map(repo => repo.key);
    const backup = findLocks(request.lockPath, name, 'backup', keys);
    const restore = findLocks(request.lockPath, name, 'restore', keys);
    const lockOf = (locks: ReadonlyMap<number, LockFinding>, key: number) => locks.get(key) ?? lockFree;
    return {
      name,
      repos: found.map((repo, index) =>
        locked[index] === true
          ? { ...repo, backupLock: lockOf(backup, repo.key), restoreLock: lockOf(restore, repo.key) }
          : repo,
      ),
    };
  } catch (error) {
    return { name, repos: found.map((repo, index) => (locked[index] === true ? failed(repo, error) : repo)) };
  }
}

async function findInRepos(
  name: string,
  repos: readonly OpenRepo[],
  request: FindRequest,
  archiver: LocalArchiver | undefined,
): Promise<RepoFinding[]> {
  try {
    return await Promise.all(repos.map(repo => findInRepo(name, repo, request, archiver)));
  } finally {
    await archiver?.files.close();
  }
}

/** The archive of an archive id: the same object each time. */
type ListingOf = (archiveId: ArchiveId) => ArchiveListing;

function listingsOf(storage: Storage | undefined, stanza: string): ListingOf {
  const known = new Map<ArchiveId, ArchiveListing>();
  return archiveId => {
    if (storage === undefined) throw new BackstopError('assert', 'list of a repository that is not open');
    const listing = known.get(archiveId) ?? new ArchiveListing(storage, archiveIdPath(stanza, archiveId));
    known.set(archiveId, listing);
    return listing;
  };
}

async function findInRepo(
  name: string,
  repo: OpenRepo,
  request: FindRequest,
  archiver: LocalArchiver | undefined,
): Promise<RepoFinding> {
  const listingOf = listingsOf(repo.storage, name);
  const finding = await findRepo(name, repo, request, listingOf);
  if (archiver === undefined) return finding;
  try {
    return { ...finding, ...(await findLag(finding, archiver, listingOf, request.now)) };
  } catch (error) {
    // what the repository holds is known all the same
    if (!isBackstopError(error)) throw error;
    request.tell(`unable to find how far repo${repo.settings.key} is behind: ${error.text}`);
    return finding;
  }
}

async function findRepo(
  name: string,
  repo: OpenRepo,
  request: FindRequest,
  listingOf: ListingOf,
): Promise<RepoFinding> {
  const { settings, storage } = repo;
  const empty = emptyFinding(settings.key, cipherOf(settings));
  if (storage === undefined) return withError(empty, repo.error);
  if (!repo.stanzas.includes(name)) {
    // without a name given, the stanza is in this list because another repository has it
    return { ...empty, state: request.stanza === undefined ? 'unread' : 'path-missing' };
  }
  if (request.progressOnly) return empty;
  try {
    return await readStanza(new StanzaRepo(settings, storage, name), empty, request.set, listingOf);
  } catch (error) {
    return failed(empty, error);
  }
}

/** What the repository lacks of the WAL on this host: all that waits, when it cannot be read. */
async function findLag(
  finding: RepoFinding,
  { waiting, files, dropped }: LocalArchiver,
  listingOf: ListingOf,
  now: number,
): Promise<Pick<RepoFinding, 'lag' | 'gaps'>> {
  const { current, databases, backups, state } = finding;
  if (current !== undefined && !isSameDb(current, waiting)) return {};
  const database = state === 'found' ? databases.find(({ db }) => isSameDb(db, waiting)) : undefined;
  if (database === undefined) return { lag: await archiveLag(waiting, files, undefined, now) };
  const listing = listingOf(database.archiveId);
  const own = backups.filter(({ dbId }) => dbId === database.db.id);
  const gaps = await archiveGaps(dropped, { listing, backups: own, segmentSize: waiting.segmentSize });
  return {
    lag: await archiveLag(waiting, files, listing, now),
    ...(gaps.length === 0 ? {} : { gaps }),
  };
}

async function readStanza(
  repo: StanzaRepo,
  empty: RepoFinding,
  set: string | undefined,
  listingOf: ListingOf,
): Promise<RepoFinding> {
  const loading = begun(repo.loadArchiveInfo());
  const looking = begun(findSet(repo, set));
  let backup: BackupInfo;
  try {
    backup = await repo.loadBackupInfo();
  } catch (error) {
    if (isKind(error, 'file-missing')) return { ...empty, state: 'data-missing' };
    if (isKind(error, 'crypto')) {
      const hint = 'use option --stanza if encryption settings are different for the stanza than the global settings.';
      throw new BackstopError('crypto', error.message, { hint: [...error.hints, hint], cause: error });
    }
    throw error;
  }
  const archive = await loading;
  const finding = backup.history.map(db => begun(findDatabase(archive, db, listingOf)));
  const label = await looking;
  const manifest = label === undefined ? undefined : await repo.loadManifest(label, backup.cipherPass);
  const current = currentDb(backup);
  const databases: DatabaseFinding[] = [];
  try {
    for (const database of finding) databases.push(await database);
  } catch (error) {
    // the databases that were read before stay in the answer
    return failed({ ...empty, databases, current }, error);
  }
  return {
    ...empty,
    state: 'found',
    databases,
    current,
    backups: backup.backups,
    ...(manifest === undefined ? {} : { manifest }),
  };
}

/** @returns the label, when there is a complete backup of it */
async function findSet(repo: StanzaRepo, set: string | undefined): Promise<BackupLabel | undefined> {
  if (set === undefined || !isBackupLabel(set)) return undefined;
  return (await repo.storage.info(manifestFile(repo.stanza, set))) === undefined ? undefined : set;
}

async function findDatabase(archive: ArchiveInfo, db: DbHistory, listingOf: ListingOf): Promise<DatabaseFinding> {
  // after an upgrade that only one of the two files saw, their ids differ: version and system id lead
  const own = archive.history.filter(other => isSameDb(other, db));
  const match = own.find(other => other.id === db.id) ?? own.at(-1);
  if (match === undefined) {
    throw new BackstopError(
      'archive-mismatch',
      `unable to retrieve the archive id for database version '${db.version}' and system-id '${db.systemId}'`,
    );
  }
  const archiveId = archiveIdOf(match);
  const wal = await findWalRange(listingOf(archiveId));
  return { db, archiveId, ...(wal === undefined ? {} : { wal }) };
}

const cipherOf = (settings: RepoSettings) => (settings.cipherPass === undefined ? 'none' : 'aes-256-cbc');

const withError = (finding: RepoFinding, error: string | undefined): RepoFinding =>
  error === undefined ? finding : { ...finding, state: 'failed', error };

const failed = (finding: RepoFinding, error: unknown): RepoFinding =>
  withError({ ...finding, backups: [] }, describe(error));

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is the point
const unprintable = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;

/** @throws the error itself when it is a defect of ours */
function describe(error: unknown): string {
  const own = asBackstopError(error);
  if (own.kind === 'unhandled') throw error;
  // a message may quote what a broken file holds
  return `[${own.name}] ${own.text.replace(unprintable, '?')}`;
}
