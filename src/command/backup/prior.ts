/** The backup that a diff or incr builds upon (behaviour, section 4.2 step 4). */
import type { BackupInfo } from '../../repo/backup-info.ts';
import type { BackupType } from '../../repo/label.ts';
import type { CompressType, Manifest } from '../../repo/manifest/manifest.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { Session } from '../session.ts';

export interface Prior {
  readonly type: Exclude<BackupType, 'full'>;
  readonly manifest: Manifest;
  /** What the new backup must use, because a set is uniform. */
  readonly compressType: CompressType;
  readonly checksumPage: boolean;
}

/** @returns undefined when a full backup is to be made: asked for, or because there is none to build upon */
export async function findPrior(
  session: Session<'backup'>,
  repo: StanzaRepo,
  info: BackupInfo,
  checksumPage: boolean,
): Promise<Prior | undefined> {
  const { log, settings } = session;
  const type = settings.values.type;
  if (type === 'full') return undefined;
  const entry = info.backups
    .filter(backup => backup.dbId === info.currentId && (type === 'incr' || backup.type === 'full'))
    .at(-1);
  if (entry === undefined) {
    log.warn(`no prior backup exists, ${type} backup has been changed to full`);
    return undefined;
  }
  log.info(`last backup label = ${entry.label}, version = ${entry.version}`);
  const manifest = await repo.loadManifest(entry.label, info.cipherPass);
  const { options } = manifest.header;
  const reset = (option: string, value: string) =>
    log.warn(`${type} backup cannot alter ${option} option to '${value}', reset to value in ${entry.label}`);
  const compressType = settings.values['compress-type'];
  if (compressType !== options.compressType) reset('compress-type', compressType);
  if (checksumPage !== options.checksumPage) reset('checksum-page', String(checksumPage));
  return { type, manifest, compressType: options.compressType, checksumPage: options.checksumPage };
}
