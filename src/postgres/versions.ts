/**
 * What differs between the versions of PostgreSQL, one row a version. Whoever needs to know "is this 12 or later" asks
 * a field of the row instead, so that the next version is one more row.
 *
 * Source: repository format, section 10; 9.4 and 9.5 from the layout of their control file.
 */
import { BackstopError } from '../base/error.ts';

/** Byte offsets of the fields of `global/pg_control` that move between versions. */
export interface ControlOffsets {
  readonly timeline: number;
  readonly pageSize: number;
  readonly walSegmentSize: number;
  readonly checksums: number;
  readonly crc: number;
}

/** How a backup is started and stopped: which functions, and whether the session or the cluster owns the backup. */
export type BackupStyle = 'exclusive' | 'start-backup' | 'backup-start';

export interface PostgresVersion {
  /** `server_version_num` without the minor version: 90600, 150000. Orders versions. */
  readonly key: number;
  /** As info files and archive ids spell it: `9.6`, `15`. */
  readonly text: string;
  readonly controlVersion: number;
  readonly catalogVersion: number;
  /** Last catalog version that belongs to this row: a beta's catalog moves, a released one's does not. */
  readonly catalogVersionLast: number;
  /** First two bytes of a WAL page. */
  readonly walMagic: number;
  readonly control: ControlOffsets;
  /** Which CRC protects pg_control: CRC-32C, or the odd one of 9.4 and before. */
  readonly controlCrc: 'crc32c' | 'legacy';
  /** Largest checksum state that pg_control may hold; only 1 means that every page has one. */
  readonly checksumStateMax: 1 | 3;
  /** Word in function names: `pg_switch_wal()`, `pg_switch_xlog()`. */
  readonly walWord: 'wal' | 'xlog';
  /** Word in function names: `pg_current_wal_lsn()`, `pg_current_xlog_location()`. */
  readonly lsnWord: 'lsn' | 'location';
  readonly walDirectory: 'pg_wal' | 'pg_xlog';
  readonly xactDirectory: 'pg_xact' | 'pg_clog';
  readonly backup: BackupStyle;
  /** Stopping a backup can be told not to wait for the archive. */
  readonly stopWithoutWait: boolean;
  /** Where recovery settings live: `recovery.conf`, or `postgresql.auto.conf` with a signal file. */
  readonly recovery: 'file' | 'signal';
  /** pg_basebackup leaves a `backup_manifest`. */
  readonly backupManifest: boolean;
  /** Queries may run in parallel workers. */
  readonly parallelQuery: boolean;
}

type Layout = readonly [timeline: number, pageSize: number, walSegmentSize: number, checksums: number, crc: number];

function define(
  key: number,
  controlVersion: number,
  catalogVersion: number,
  walMagic: number,
  layout: Layout,
  catalogVersionLast = catalogVersion,
): PostgresVersion {
  const [timeline, pageSize, walSegmentSize, checksums, crc] = layout;
  return {
    key,
    text: versionText(key),
    controlVersion,
    catalogVersion,
    catalogVersionLast,
    walMagic,
    control: { timeline, pageSize, walSegmentSize, checksums, crc },
    controlCrc: key < 90500 ? 'legacy' : 'crc32c',
    checksumStateMax: key >= 190000 ? 3 : 1,
    walWord: key >= 100000 ? 'wal' : 'xlog',
    lsnWord: key >= 100000 ? 'lsn' : 'location',
    walDirectory: key >= 100000 ? 'pg_wal' : 'pg_xlog',
    xactDirectory: key >= 100000 ? 'pg_xact' : 'pg_clog',
    backup: key < 90600 ? 'exclusive' : key < 150000 ? 'start-backup' : 'backup-start',
    stopWithoutWait: key >= 100000,
    recovery: key < 120000 ? 'file' : 'signal',
    backupManifest: key >= 130000,
    parallelQuery: key >= 90600,
  };
}

/** Every version we know, oldest first. */
export const versions: readonly PostgresVersion[] = [
  define(90400, 942, 201409291, 0xd07e, [56, 200, 212, 236, 240]),
  define(90500, 942, 201510051, 0xd087, [56, 216, 228, 252, 256]),
  define(90600, 960, 201608131, 0xd093, [56, 216, 228, 252, 256]),
  define(100000, 1002, 201707211, 0xd097, [56, 216, 228, 252, 288]),
  define(110000, 1100, 201809051, 0xd098, [48, 208, 220, 244, 280]),
  define(120000, 1201, 201909212, 0xd101, [48, 216, 228, 252, 288]),
  define(130000, 1300, 202007201, 0xd106, [48, 216, 228, 252, 288]),
  define(140000, 1300, 202107181, 0xd10d, [48, 216, 228, 252, 288]),
  define(150000, 1300, 202209061, 0xd110, [48, 216, 228, 252, 288]),
  define(160000, 1300, 202307071, 0xd113, [48, 216, 228, 252, 288]),
  define(170000, 1700, 202406281, 0xd116, [48, 216, 228, 252, 288]),
  define(180000, 1800, 202506291, 0xd118, [48, 216, 228, 252, 292]),
  define(190000, 1902, 202605131, 0xd121, [48, 224, 240, 264, 304], 202699999),
];

const supportHints = ['is this version of PostgreSQL supported?', 'is pgbackstop up to date on all hosts?'] as const;

function versionText(key: number): string {
  const major = Math.floor(key / 10000);
  return major >= 10 ? String(major) : `${major}.${Math.floor((key % 10000) / 100)}`;
}

/**
 * The version that info files spell `9.6` or `15`.
 * @throws version-not-supported when there is no such row
 */
export function versionOf(text: string): PostgresVersion {
  const found = versions.find(version => version.text === text);
  if (found !== undefined) return found;
  throw new BackstopError('version-not-supported', `invalid PostgreSQL version ${text}`, { hint: supportHints });
}

/**
 * The version of a server by its `server_version_num`, such as 90624 or 150018.
 * @throws version-not-supported
 */
export function versionOfServer(serverVersionNum: number): PostgresVersion {
  const key =
    serverVersionNum >= 100000
      ? Math.floor(serverVersionNum / 10000) * 10000
      : Math.floor(serverVersionNum / 100) * 100;
  return versionOf(versionText(key));
}

/**
 * The version whose cluster has these numbers in its pg_control.
 * @throws version-not-supported
 */
export function versionOfControl(controlVersion: number, catalogVersion: number): PostgresVersion {
  const found = versions.find(
    version =>
      version.controlVersion === controlVersion &&
      catalogVersion >= version.catalogVersion &&
      catalogVersion <= version.catalogVersionLast,
  );
  if (found !== undefined) return found;
  throw new BackstopError(
    'version-not-supported',
    `unexpected control version = ${controlVersion} and catalog version = ${catalogVersion}`,
    { hint: supportHints },
  );
}

/**
 * The version that writes WAL pages with this magic.
 * @throws version-not-supported
 */
export function versionOfWalMagic(magic: number): PostgresVersion {
  const found = versions.find(version => version.walMagic === magic);
  if (found !== undefined) return found;
  throw new BackstopError('version-not-supported', `unexpected WAL magic ${magic}`, { hint: supportHints });
}

/** Directory of one cluster inside a tablespace: `PG_15_202209061`. */
export function tablespaceDirectory(version: PostgresVersion, catalogVersion: number): string {
  return `PG_${version.text}_${catalogVersion}`;
}
