/** Says of backups that were made offline that they need some WAL, as those of a server do. */
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openRepoStorage, type RepoSettings } from '../../../src/storage/drivers.ts';
import type { KillBed } from './kill-bed.ts';

/** @param wal first and last segment of each backup of the first repository, oldest first */
export async function needWal(
  bed: KillBed,
  wal: readonly (readonly [first: string, last: string])[],
  cipherPass?: string,
): Promise<void> {
  const settings: RepoSettings = {
    key: 1,
    type: 'posix',
    path: bed.repo(1),
    ...(cipherPass === undefined ? {} : { cipherPass }),
  };
  const repo = new StanzaRepo(settings, await openRepoStorage(settings), 'demo');
  const info = await repo.loadBackupInfo();
  const backups = info.backups.map((entry, at) => {
    const [archiveStart, archiveStop] = wal[at] ?? [null, null];
    return { ...entry, archiveStart, archiveStop };
  });
  for (const { label, archiveStart, archiveStop } of backups) {
    if (archiveStart === null || archiveStop === null) continue;
    const manifest = await repo.loadManifest(label, info.cipherPass);
    manifest.header = { ...manifest.header, archiveStart, archiveStop };
    for (const end of ['', '.copy'])
      await repo.writeManifest(manifest, `/backup/demo/${label}/backup.manifest${end}`, info.cipherPass, '2.45');
  }
  await repo.saveBackupInfo({ ...info, backups }, '2.45');
  bed.own();
}
