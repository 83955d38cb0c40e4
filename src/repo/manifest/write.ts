/** Writes backup.manifest (format, section 3.1 and 3.2), as a stream of text. */
import { compareBytes, formatJson, formatJsonString, type Json } from '../../base/json.ts';
import { InfoTextWriter } from '../info-text.ts';
import type { ManifestFile } from './file-table.ts';
import { type Manifest, type ManifestHeader, pgDataTarget } from './manifest.ts';

/**
 * Emits the whole manifest.
 * @param version version of this tool, recorded in the header
 * @param emit receives text in order, in pieces of about 256 KiB
 */
export function writeManifest(manifest: Manifest, version: string, emit: (text: string) => void): void {
  const writer = new InfoTextWriter(version, emit);
  const { header } = manifest;
  const defaults = defaultsOf(manifest);
  const entries = (section: string, values: Readonly<Record<string, Json | undefined>>) => {
    for (const [key, value] of Object.entries(values)) {
      if (value !== undefined) writer.entry(section, key, formatJson(value));
    }
  };
  entries('backup', backupSection(header));
  entries('backup:db', {
    'db-catalog-version': header.catalogVersion,
    'db-control-version': header.controlVersion,
    'db-id': header.dbId,
    'db-system-id': header.systemId,
    'db-version': header.pgVersion,
  });
  entries('backup:option', optionSection(header));
  for (const target of [...manifest.targets].sort(byName)) {
    const value: Record<string, Json> = { path: target.path, type: target.type };
    if (target.file !== undefined) value.file = target.file;
    if (target.tablespaceId !== undefined) value['tablespace-id'] = String(target.tablespaceId);
    if (target.tablespaceName !== undefined) value['tablespace-name'] = target.tablespaceName;
    writer.entry('backup:target', target.name, formatJson(value));
  }
  if (header.cipherPass !== undefined) writer.entry('cipher', 'cipher-pass', formatJsonString(header.cipherPass));
  for (const db of [...manifest.databases].sort(byName)) {
    writer.entry('db', db.name, formatJson({ 'db-id': db.id, 'db-last-system-id': db.lastSystemId }));
  }
  if (header.annotations.size > 0) {
    writer.entry('metadata', 'annotation', formatJson(Object.fromEntries(header.annotations)));
  }
  for (let i = 0; i < manifest.files.length; i++) {
    const file = manifest.files.get(i);
    writer.entry('target:file', file.name, formatFile(file, defaults));
  }
  entries('target:file:default', {
    group: defaults.group,
    mode: formatMode(defaults.fileMode),
    user: defaults.user,
  });
  for (const link of [...manifest.links].sort(byName)) {
    const value: Record<string, Json> = { destination: link.destination };
    if (link.group !== defaults.group) value.group = link.group;
    if (link.user !== defaults.user) value.user = link.user;
    writer.entry('target:link', link.name, formatJson(value));
  }
  if (manifest.links.length > 0) entries('target:link:default', { group: defaults.group, user: defaults.user });
  for (const path of [...manifest.paths].sort(byName)) {
    const value: Record<string, Json> = {};
    if (path.group !== defaults.group) value.group = path.group;
    if (path.mode !== defaults.pathMode) value.mode = formatMode(path.mode);
    if (path.user !== defaults.user) value.user = path.user;
    writer.entry('target:path', path.name, formatJson(value));
  }
  entries('target:path:default', { group: defaults.group, mode: formatMode(defaults.pathMode), user: defaults.user });
  writer.end();
}

interface Defaults {
  readonly user: string | false;
  readonly group: string | false;
  readonly pathMode: number;
  readonly fileMode: number;
}

/** Owner and mode of PGDATA are the defaults; files default to what PGDATA's mode allows them. */
function defaultsOf(manifest: Manifest): Defaults {
  const base = manifest.paths.find(path => path.name === pgDataTarget);
  const pathMode = base?.mode ?? 0o700;
  return { user: base?.user ?? false, group: base?.group ?? false, pathMode, fileMode: pathMode & 0o640 };
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => compareBytes(a.name, b.name);

const formatMode = (mode: number): string => mode.toString(8).padStart(4, '0');

const whenTrue = (value: boolean): true | undefined => (value ? true : undefined);

function backupSection(header: ManifestHeader): Record<string, Json | undefined> {
  return {
    'backup-archive-start': header.archiveStart,
    'backup-archive-stop': header.archiveStop,
    'backup-block-incr': whenTrue(header.blockIncremental),
    'backup-bundle': whenTrue(header.bundle),
    'backup-bundle-raw': whenTrue(header.bundleRaw),
    'backup-label': header.label,
    'backup-lsn-start': header.lsnStart,
    'backup-lsn-stop': header.lsnStop,
    'backup-prior': header.prior,
    'backup-reference': header.references.join(','),
    'backup-timestamp-copy-start': header.timestampCopyStart,
    'backup-timestamp-start': header.timestampStart,
    'backup-timestamp-stop': header.timestampStop,
    'backup-type': header.type,
  };
}

function optionSection({ options }: ManifestHeader): Record<string, Json | undefined> {
  return {
    'option-archive-check': options.archiveCheck,
    'option-archive-copy': options.archiveCopy,
    'option-backup-standby': options.backupStandby,
    'option-buffer-size': options.bufferSize,
    'option-checksum-page': options.checksumPage,
    'option-compress': options.compressType !== 'none',
    'option-compress-level': options.compressLevel,
    'option-compress-level-network': options.compressLevelNetwork,
    'option-compress-type': options.compressType,
    'option-delta': options.delta,
    'option-hardlink': options.hardlink,
    'option-online': options.online,
    'option-process-max': options.processMax,
  };
}

/** Written by hand: a manifest has millions of these lines. Keys stand in byte order. */
function formatFile(file: ManifestFile, defaults: Defaults): string {
  let text = '';
  if (file.blockSize > 0) {
    text += `,"bi":${file.blockSize / 8192}`;
    if (file.blockChecksumSize !== 6) text += `,"bic":${file.blockChecksumSize}`;
    if (file.blockMapSize > 0) text += `,"bim":${file.blockMapSize}`;
  }
  if (file.bundleId > 0) {
    text += `,"bni":${file.bundleId}`;
    if (file.bundleOffset > 0) text += `,"bno":${file.bundleOffset}`;
  }
  if (file.size > 0 && file.checksum !== undefined) text += `,"checksum":"${file.checksum}"`;
  if (file.checksumPage !== undefined) {
    text += `,"checksum-page":${file.checksumPage}`;
    if (file.checksumPageErrors !== undefined && file.checksumPageErrors.length > 0) {
      text += `,"checksum-page-error":${formatJson(file.checksumPageErrors)}`;
    }
  }
  if (file.group !== defaults.group) text += `,"group":${formatJson(file.group)}`;
  if (file.mode !== defaults.fileMode) text += `,"mode":"${formatMode(file.mode)}"`;
  if (file.checksumRepo !== undefined) text += `,"rck":"${file.checksumRepo}"`;
  if (file.reference !== undefined) text += `,"reference":"${file.reference}"`;
  if (file.sizeRepo !== file.size) text += `,"repo-size":${file.sizeRepo}`;
  text += `,"size":${file.size}`;
  if (file.sizeOriginal !== file.size) text += `,"szo":${file.sizeOriginal}`;
  text += `,"timestamp":${file.timestamp}`;
  if (file.user !== defaults.user) text += `,"user":${formatJson(file.user)}`;
  return `{${text.slice(1)}}`;
}
