/** Opens the repository that a command of the repository works on: the first, or the one that --repo names. */
import { openRepoStorage, type RepoSettings } from '../../storage/drivers.ts';
import type { Storage } from '../../storage/storage.ts';
import { type RepoSession, repoSettings, storageContext } from '../open.ts';

export interface OpenRepository {
  readonly settings: RepoSettings;
  readonly storage: Storage;
}

/** Runs the work with the open repository, and closes it. */
export async function withRepository<T>(session: RepoSession, work: (repo: OpenRepository) => Promise<T>): Promise<T> {
  const [first] = repoSettings(session);
  // the configuration always has a repository
  const settings = first as RepoSettings;
  const storage = await openRepoStorage(settings, storageContext(session, settings));
  try {
    return await work({ settings, storage });
  } finally {
    await storage.close();
  }
}
