/** Lets old manifests of expired backups go. */
import type { BackupInfo } from '../../repo/backup-info.ts';
import { historyPath } from '../../repo/layout.ts';
import { temporarySuffix } from '../../storage/posix/posix-storage.ts';
import type { ExpiringRepo } from './expiring-repo.ts';
import { expiredManifests, expiredYears, historyLimit } from './history.ts';

/** Seconds after which nobody can still be writing a manifest. */
const oldAge = 60 * 60;

export async function expireHistory(repo: ExpiringRepo, info: BackupInfo): Promise<void> {
  await removeHalfWritten(repo);
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

/** Removes what killed backups have left of a manifest on its way into the history: nobody writes under that name again. */
async function removeHalfWritten(repo: ExpiringRepo): Promise<void> {
  const { storage, stanza, now } = repo;
  // without paths there are no temporary names
  if (storage.paths === undefined) return;
  const base = historyPath(stanza);
  const files: string[] = [];
  for (const year of (await storage.names(base)).filter(name => /^\d{4}$/.test(name))) {
    for (const name of await storage.names(`${base}/${year}`)) {
      if (!name.endsWith(temporarySuffix)) continue;
      const file = await storage.info(`${base}/${year}/${name}`);
      if (file?.type === 'file' && file.mtime < now - oldAge) files.push(`${base}/${year}/${name}`);
    }
  }
  await repo.removeFiles(files);
}
