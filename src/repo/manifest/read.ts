/** Reads backup.manifest (format, section 3) from a stream of bytes. */
import { BackstopError } from '../../base/error.ts';
import { keepHeapsSmall } from '../../base/heap.ts';
import { parseJson } from '../../base/json.ts';
import { JsonFields } from '../../base/json-fields.ts';
import { isWalName } from '../../postgres/wal.ts';
import { largestBlock } from '../block/size.ts';
import { InfoTextReader } from '../info-text.ts';
import { type BackupLabel, isBackupLabel } from '../label.ts';
import { FileTable, type PageErrors } from './file-table.ts';
import {
  type CompressType,
  emptyChecksum,
  type Manifest,
  type ManifestDatabase,
  type ManifestTarget,
} from './manifest.ts';
import { checkManifestName, checkManifestTargets, checkTablespaces, tablespaceOf } from './validate.ts';

interface Owned {
  user?: string | false;
  group?: string | false;
  mode?: number;
}

/** Bytes of the digest of a block. */
const maxBlockChecksum = 16;
const defaultBlockChecksum = 6;

/** Takes the bytes of a manifest in pieces; end() gives the model. */
export class ManifestReader {
  readonly #text: InfoTextReader;
  readonly #single = new Map<string, Map<string, string>>();
  readonly #targets: ManifestTarget[] = [];
  readonly #databases: ManifestDatabase[] = [];
  readonly #paths: ({ name: string } & Owned)[] = [];
  readonly #links: ({ name: string; destination: string } & Owned)[] = [];
  readonly #files = new FileTable();
  /** Tablespaces that files and paths lie in, whether there is such a target or not. */
  readonly #tablespaces = new Set<string>();
  #annotations: ReadonlyMap<string, string> = new Map();
  #bytes = 0;

  constructor() {
    keepHeapsSmall();
    this.#text = new InfoTextReader((section, key, raw) => this.#entry(section, key, raw));
  }

  push(bytes: Uint8Array): void {
    this.#text.push(bytes);
  }

  /** @throws format, checksum, json-format for anything but a sound manifest */
  end(): Manifest {
    const { version } = this.#text.end();
    const files = this.#defaultsOf('target:file:default');
    this.#files.setDefaults({ user: files.user, group: files.group, mode: files.mode ?? 0o600 });
    // a manifest is written in order; one that is not is put in order, because find() depends on it
    const twin = this.#files.sort();
    if (twin !== undefined) throw new BackstopError('format', `manifest holds file '${this.#files.name(twin)}' twice`);
    const paths = this.#defaultsOf('target:path:default');
    const links = this.#links.length === 0 ? paths : this.#defaultsOf('target:link:default');
    const manifest: Manifest = {
      header: this.#header(version),
      targets: this.#targets,
      databases: this.#databases,
      paths: this.#paths.map(({ name, user, group, mode }) => ({
        name,
        user: user ?? paths.user,
        group: group ?? paths.group,
        mode: mode ?? paths.mode ?? 0o700,
      })),
      links: this.#links.map(({ name, destination, user, group }) => ({
        name,
        destination,
        user: user ?? links.user,
        group: group ?? links.group,
      })),
      files: this.#files,
    };
    checkManifestTargets(manifest.targets);
    checkTablespaces(this.#tablespaces, manifest.targets);
    return manifest;
  }

  #entry(section: string, key: string, raw: string): void {
    switch (section) {
      case 'target:file':
        this.#file(key, raw);
        return;
      case 'target:path': {
        this.#checkName(key, 'path');
        this.#paths.push({ name: key, ...owned(JsonFields.parse(raw, `path '${key}'`)) });
        return;
      }
      case 'target:link': {
        checkManifestName(key, 'link');
        const link = JsonFields.parse(raw, `link '${key}'`);
        this.#links.push({ name: key, destination: link.string('destination'), ...owned(link) });
        return;
      }
      case 'backup:target':
        this.#target(key, raw);
        return;
      case 'db': {
        const db = JsonFields.parse(raw, `database '${key}'`);
        this.#databases.push({ name: key, id: db.count('db-id'), lastSystemId: db.count('db-last-system-id') });
        return;
      }
      case 'metadata':
        if (key === 'annotation') {
          const fields = JsonFields.parse(raw, 'annotation');
          this.#annotations = new Map(Object.keys(fields.object).map(name => [name, fields.string(name)]));
        }
        return;
      default: {
        let values = this.#single.get(section);
        if (values === undefined) {
          values = new Map();
          this.#single.set(section, values);
        }
        values.set(key, raw);
      }
    }
  }

  #target(name: string, raw: string): void {
    checkManifestName(name, 'target');
    const target = JsonFields.parse(raw, `target '${name}'`);
    const type = target.string('type');
    if (type !== 'path' && type !== 'link')
      throw new BackstopError('format', `target '${name}' has unknown type '${type}'`);
    const file = target.optional('file', target.string);
    if (file !== undefined && (file === '' || file.includes('/') || file === '.' || file === '..')) {
      throw new BackstopError('format', `target '${name}' has an invalid file name '${file}'`);
    }
    const tablespaceId = target.optional('tablespace-id', target.string);
    if (tablespaceId !== undefined && !/^[1-9]\d{0,9}$/.test(tablespaceId)) {
      throw new BackstopError('format', `target '${name}' has an invalid tablespace id '${tablespaceId}'`);
    }
    const tablespaceName = target.optional('tablespace-name', target.string);
    this.#targets.push({
      name,
      type,
      path: target.string('path'),
      ...(file === undefined ? {} : { file }),
      ...(tablespaceId === undefined ? {} : { tablespaceId: Number(tablespaceId) }),
      ...(tablespaceName === undefined ? {} : { tablespaceName }),
    });
  }

  #file(name: string, raw: string): void {
    this.#checkName(name, 'file');
    const file = JsonFields.parse(raw, `file '${name}'`);
    const size = file.count('size');
    const reference = file.optional('reference', file.string);
    if (reference !== undefined && !isBackupLabel(reference)) {
      throw new BackstopError('format', `file '${name}' has an invalid reference '${reference}'`);
    }
    const checksum = size === 0 ? emptyChecksum : file.optional('checksum', file.string);
    const checksumRepo = file.optional('rck', file.string);
    const checksumPage = file.optional('checksum-page', file.boolean);
    const pageErrors = file.object['checksum-page-error'];
    const blockSize = (file.optional('bi', file.count) ?? 0) * 8192;
    const blockChecksumSize = blockSize === 0 ? 0 : (file.optional('bic', file.count) ?? defaultBlockChecksum);
    if (
      blockSize > largestBlock ||
      (blockSize > 0 && (blockChecksumSize < 1 || blockChecksumSize > maxBlockChecksum))
    ) {
      throw new BackstopError('format', `file '${name}' has blocks or checksums of blocks of an invalid size`);
    }
    const sizeOriginal = file.optional('szo', file.count) ?? size;
    const sizeRepo = file.optional('repo-size', file.count) ?? size;
    const blockMapSize = file.optional('bim', file.count) ?? 0;
    // so that all sums of sizes are exact
    this.#bytes += size + sizeOriginal + sizeRepo + blockMapSize;
    if (!Number.isSafeInteger(this.#bytes))
      throw new BackstopError('format', 'manifest holds files of an impossible size');
    this.#files.add({
      name,
      size,
      sizeOriginal,
      sizeRepo,
      timestamp: file.integer('timestamp'),
      ...(checksum === undefined ? {} : { checksum }),
      ...(checksumRepo === undefined ? {} : { checksumRepo }),
      ...(checksumPage === undefined ? {} : { checksumPage }),
      ...(pageErrors === undefined ? {} : { checksumPageErrors: checkPageErrors(pageErrors, name) }),
      ...(reference === undefined ? {} : { reference }),
      bundleId: file.optional('bni', file.count) ?? 0,
      bundleOffset: file.optional('bno', file.count) ?? 0,
      blockSize,
      blockChecksumSize,
      blockMapSize,
      ...owned(file),
    });
  }

  #checkName(name: string, what: 'file' | 'path'): void {
    checkManifestName(name, what);
    const tablespace = tablespaceOf(name);
    if (tablespace !== undefined) this.#tablespaces.add(tablespace);
  }

  #section(section: string): JsonFields {
    const values = this.#single.get(section) ?? new Map<string, string>();
    return new JsonFields(
      Object.fromEntries([...values].map(([key, raw]) => [key, parseJson(raw)])),
      `section [${section}]`,
    );
  }

  #defaultsOf(section: string): { user: string | false; group: string | false; mode?: number } {
    const { user, group, mode } = owned(this.#section(section));
    return { user: user ?? false, group: group ?? false, ...(mode === undefined ? {} : { mode }) };
  }

  #header(version: string): Manifest['header'] {
    const backup = this.#section('backup');
    const db = this.#section('backup:db');
    const option = this.#section('backup:option');
    const label = checkLabel(backup.string('backup-label'));
    const type = backup.string('backup-type');
    if (type !== 'full' && type !== 'diff' && type !== 'incr') {
      throw new BackstopError('format', `manifest has unknown backup type '${type}'`);
    }
    const prior = backup.optional('backup-prior', backup.string);
    const optional = (name: string, key: string) => {
      const value = backup.optional(key, backup.string);
      return value === undefined ? {} : { [name]: value };
    };
    const count = (name: string, key: string) => {
      const value = option.optional(key, option.count);
      return value === undefined ? {} : { [name]: value };
    };
    const standby = option.optional('option-backup-standby', option.boolean);
    const level = option.optional('option-compress-level', option.integer);
    const segment = (name: string, key: string) => {
      const value = backup.optional(key, backup.string);
      if (value === undefined || isWalName(value)) return value === undefined ? {} : { [name]: value };
      throw new BackstopError('format', `'${key}' of the manifest is not the name of a WAL segment`);
    };
    const cipherPass = this.#section('cipher');
    return {
      label,
      type,
      ...(prior === undefined ? {} : { prior: checkLabel(prior) }),
      references: this.#references(backup, label),
      timestampStart: backup.count('backup-timestamp-start'),
      timestampCopyStart: backup.count('backup-timestamp-copy-start'),
      timestampStop: backup.optional('backup-timestamp-stop', backup.count) ?? 0,
      ...segment('archiveStart', 'backup-archive-start'),
      ...segment('archiveStop', 'backup-archive-stop'),
      ...optional('lsnStart', 'backup-lsn-start'),
      ...optional('lsnStop', 'backup-lsn-stop'),
      bundle: backup.optional('backup-bundle', backup.boolean) ?? false,
      bundleRaw: backup.optional('backup-bundle-raw', backup.boolean) ?? false,
      blockIncremental: backup.optional('backup-block-incr', backup.boolean) ?? false,
      dbId: db.count('db-id'),
      systemId: db.bigint('db-system-id'),
      pgVersion: db.string('db-version'),
      catalogVersion: db.count('db-catalog-version'),
      controlVersion: db.count('db-control-version'),
      options: {
        archiveCheck: option.boolean('option-archive-check'),
        archiveCopy: option.boolean('option-archive-copy'),
        ...(standby === undefined ? {} : { backupStandby: standby }),
        ...count('bufferSize', 'option-buffer-size'),
        checksumPage: option.optional('option-checksum-page', option.boolean) ?? false,
        ...(level === undefined ? {} : { compressLevel: level }),
        ...count('compressLevelNetwork', 'option-compress-level-network'),
        compressType: compressTypeOf(option),
        delta: option.optional('option-delta', option.boolean) ?? false,
        hardlink: option.boolean('option-hardlink'),
        online: option.boolean('option-online'),
        ...count('processMax', 'option-process-max'),
      },
      ...(cipherPass.has('cipher-pass') ? { cipherPass: cipherPass.string('cipher-pass') } : {}),
      annotations: this.#annotations,
      toolVersion: version,
    };
  }

  /** Manifests older than the key name their references in the files only. */
  #references(backup: JsonFields, label: BackupLabel): readonly BackupLabel[] {
    const list = backup.optional('backup-reference', backup.string);
    if (list !== undefined) return list.split(',').map(checkLabel);
    const found = new Set<BackupLabel>();
    for (let i = 0; i < this.#files.length; i++) {
      const reference = this.#files.reference(i);
      if (reference !== undefined) found.add(reference as BackupLabel);
    }
    return [...[...found].sort(), label];
  }
}

function owned(fields: JsonFields): Owned {
  const result: Owned = {};
  for (const key of ['user', 'group'] as const) {
    const value = fields.object[key];
    if (value === undefined) continue;
    if (value !== false && typeof value !== 'string')
      throw new BackstopError('format', `'${key}' is neither a name nor false`);
    result[key] = value;
  }
  if (fields.has('mode')) {
    const text = fields.string('mode');
    if (!/^[0-7]{1,4}$/.test(text)) throw new BackstopError('format', `'${text}' is not a mode`);
    result.mode = Number.parseInt(text, 8);
  }
  return result;
}

function checkLabel(text: string): BackupLabel {
  if (!isBackupLabel(text)) throw new BackstopError('format', `'${text}' is not a backup label`);
  return text;
}

function compressTypeOf(option: JsonFields): CompressType {
  const text = option.optional('option-compress-type', option.string);
  if (text === undefined) return option.boolean('option-compress') ? 'gz' : 'none';
  if (text === 'none' || text === 'bz2' || text === 'gz' || text === 'lz4' || text === 'zst') return text;
  throw new BackstopError('format', `manifest has unknown compress type '${text}'`);
}

function checkPageErrors(value: unknown, name: string): PageErrors {
  const isPage = (item: unknown): item is number => typeof item === 'number' && Number.isSafeInteger(item) && item >= 0;
  const isRange = (item: unknown): item is [number, number] =>
    Array.isArray(item) && item.length === 2 && item.every(isPage);
  if (!Array.isArray(value) || !value.every(item => isPage(item) || isRange(item))) {
    throw new BackstopError('format', `'checksum-page-error' of file '${name}' is not a list of pages`);
  }
  return value as PageErrors;
}
