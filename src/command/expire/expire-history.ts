/** Lets old manifests of expired backups go. */
import type { BackupInfo } from '../../repo/backup-info.ts';
import { historyPath } from '../../repo/layout.ts';
import { leftoversIn } from '../../repo/leftover.ts';
import type { ExpiringRepo } from './expiring-repo.ts';
import { expiredManifests, expiredYears, historyLimit } from './history.ts';

export async function expireHistory(repo: ExpiringRepo, info: BackupInfo): Promise<void> {
  const base = historyPath(repo.stanza);
  if (await repo.isLink(base)) return;
  await removeHalfWritten(repo, base);
  const days = repo.retention.history;
  if (days === undefined) return;
  const limit = historyLimit(days, repo.now);
  const years = await repo.storage.names(base);
  const gone = expiredYears(years, limit);
  for (const year of gone) repo.info(`remove expired backup history path ${year}`);
  await repo.removeTrees(gone.map(year => `${base}/${year}`));
  if (!years.includes(limit.year) || (await repo.isLink(`${base}/${limit.year}`))) return;
  const current = new Set<string>(info.backups.map(({ label }) => label));
  const files = expiredManifests(await repo.storage.names(`${base}/${limit.year}`), limit, current);
  for (const file of files) repo.info(`remove expired backup history manifest ${file}`);
  await repo.removeFiles(files.map(file => `${base}/${limit.year}/${file}`));
}

/** Removes what killed backups have left of a manifest on its way into the history; nothing behind links. */
async function removeHalfWritten(repo: ExpiringRepo, base: string): Promise<void> {
  const { storage, now } = repo;
  // without paths there are no temporary names
  if (storage.paths === undefined) return;
  const files: string[] = [];
  for (const year of (await storage.names(base)).filter(name => /^\d{4}$/.test(name))) {
    const path = `${base}/${year}`;
    if ((await storage.info(path))?.type === 'path') files.push(...(await leftoversIn(storage, path, now)));
  }
  await repo.removeFiles(files);
}
