/** What a worker does for expire: removes directories while the main thread removes others. */
import { openRepoStorage, type RepoSettings } from '../../storage/drivers.ts';

export interface ExpireThreadData {
  readonly command: 'expire';
  readonly repo: RepoSettings;
  readonly retry: { readonly count: number; readonly interval: number };
}

export type ExpireJobs = {
  readonly 'remove-trees': { readonly input: readonly string[]; readonly output: undefined };
};

export async function openExpireJobs({ repo }: ExpireThreadData) {
  const storage = await openRepoStorage(repo);
  return {
    'remove-trees': async (paths: readonly string[]): Promise<undefined> => {
      for (const path of paths) await storage.removeTree(path);
    },
  };
}
