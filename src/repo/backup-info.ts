/** backup.info: the complete backups of a stanza, and the clusters they belong to (format, section 2.5). */
import { BackstopError } from '../base/error.ts';
import { compareBytes, formatJson, formatJsonString, type Json } from '../base/json.ts';
import { JsonFields, parseJsonString } from '../base/json-fields.ts';
import { isWalName } from '../postgres/wal.ts';
import { type DbHistory, historyKeyOf } from './history.ts';
import { InfoTextReader, InfoTextWriter, repositoryFormat } from './info-text.ts';
import { type BackupLabel, type BackupType, isBackupLabel } from './label.ts';

/** What backup.info records of one complete backup. Sizes are bytes, times are seconds since the epoch. */
export interface BackupEntry {
  readonly label: BackupLabel;
  /** Version of the tool that made the backup. */
  readonly version: string;
  readonly type: BackupType;
  readonly dbId: number;
  readonly annotations: ReadonlyMap<string, string>;
  /** WAL segment names; null for an offline backup. */
  readonly archiveStart: string | null;
  readonly archiveStop: string | null;
  readonly lsnStart?: string;
  readonly lsnStop?: string;
  /** Whether any file has page checksum errors; absent in backups older than the key. */
  readonly error?: boolean;
  readonly size: number;
  readonly sizeDelta: number;
  readonly repoSize: number;
  readonly repoSizeDelta: number;
  /** Block maps' share of the repository sizes; present for block-incremental backups. */
  readonly repoSizeMap?: number;
  readonly repoSizeMapDelta?: number;
  readonly prior?: BackupLabel;
  /** Every other backup this one needs, in label order. */
  readonly reference: readonly BackupLabel[];
  readonly timestampStart: number;
  readonly timestampStop: number;
  readonly archiveCheck: boolean;
  readonly archiveCopy: boolean;
  readonly backupStandby: boolean;
  readonly checksumPage: boolean;
  readonly compress: boolean;
  readonly hardlink: boolean;
  readonly online: boolean;
}

export interface BackupInfo {
  /** Passphrase of the manifests; present in encrypted repositories. */
  readonly cipherPass?: string;
  readonly currentId: number;
  readonly history: readonly DbHistory[];
  /** In label order. */
  readonly backups: readonly BackupEntry[];
}

/** @throws format, checksum or json-format when the bytes are not a sound backup.info */
export function decodeBackupInfo(bytes: Uint8Array): BackupInfo {
  let cipherPass: string | undefined;
  let currentId: number | undefined;
  const history: DbHistory[] = [];
  const backups: BackupEntry[] = [];
  const reader = new InfoTextReader((section, key, raw) => {
    if (section === 'cipher' && key === 'cipher-pass') cipherPass = parseJsonString(raw, `'${key}'`);
    if (section === 'db' && key === 'db-id') currentId = Number(raw);
    if (section === 'db:history') history.push(decodeHistory(key, raw));
    if (section === 'backup:current') backups.push(decodeEntry(key, raw));
  });
  reader.push(bytes);
  reader.end();
  if (currentId === undefined || !history.some(db => db.id === currentId)) {
    throw new BackstopError('format', 'backup info has no current database');
  }
  backups.sort((a, b) => compareBytes(a.label, b.label));
  return { currentId, history, backups, ...(cipherPass === undefined ? {} : { cipherPass }) };
}

function decodeHistory(key: string, raw: string): DbHistory {
  const db = JsonFields.parse(raw, `history entry ${key}`);
  return {
    ...historyKeyOf(key, db.string('db-version')),
    systemId: db.bigint('db-system-id'),
    catalogVersion: db.count('db-catalog-version'),
    controlVersion: db.count('db-control-version'),
  };
}

function decodeEntry(label: string, raw: string): BackupEntry {
  if (!isBackupLabel(label)) throw new BackstopError('format', `'${label}' is not a backup label`);
  const entry = JsonFields.parse(raw, `backup '${label}'`);
  const type = entry.string('backup-type');
  if (type !== 'full' && type !== 'diff' && type !== 'incr') {
    throw new BackstopError('format', `backup '${label}' has unknown type '${type}'`);
  }
  const optional = <K extends keyof BackupEntry>(name: K, value: BackupEntry[K] | undefined) =>
    value === undefined ? {} : { [name]: value };
  // which WAL may go depends on them
  const segment = (name: string): string | null => {
    const value = entry.optional(name, entry.string);
    if (value === undefined || isWalName(value)) return value ?? null;
    throw new BackstopError('format', `'${name}' of backup '${label}' is not the name of a WAL segment`);
  };
  const prior = entry.optional('backup-prior', entry.string);
  return {
    label,
    version: entry.string('backrest-version'),
    type,
    dbId: entry.count('db-id'),
    annotations: entry.optional('backup-annotation', entry.map) ?? new Map(),
    archiveStart: segment('backup-archive-start'),
    archiveStop: segment('backup-archive-stop'),
    ...optional('lsnStart', entry.optional('backup-lsn-start', entry.string)),
    ...optional('lsnStop', entry.optional('backup-lsn-stop', entry.string)),
    ...optional('error', entry.optional('backup-error', entry.boolean)),
    size: entry.count('backup-info-size'),
    sizeDelta: entry.count('backup-info-size-delta'),
    repoSize: entry.optional('backup-info-repo-size', entry.count) ?? 0,
    repoSizeDelta: entry.count('backup-info-repo-size-delta'),
    ...optional('repoSizeMap', entry.optional('backup-info-repo-size-map', entry.count)),
    ...optional('repoSizeMapDelta', entry.optional('backup-info-repo-size-map-delta', entry.count)),
    ...optional('prior', prior === undefined ? undefined : asLabel(prior)),
    reference: (entry.optional('backup-reference', entry.strings) ?? []).map(asLabel),
    timestampStart: entry.count('backup-timestamp-start'),
    timestampStop: entry.count('backup-timestamp-stop'),
    archiveCheck: entry.optional('option-archive-check', entry.boolean) ?? false,
    archiveCopy: entry.optional('option-archive-copy', entry.boolean) ?? false,
    backupStandby: entry.optional('option-backup-standby', entry.boolean) ?? false,
    checksumPage: entry.optional('option-checksum-page', entry.boolean) ?? false,
    compress: entry.optional('option-compress', entry.boolean) ?? false,
    hardlink: entry.optional('option-hardlink', entry.boolean) ?? false,
    online: entry.optional('option-online', entry.boolean) ?? true,
  };
}

function asLabel(text: string): BackupLabel {
  if (!isBackupLabel(text)) throw new BackstopError('format', `'${text}' is not a backup label`);
  return text;
}

/** @param version version of this tool, recorded in the header; entries keep their own */
export function encodeBackupInfo(info: BackupInfo, version: string): Uint8Array {
  let text = '';
  const writer = new InfoTextWriter(version, part => {
    text += part;
  });
  const current = info.history.find(db => db.id === info.currentId);
  if (current === undefined) throw new BackstopError('assert', 'backup info without current database');
  for (const entry of [...info.backups].sort((a, b) => compareBytes(a.label, b.label))) {
    writer.entry('backup:current', entry.label, formatJson(encodeEntry(entry)));
  }
  if (info.cipherPass !== undefined) writer.entry('cipher', 'cipher-pass', formatJsonString(info.cipherPass));
  writer.entry('db', 'db-catalog-version', String(current.catalogVersion));
  writer.entry('db', 'db-control-version', String(current.controlVersion));
  writer.entry('db', 'db-id', String(current.id));
  writer.entry('db', 'db-system-id', String(current.systemId));
  writer.entry('db', 'db-version', formatJsonString(current.version));
  for (const db of info.history) {
    writer.entry(
      'db:history',
      String(db.id),
      formatJson({
        'db-catalog-version': db.catalogVersion ?? 0,
        'db-control-version': db.controlVersion ?? 0,
        'db-system-id': db.systemId,
        'db-version': db.version,
      }),
    );
  }
  writer.end();
  return Buffer.from(text);
}

function encodeEntry(entry: BackupEntry): Json {
  const fields: Record<string, Json | undefined> = {
    'backrest-format': repositoryFormat,
    'backrest-version': entry.version,
    'backup-annotation': entry.annotations.size === 0 ? undefined : Object.fromEntries(entry.annotations),
    'backup-archive-start': entry.archiveStart,
    'backup-archive-stop': entry.archiveStop,
    'backup-error': entry.error,
    'backup-info-repo-size': entry.repoSize,
    'backup-info-repo-size-delta': entry.repoSizeDelta,
    'backup-info-repo-size-map': entry.repoSizeMap,
    'backup-info-repo-size-map-delta': entry.repoSizeMapDelta,
    'backup-info-size': entry.size,
    'backup-info-size-delta': entry.sizeDelta,
    'backup-lsn-start': entry.lsnStart,
    'backup-lsn-stop': entry.lsnStop,
    'backup-prior': entry.prior,
    'backup-reference': entry.reference.length === 0 ? undefined : [...entry.reference].sort(compareBytes),
    'backup-timestamp-start': entry.timestampStart,
    'backup-timestamp-stop': entry.timestampStop,
    'backup-type': entry.type,
    'db-id': entry.dbId,
    'option-archive-check': entry.archiveCheck,
    'option-archive-copy': entry.archiveCopy,
    'option-backup-standby': entry.backupStandby,
    'option-checksum-page': entry.checksumPage,
    'option-compress': entry.compress,
    'option-hardlink': entry.hardlink,
    'option-online': entry.online,
  };
  return Object.fromEntries(Object.entries(fields).filter((pair): pair is [string, Json] => pair[1] !== undefined));
}
