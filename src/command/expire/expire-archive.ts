/** Lets WAL go that no backup needs any more. */
import type { BackupInfo } from '../../repo/backup-info.ts';
import { archiveIdPath, archivePath } from '../../repo/layout.ts';
import { type ArchivePlan, planArchive, planRemoval, planTimelines, sortDirectories } from './archive.ts';
import type { ExpiredBackups } from './expire-backups.ts';
import type { ExpiringRepo } from './expiring-repo.ts';

/** @param expireBefore segment from which on nothing goes */
export async function expireArchive(
  repo: ExpiringRepo,
  { info, retention, archive }: ExpiredBackups,
  expireBefore: string | undefined,
): Promise<void> {
  if (archive === undefined) {
    if (retention.fullType === 'time') {
      repo.info('time-based archive retention not met - archive logs will not be expired');
    } else {
      const option = `${repo.repo.name}-retention-archive`;
      repo.session.log.info(`option '${option}' is not set - archive logs will not be expired`);
    }
    return;
  }
  const plans = await planFor(repo, info, retention.archiveType, archive, expireBefore);
  if (plans === undefined) {
    repo.detail(`no archive expires: there are fewer backups than ${repo.repo.name}-retention-archive=${archive}`);
    return;
  }
  const present = new Set(await repo.storage.names(archivePath(repo.stanza)));
  for (const plan of plans) {
    if (present.has(plan.archiveId)) await carryOut(repo, plan);
  }
}

async function planFor(
  repo: ExpiringRepo,
  info: BackupInfo,
  type: 'full' | 'diff' | 'incr',
  retention: number,
  expireBefore: string | undefined,
): Promise<ArchivePlan[] | undefined> {
  const { backups, history } = info;
  return planArchive({ backups, type, retention, expireBefore, archive: await repo.repo.loadArchiveInfo(), history });
}

async function carryOut(repo: ExpiringRepo, plan: ArchivePlan): Promise<void> {
  const { archiveId, ranges } = plan;
  const base = archiveIdPath(repo.stanza, archiveId);
  repo.detail(`${archiveId} archive: ${plan.reason}`);
  if (plan.remove === 'none') return;
  if (plan.remove === 'all') {
    repo.info(`remove archive path ${repo.repo.fullPath(base)}`);
    await repo.removeTrees([base]);
    return;
  }
  if (await repo.isLink(base)) return;
  for (const line of plan.details) repo.detail(`${archiveId} ${line}`);
  const names = await repo.storage.names(base);
  const directories = sortDirectories(names, ranges);
  const parts: string[] = [];
  for (const directory of directories.parts) if (!(await repo.isLink(`${base}/${directory}`))) parts.push(directory);
  const lists = await repo.names(parts.map(directory => `${base}/${directory}`));
  const files = new Map(parts.map((directory, index) => [directory, lists[index] ?? []]));
  const { paths, runs } = planRemoval(names, directories, files, ranges);
  for (const directory of directories.whole) repo.detail(`${archiveId} remove archive path ${directory}`);
  for (const { start, stop } of runs) repo.info(`${archiveId} remove archive, start = ${start}, stop = ${stop}`);
  if (runs.length === 0) repo.info(`${archiveId} no archive to remove`);
  await repo.removeFiles(paths.filter(path => path.includes('/')).map(path => `${base}/${path}`));
  await repo.removeManyTrees(directories.whole.map(directory => `${base}/${directory}`));
  const timelines = planTimelines(names, plan.firstTimeline);
  for (const file of timelines) repo.info(`${archiveId} remove history file ${file}`);
  await repo.removeFiles(timelines.map(file => `${base}/${file}`));
}
