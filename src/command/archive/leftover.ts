/** What a push leaves when it is killed: a file under a temporary name, which nobody else would ever remove. */
import { archiveFilePath } from '../../repo/layout.ts';
import type { PushTarget } from './push-target.ts';

const temporarySuffix = '.pgbackrest.tmp';

/** Seconds after which no push can still be writing. */
const oldAge = 60 * 60;

/**
 * Removes old temporary files from the directory of an archived file.
 * @param now seconds since the epoch
 */
export async function removeLeftovers({ repo, archiveId }: PushTarget, file: string, now: number): Promise<void> {
  // without paths there are no temporary names
  if (repo.storage.paths === undefined) return;
  const folder = archiveFilePath(repo.stanza, archiveId, file);
  for (const name of await repo.storage.names(folder)) {
    if (!name.endsWith(temporarySuffix)) continue;
    const info = await repo.storage.info(`${folder}/${name}`);
    if (info?.type === 'file' && info.mtime < now - oldAge) await repo.storage.remove(`${folder}/${name}`);
  }
}
