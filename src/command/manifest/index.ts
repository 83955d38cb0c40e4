/** `manifest`: what a backup consists of, as text or JSON (behaviour, section 5.6). */
import { BackstopError } from '../../base/error.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import { type BackupLabel, isBackupLabel } from '../../repo/label.ts';
import { backupFile, backupPath } from '../../repo/layout.ts';
import type { ManifestFile } from '../../repo/manifest/file-table.ts';
import { compressSuffix, type Manifest } from '../../repo/manifest/manifest.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { clusterSettings, openClusterFiles, openRepo, repoSettings } from '../open.ts';
import type { Session } from '../session.ts';
import { planBlockDelta, type ReferenceReads } from './block-delta.ts';
import { hashFileOnDisk, readBlockMap } from './block-reader.ts';
import { type BlockDelta, fileJson, headJson, tailJson } from './json.ts';
import { fileText, headText } from './text.ts';

export async function run(session: Session<'manifest'>): Promise<undefined> {
  const { values } = session.settings;
  // the configuration always has a repository; like the other commands that look at one, manifest takes the first
  const [first] = repoSettings(session);
  const repo = await openRepo(session, first as NonNullable<typeof first>);
  try {
    const info = await repo.loadBackupInfo();
    const label = labelOf(info, values.set);
    const manifest = await repo.loadManifest(label, info.cipherPass);
    const isJson = values.output === 'json';
    const one = values.filter === undefined ? undefined : await formatOne(session, repo, manifest, values.filter);
    session.print(isJson ? headJson(manifest.header) : headText(manifest.header));
    if (one === undefined) printFiles(session, manifest, isJson);
    else session.print(one);
    if (isJson) session.print(tailJson);
  } finally {
    await repo.storage.close();
  }
}

/** @throws file-missing, backup-set-invalid */
function labelOf({ backups }: BackupInfo, set: string): BackupLabel {
  if (set === 'latest') {
    const newest = backups.reduce(
      (a, b) => (a.timestampStop > b.timestampStop ? a : b),
      backups[0] as (typeof backups)[0],
    );
    if (newest !== undefined) return newest.label;
    throw new BackstopError('backup-set-invalid', 'there is no backup in the repository');
  }
  if (isBackupLabel(set)) return set;
  // a backup of that name cannot be there: the code is that of a manifest that is missing
  throw new BackstopError('file-missing', `'${set}' is not a valid backup label format`);
}

/** Prints as it goes: a backup may have millions of files. */
function printFiles({ settings, print }: Session<'manifest'>, { files }: Manifest, isJson: boolean): void {
  const { reference } = settings.values;
  let pending = '';
  let first = true;
  for (let index = 0; index < files.length; index++) {
    const file = files.get(index);
    if (reference !== undefined && file.reference !== (reference === 'latest' ? undefined : reference)) continue;
    if (!first) pending += isJson ? ',' : '\n';
    first = false;
    pending += isJson ? fileJson(file, undefined) : fileText(file, undefined, () => '');
    if (pending.length > 65536) {
      print(pending);
      pending = '';
    }
  }
  print(pending);
}

/** A file, and what is to be read of its blocks. */
async function formatOne(
  session: Session<'manifest'>,
  repo: StanzaRepo,
  manifest: Manifest,
  name: string,
): Promise<string> {
  const file = findFile(manifest, name);
  const delta = file.blockMapSize > 0 ? await findDelta(session, repo, manifest, file) : undefined;
  if (session.settings.values.output === 'json') return fileJson(file, delta);
  return fileText(file, delta, pathOfBlocks(repo, manifest, file));
}

/** @throws file-missing */
function findFile({ files, header }: Manifest, name: string): ManifestFile {
  const index = files.find(name);
  if (index === undefined) {
    throw new BackstopError('file-missing', `unable to find '${name}' in the manifest of backup '${header.label}'`, {
      hint: "the filter is a file's whole name, such as pg_data/PG_VERSION.",
    });
  }
  return files.get(index);
}

/** What a restore over the files of the cluster that --pg names, or into nothing, would read. */
async function findDelta(
  session: Session<'manifest'>,
  repo: StanzaRepo,
  manifest: Manifest,
  file: ManifestFile,
): Promise<BlockDelta> {
  const items = await readBlockMap(repo, manifest, file);
  const { pg: key } = session.settings.values;
  if (key === undefined) return planBlockDelta(items, []);
  const cluster = clusterSettings(session).find(other => other.key === key);
  if (cluster === undefined) {
    throw new BackstopError('option-required', `manifest command requires option: pg${key}-path`);
  }
  const files = await openClusterFiles(cluster);
  try {
    const { checksum, blocks } = await hashFileOnDisk(files, cluster.path, file);
    return checksum === file.checksum ? 'up-to-date' : planBlockDelta(items, blocks);
  } finally {
    await files.close();
  }
}

/** The place of blocks, below the stanza's backups. */
function pathOfBlocks(repo: StanzaRepo, { header }: Manifest, file: ManifestFile) {
  const base = `${backupPath(repo.stanza)}/`;
  return ({ reference, bundleId }: ReferenceReads): string => {
    const label = header.references[reference];
    if (label === undefined) {
      throw new BackstopError('format', `block map refers to backup ${reference}, which the manifest does not have`);
    }
    const { name, blockMapSize } = file;
    const suffix = compressSuffix(header.options.compressType);
    return backupFile(repo.stanza, label, { name, bundleId, blockMapSize }, suffix).slice(base.length);
  };
}
