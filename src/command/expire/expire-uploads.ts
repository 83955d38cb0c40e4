/** Drops what killed processes left of files that they were uploading. */
import { isKind } from '../../base/error.ts';
import { archivePath, backupPath } from '../../repo/layout.ts';
import type { ExpiringRepo } from './expiring-repo.ts';

/** Seconds after which an upload has nobody any more: files have a gigabyte at most, nearly always. */
const longestUpload = 86_400;

export async function expireUploads(repo: ExpiringRepo): Promise<void> {
  const { storage, stanza, dryRun, now } = repo;
  if (dryRun || storage.dropUnfinished === undefined) return;
  try {
    const count = await storage.dropUnfinished([archivePath(stanza), backupPath(stanza)], now - longestUpload);
    if (count > 0) repo.info(`remove ${count} unfinished upload(s) that are older than a day`);
  } catch (error) {
    // not every service has such a list, and not everybody may see it: that is no reason to keep backups
    if (!isKind(error, 'protocol')) throw error;
    repo.detail(`unfinished uploads are not looked for: ${error.message}`);
  }
}
