/** Goes on with a full backup that did not end (behaviour, section 4.6). */
import { BackstopError, isBackstopError } from '../../base/error.ts';
import { compareBytes } from '../../base/json.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import { type BackupLabel, type BackupType, isBackupLabel } from '../../repo/label.ts';
import { backupPath, copySuffix, labelPath, manifestFile } from '../../repo/layout.ts';
import type { ManifestFile } from '../../repo/manifest/file-table.ts';
import { type CompressType, compressSuffix, type Manifest } from '../../repo/manifest/manifest.ts';
import { forAll } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { FileInfo } from '../../storage/storage.ts';
import { unlessLocked } from '../kept-versions.ts';
import type { Session } from '../session.ts';
import { isBehind } from './plan.ts';

export interface Resumable {
  readonly label: BackupLabel;
  readonly manifest: Manifest;
}

/** What the new backup is to be: a resumed one must have been the same. */
export interface ResumeWish {
  readonly type: BackupType;
  readonly compressType: CompressType;
}

/**
 * Looks at the newest backup directory. One without a final manifest is either resumed or removed: nobody will finish it.
 */
export async function findResumable(
  session: Session<'backup'>,
  repo: StanzaRepo,
  info: BackupInfo,
  wish: ResumeWish,
): Promise<Resumable | undefined> {
  const { log, settings } = session;
  const labels = (await repo.storage.names(backupPath(repo.stanza))).filter(isBackupLabel).sort(compareBytes);
  const label = labels.at(-1);
  if (label === undefined) return undefined;
  const files = await repo.storage.names(labelPath(repo.stanza, label), { prefix: 'backup.manifest' });
  if (files.includes('backup.manifest')) return undefined;
  let reason: string;
  try {
    const manifest = await readCopy(session, repo, info, label, wish);
    if (typeof manifest !== 'string') {
      log.warn(
        `resumable backup ${label} of same type exists -- invalid files will be removed then the backup will resume`,
      );
      return { label, manifest };
    }
    reason = manifest;
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    reason = `unable to read '${repo.fullPath(manifestFile(repo.stanza, label))}${copySuffix}': ${error.message}`;
  }
  const message = `backup '${label}' cannot be resumed: ${reason}`;
  if (settings.values.resume) log.warn(message);
  else log.info(message);
  await unlessLocked(log, repo.storage.removeTree(labelPath(repo.stanza, label)));
  return undefined;
}

/** @returns the manifest, or why it cannot be gone on with */
async function readCopy(
  { settings, version }: Session<'backup'>,
  repo: StanzaRepo,
  info: BackupInfo,
  label: BackupLabel,
  wish: ResumeWish,
): Promise<Manifest | string> {
  if (wish.type !== 'full') return 'only full backups can be resumed';
  if (!settings.values.resume) return 'resume is disabled';
  const manifest = await repo.readManifest(manifestFile(repo.stanza, label) + copySuffix, info.cipherPass);
  const { header } = manifest;
  if (header.toolVersion !== version) {
    return `new pgBackRest version '${version}' does not match resumable pgBackRest version '${header.toolVersion}'`;
  }
  if (header.label !== label) return `its manifest has the label '${header.label}'`;
  if (header.type !== wish.type)
    return `new backup type '${wish.type}' does not match resumable backup type '${header.type}'`;
  if (header.options.compressType !== wish.compressType) {
    return `new compression '${wish.compressType}' does not match resumable compression '${header.options.compressType}'`;
  }
  return manifest;
}

/** A file of the aborted backup that may be kept: its stored bytes are checked before it is. */
export interface ResumedFiles {
  /** @returns what the aborted backup recorded of the file with this index in the new manifest */
  get(index: number): ManifestFile | undefined;
}

export const nothingResumed: ResumedFiles = { get: () => undefined };

/**
 * Removes from the directory what cannot be kept.
 * @returns by index in the new manifest, what the aborted backup recorded of the files that stay
 */
export async function cleanResumed(
  session: Session<'backup'>,
  repo: StanzaRepo,
  manifest: Manifest,
  resumed: Resumable,
): Promise<ResumedFiles> {
  // index by index: an object for each file would take more memory than the manifest
  const kept = new Map<number, number>();
  const base = labelPath(repo.stanza, resumed.label);
  const suffix = compressSuffix(manifest.header.options.compressType);
  const paths = new Set(manifest.paths.map(({ name }) => name));
  const removedFiles: string[] = [];
  const removedTrees: string[] = [];
  const look = (directory: string, entry: FileInfo): string | undefined => {
    const child = directory === '' ? entry.name : `${directory}/${entry.name}`;
    const path = `${base}/${child}`;
    if (entry.type === 'path') {
      if (paths.has(child)) return child;
      removedTrees.push(path);
      return undefined;
    }
    if (directory === '' && entry.name.startsWith('backup.manifest')) return undefined;
    const judgement = entry.type === 'file' ? judgeStored(child, suffix, manifest, resumed.manifest) : 'not a file';
    if (typeof judgement === 'string') {
      removedFiles.push(path);
      if (entry.type === 'file') {
        session.log.detail(`remove file '${repo.fullPath(path)}' from resumed backup (${judgement})`);
      }
    } else kept.set(judgement.index, judgement.before);
    return undefined;
  };
  for (let level = ['']; level.length > 0; ) {
    const lists = await forAll(level, directory => repo.storage.list(directory === '' ? base : `${base}/${directory}`));
    level = level.flatMap((directory, at) => (lists[at] ?? []).flatMap(entry => look(directory, entry) ?? []));
  }
  await forAll(removedFiles, path => unlessLocked(session.log, repo.storage.remove(path)));
  await forAll(removedTrees, path => unlessLocked(session.log, repo.storage.removeTree(path)));
  return {
    get: index => {
      const before = kept.get(index);
      return before === undefined ? undefined : resumed.manifest.files.get(before);
    },
  };
}

function judgeStored(
  path: string,
  suffix: string,
  manifest: Manifest,
  aborted: Manifest,
): string | { index: number; before: number } {
  if (!path.endsWith(suffix)) return 'mismatched compression type';
  return judge(path.slice(0, path.length - suffix.length), manifest, aborted);
}

function judge(name: string, manifest: Manifest, aborted: Manifest): string | { index: number; before: number } {
  const index = manifest.files.find(name);
  if (index === undefined) return 'missing in manifest';
  const priorIndex = aborted.files.find(name);
  if (priorIndex === undefined) return 'missing in resumed manifest';
  const before = aborted.files.get(priorIndex);
  const now = manifest.files.get(index);
  if (before.size === 0 || now.size === 0) return 'zero size';
  if (before.checksum === undefined) return 'no checksum in resumed manifest';
  if (before.sizeOriginal !== now.size) return 'mismatched size';
  if (before.timestamp !== now.timestamp) return 'mismatched timestamp';
  if (before.timestamp >= aborted.header.timestampCopyStart) return 'timestamp in the future';
  if (isBehind(aborted, priorIndex)) return 'written after the resumed backup began';
  // a file that now goes into a bundle would leave its old self behind
  const samePlace = before.bundleId === 0 && manifest.header.bundle === aborted.header.bundle;
  if (before.blockSize !== now.blockSize || !samePlace) return 'stored in another way';
  return { index, before: priorIndex };
}

/** What a resumed set must keep using. */
export function resumedPass(resumed: Resumable | undefined, isEncrypted: boolean): string | undefined {
  const pass = resumed?.manifest.header.cipherPass;
  if (resumed !== undefined && isEncrypted && pass === undefined) {
    throw new BackstopError('format', `manifest of aborted backup '${resumed.label}' has no passphrase`, {
      hint: 'remove the directory of this backup from the repository.',
    });
  }
  return pass;
}
