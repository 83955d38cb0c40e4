/** A repository that a backup goes to, and what its options say. */

import { BackstopError } from '../../base/error.ts';
import { compressLevels } from '../../codec/compress.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import type { CompressType } from '../../repo/manifest/manifest.ts';
import { begun } from '../../repo/object-store.ts';
import { reconcileBackupInfo } from '../../repo/reconcile.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { RepoSettings } from '../../storage/drivers.ts';
import { openRepo, repoSettings } from '../open.ts';
import type { Session } from '../session.ts';
import type { BlockOptions } from './blocks.ts';

export interface BackupRepo {
  readonly key: number;
  /** Speaks for this repository. */
  readonly session: Session<'backup'>;
  readonly repo: StanzaRepo;
  readonly backupInfo: BackupInfo;
  readonly archiveInfo: ArchiveInfo;
  readonly options: {
    readonly compressType: CompressType;
    readonly hardlink: boolean;
    readonly symlink: boolean;
    /** Absent: a file in the repository for each file of the cluster. */
    readonly bundle?: {
      /** Bytes of files after which a bundle is full. */
      readonly size: number;
      /** Largest file that goes into a bundle. */
      readonly limit: number;
    };
    /** Absent: files are stored whole. */
    readonly block?: BlockOptions & {
      /** Plain bytes of a super block, in a full and in other backups. */
      readonly superFull: number;
      readonly super: number;
    };
    /** The level asked for when the type is the one asked for, else that type's default. */
    levelFor(type: CompressType): number;
  };
}

/** The repositories that the backup goes to: the lowest, the one asked for, or in a fan-out all. */
export function chosenRepos(session: Session<'backup'>): RepoSettings[] {
  const all = repoSettings(session);
  const [chosen] = all;
  if (chosen === undefined) throw new BackstopError('assert', 'no repository');
  if (all.length === 1) return all;
  if (session.settings.values['backup-fan-out']) {
    session.log.info(`backup goes to ${all.map(({ key }) => `repo${key}`).join(', ')}`);
    return all;
  }
  session.log.info(`repo option not specified, defaulting to repo${chosen.key}`);
  return [chosen];
}

/** Opens a repository and loads its info files. @param session speaks for it */
export async function openBackupRepo(session: Session<'backup'>, chosen: RepoSettings): Promise<BackupRepo> {
  const repo = await openRepo(session, chosen);
  try {
    return await loadBackupRepo(session, repo);
  } catch (error) {
    await repo.storage.close();
    throw error;
  }
}

async function loadBackupRepo(session: Session<'backup'>, repo: StanzaRepo): Promise<BackupRepo> {
  const { settings, log } = session;
  const values = settings.repos.find(({ key }) => key === repo.key)?.values;
  const loading = begun(repo.loadArchiveInfo());
  const backupInfo = await reconcileBackupInfo(repo, await repo.loadBackupInfo(), {
    warn: message => log.warn(message),
    version: session.version,
  });
  const archiveInfo = await loading;
  const compressType = settings.values['compress-type'];
  return {
    key: repo.key,
    session,
    repo,
    backupInfo,
    archiveInfo,
    options: {
      compressType,
      hardlink: values?.hardlink === true && repo.storage.links !== undefined,
      symlink: values?.symlink ?? true,
      ...(values?.bundle === true
        ? { bundle: { size: values['bundle-size'] ?? 20971520, limit: values['bundle-limit'] ?? 2097152 } }
        : {}),
      ...(values?.bundle === true && values.block === true
        ? {
            block: {
              sizeMap: values['block-size-map'],
              ageMap: values['block-age-map'],
              checksumSizeMap: values['block-checksum-size-map'],
              superFull: values['block-size-super-full'] ?? 1048576,
              super: values['block-size-super'] ?? 262144,
            },
          }
        : {}),
      levelFor: type => {
        if (type === 'none') return 0;
        return type === compressType ? settings.values['compress-level'] : compressLevels[type].default;
      },
    },
  };
}
