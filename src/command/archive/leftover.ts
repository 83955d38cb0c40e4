/** Removes what a push leaves when it is killed. */
import { archiveFilePath } from '../../repo/layout.ts';
import { leftoversIn } from '../../repo/leftover.ts';
import type { PushTarget } from './push-target.ts';

/**
 * Removes old temporary files from the directory of an archived file.
 * @param now seconds since the epoch
 */
export async function removeLeftovers({ repo, archiveId }: PushTarget, file: string, now: number): Promise<void> {
  const folder = archiveFilePath(repo.stanza, archiveId, file);
  for (const path of await leftoversIn(repo.storage, folder, now)) await repo.storage.remove(path);
}
