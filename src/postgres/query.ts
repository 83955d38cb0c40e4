/**
 * The SQL we send, by version (behaviour, section 4.1). All functions are named with their schema: a user's function of
 * the same name must not be called with our rights.
 */
import type { PostgresVersion } from './versions.ts';

/** One row: version, data_directory, archive_mode, archive_command, checkpoint_timeout. Null: not ours to see. */
export const settingsQuery = `select
  (select setting from pg_catalog.pg_settings where name = 'server_version_num')::int4 as version,
  (select setting from pg_catalog.pg_settings where name = 'data_directory')::text as data_directory,
  (select setting from pg_catalog.pg_settings where name = 'archive_mode')::text as archive_mode,
  (select setting from pg_catalog.pg_settings where name = 'archive_command')::text as archive_command,
  (select setting from pg_catalog.pg_settings where name = 'checkpoint_timeout')::int4 as checkpoint_timeout`;

const label = "'pgBackRest backup started at ' || current_timestamp";

/** lsn, wal_name */
export function startBackupQuery(version: PostgresVersion, fast: boolean): string {
  const call = {
    exclusive: `pg_start_backup(${label}, ${fast})`,
    'start-backup': `pg_start_backup(${label}, ${fast}, false)`,
    'backup-start': `pg_backup_start(${label}, ${fast})`,
  }[version.backup];
  return `select lsn::text as lsn, ${walFileName(version, 'lsn')} as wal_name from pg_catalog.${call} as lsn`;
}

/** lsn, wal_name; from 9.6 on also backup_label, tablespace_map */
export function stopBackupQuery(version: PostgresVersion): string {
  const position = `lsn::text as lsn, ${walFileName(version, 'lsn')} as wal_name`;
  if (version.backup === 'exclusive') return `select ${position} from pg_catalog.pg_stop_backup() as lsn`;
  const files = 'labelfile::text as backup_label, spcmapfile::text as tablespace_map';
  const call =
    version.backup === 'backup-start'
      ? 'pg_backup_stop(false)'
      : version.stopWithoutWait
        ? 'pg_stop_backup(false, false)'
        : 'pg_stop_backup(false)';
  return `select ${position}, ${files} from pg_catalog.${call}`;
}

/** wal_name of the segment that was ended */
export function switchWalQuery(version: PostgresVersion): string {
  return `select ${walFileName(version, `pg_catalog.pg_switch_${version.walWord}()`)} as wal_name`;
}

/** wal_name */
export function currentWalQuery(version: PostgresVersion): string {
  const position = `pg_catalog.pg_current_${version.walWord}_insert_${version.lsnWord}()`;
  return `select ${walFileName(version, position)} as wal_name`;
}

/** lsn, null when the server is not in recovery */
export function replayQuery(version: PostgresVersion): string {
  return `select pg_catalog.pg_last_${version.walWord}_replay_${version.lsnWord}()::text as lsn`;
}

/** lsn; undefined when the server cannot tell */
export function checkpointReachedQuery(version: PostgresVersion): string | undefined {
  if (version.backup === 'exclusive') return undefined;
  return `select checkpoint_${version.lsnWord}::text as lsn from pg_catalog.pg_control_checkpoint()`;
}

/** oid, name, last_system_oid: 0 where somebody has dropped template0 */
export const databaseQuery = `select oid::oid as oid, datname::text as name,
  coalesce((select oid::oid from pg_catalog.pg_database where datname = 'template0'), 0::oid) as last_system_oid
  from pg_catalog.pg_database`;

/** oid, name */
export const tablespaceQuery = 'select oid::oid as oid, spcname::text as name from pg_catalog.pg_tablespace';

/** archived, failed: names of WAL; archived_at, failed_at: milliseconds since the epoch; null where there was none; failures */
export const archiverQuery = `select last_archived_wal::text as archived,
  (extract(epoch from last_archived_time) * 1000)::bigint as archived_at,
  last_failed_wal::text as failed, (extract(epoch from last_failed_time) * 1000)::bigint as failed_at,
  failed_count::bigint as failures
  from pg_catalog.pg_stat_archiver`;

/** time, in milliseconds since the epoch */
export const timeQuery = 'select (extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint as time';

function walFileName(version: PostgresVersion, position: string): string {
  return `pg_catalog.pg_${version.walWord}file_name(${position})::text`;
}
