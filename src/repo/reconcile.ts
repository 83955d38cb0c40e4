/**
 * Brings backup.info in line with the backup directories (behaviour, section 4.2 step 2): a backup whose manifest is gone
 * cannot be restored and is dropped with its dependents; a complete backup that is not listed is added.
 */

import { isBackstopError } from '../base/error.ts';
import { compareBytes } from '../base/json.ts';
import type { BackupEntry, BackupInfo } from './backup-info.ts';
import { entryOf } from './entry.ts';
import { type BackupLabel, isBackupLabel } from './label.ts';
import { backupPath, labelPath, manifestFile } from './layout.ts';
import { forAll, isObjectStore } from './object-store.ts';
import type { StanzaRepo } from './stanza-repo.ts';

export interface ReconcileOptions {
  readonly warn: (message: string) => void;
  readonly version: string;
  /** True: nothing is saved. */
  readonly dryRun?: boolean;
}

/** @returns the info as it is now; saved when anything changed, but for a dry run */
export async function reconcileBackupInfo(
  repo: StanzaRepo,
  info: BackupInfo,
  options: ReconcileOptions,
): Promise<BackupInfo> {
  const labels = (await repo.storage.names(backupPath(repo.stanza))).filter(isBackupLabel);
  const complete = await forAll(labels, label => hasManifest(repo, label));
  const present = new Set<string>(labels.filter((_, index) => complete[index]));
  let backups = info.backups.filter(entry => {
    if (present.has(entry.label)) return true;
    options.warn(`backup '${entry.label}' missing manifest removed from backup.info`);
    return false;
  });
  backups = dropOrphans(backups, options.warn);
  const listed = new Set<string>(backups.map(entry => entry.label));
  for (const label of [...present].filter(isBackupLabel).sort(compareBytes)) {
    if (listed.has(label)) continue;
    const entry = await tryAdd(repo, info, label, listed, options.warn);
    if (entry === undefined) continue;
    // its backup may have been killed before it synced the name of the manifest, and others may soon depend on it
    if (options.dryRun !== true) await repo.storage.paths?.sync(labelPath(repo.stanza, label));
    backups.push(entry);
    listed.add(label);
    options.warn(`backup '${label}' found in repository added to backup.info`);
  }
  const unchanged = backups.length === info.backups.length && info.backups.every(entry => listed.has(entry.label));
  if (unchanged) return info;
  const result = { ...info, backups: backups.sort((a, b) => compareBytes(a.label, b.label)) };
  if (options.dryRun !== true) await repo.saveBackupInfo(result, options.version);
  return result;
}

async function hasManifest({ storage, stanza }: StanzaRepo, label: BackupLabel): Promise<boolean> {
  // to a store both are one request; NFS may go on saying of a file that it is not there, and asks again for a list
  if (!isObjectStore(storage) && (await storage.info(manifestFile(stanza, label))) !== undefined) return true;
  return (await storage.names(labelPath(stanza, label), { prefix: 'backup.manifest' })).includes('backup.manifest');
}

/** A backup is worth nothing without all that it refers to. */
function dropOrphans(backups: readonly BackupEntry[], warn: (message: string) => void): BackupEntry[] {
  let kept = [...backups];
  for (;;) {
    const labels = new Set<string>(kept.map(entry => entry.label));
    const next = kept.filter(entry => {
      if (entry.prior === undefined || labels.has(entry.prior)) return true;
      warn(`backup '${entry.label}' removed from backup.info: it depends on '${entry.prior}', which is gone`);
      return false;
    });
    if (next.length === kept.length) return kept;
    kept = next;
  }
}

async function tryAdd(
  repo: StanzaRepo,
  info: BackupInfo,
  label: Parameters<StanzaRepo['loadManifest']>[0],
  listed: ReadonlySet<string>,
  warn: (message: string) => void,
): Promise<BackupEntry | undefined> {
  try {
    const manifest = await repo.loadManifest(label, info.cipherPass);
    const { header } = manifest;
    const known = info.history.some(
      db => db.id === header.dbId && db.systemId === header.systemId && db.version === header.pgVersion,
    );
    if (header.label === label && known && (header.prior === undefined || listed.has(header.prior))) {
      return entryOf(manifest);
    }
    warn(`invalid backup '${label}' cannot be added to current backups`);
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    warn(`backup '${label}' cannot be added to backup.info: ${error.message}`);
  }
  return undefined;
}
