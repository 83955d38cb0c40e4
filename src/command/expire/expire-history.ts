/** Lets old manifests of expired backups go. */
import type { BackupInfo } from '../../repo/backup-info.ts';
import { historyPath } from '../../repo/layout.ts';
import type { ExpiringRepo } from './expiring-repo.ts';
import { expiredManifests, expiredYears, historyLimit } from './history.ts';

export async function expireHistory(repo: ExpiringRepo, info: BackupInfo): Promise<void> {
  const days = repo.retention.history;
  if (days === undefined) return;
  const limit = historyLimit(days, repo.now);
  const base = historyPath(repo.stanza);
  if (await repo.isLink(base)) return;
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
