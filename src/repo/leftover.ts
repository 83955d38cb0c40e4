/** What a killed process has left of a file on its way into a repository: a temporary name, under which nobody writes again. */
import { temporarySuffix } from '../storage/posix/posix-storage.ts';
import type { Storage } from '../storage/storage.ts';

/** Seconds after which nobody can still be writing. */
const oldAge = 60 * 60;

/**
 * @param now seconds since the epoch
 * @returns paths of the old temporary files in a folder; none where a storage has no temporary names
 */
export async function leftoversIn(storage: Storage, folder: string, now: number): Promise<string[]> {
  if (storage.paths === undefined) return [];
  const found: string[] = [];
  for (const name of await storage.names(folder)) {
    if (!name.endsWith(temporarySuffix)) continue;
    const path = `${folder}/${name}`;
    const info = await storage.info(path);
    if (info?.type === 'file' && info.mtime < now - oldAge) found.push(path);
  }
  return found;
}
