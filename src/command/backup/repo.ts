/** The repository that a backup goes to, and what its options say. */

import { BackstopError } from '../../base/error.ts';
import { compressLevels } from '../../codec/compress.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import type { CompressType } from '../../repo/manifest/manifest.ts';
import { reconcileBackupInfo } from '../../repo/reconcile.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { openRepo, repoSettings } from '../open.ts';
import type { Session } from '../session.ts';

export interface BackupRepo {
  readonly repo: StanzaRepo;
  readonly backupInfo: BackupInfo;
  readonly archiveInfo: ArchiveInfo;
  readonly options: {
    readonly compressType: CompressType;
    readonly hardlink: boolean;
    readonly symlink: boolean;
    /** The level asked for when the type is the one asked for, else that type's default. */
    levelFor(type: CompressType): number;
  };
}

/** Opens the lowest repository, or the one asked for, and loads its info files. */
export async function openBackupRepo(session: Session<'backup'>): Promise<BackupRepo> {
  const { settings, log } = session;
  const all = repoSettings(session);
  const [chosen] = all;
  if (chosen === undefined) throw new BackstopError('assert', 'no repository');
  if (all.length > 1) log.info(`repo option not specified, defaulting to repo${chosen.key}`);
  const repo = await openRepo(session, chosen);
  const values = settings.repos.find(({ key }) => key === chosen.key)?.values;
  for (const option of ['bundle', 'block'] as const) {
    if (values?.[option] === true) {
      throw new BackstopError(
        'feature-not-supported',
        `repo${chosen.key}-${option} is not supported by this version of pgbackstop`,
        {
          hint: 'restore reads such backups only when they were made without it; writing them is not built yet.',
        },
      );
    }
  }
  const archiveInfo = await repo.loadArchiveInfo();
  const backupInfo = await reconcileBackupInfo(repo, await repo.loadBackupInfo(), {
    warn: message => log.warn(message),
    version: session.version,
  });
  const compressType = settings.values['compress-type'];
  return {
    repo,
    backupInfo,
    archiveInfo,
    options: {
      compressType,
      hardlink: values?.hardlink ?? false,
      symlink: values?.symlink ?? true,
      levelFor: type => {
        if (type === 'none') return 0;
        return type === compressType ? settings.values['compress-level'] : compressLevels[type].default;
      },
    },
  };
}
