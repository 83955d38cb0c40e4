/**
 * A running cluster: what a backup asks of the server. Behaviour, section 4.1.
 *
 * The interface speaks in plain data and promises, so that a cluster on another host can stand behind it.
 */
import { type Clock, systemClock } from '../base/clock.ts';
import { BackstopError } from '../base/error.ts';
import type { Storage } from '../storage/storage.ts';
import { type ConnectionConfig, DatabaseSession, type Row } from './client.ts';
import { type ControlData, readControl } from './control.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import {
  archiverQuery,
  checkpointReachedQuery,
  currentWalQuery,
  databaseQuery,
  replayQuery,
  settingsQuery,
  startBackupQuery,
  stopBackupQuery,
  switchWalQuery,
  tablespaceQuery,
  timeQuery,
} from './query.ts';
import { type PostgresVersion, versionOfServer } from './versions.ts';
import { parseWalName, type WalName } from './wal.ts';

/** One configured cluster: the pg options of one key. */
export interface ClusterConfig extends ConnectionConfig {
  /** Number in the configuration: 1 for `pg1-path`. */
  readonly key: number;
  /** Configured data directory. */
  readonly path: string;
}

export interface StartOptions {
  /** Do not wait for the next regular checkpoint. */
  readonly fast: boolean;
  /** Make sure that a WAL segment before the backup must reach the archive, so that archiving can be checked early. */
  readonly archiveCheck: boolean;
  /** Before 9.6: stop a backup that nobody runs any more. */
  readonly stopAuto?: boolean;
}

export interface BackupStart {
  /** As the server spelled it, which is how manifests keep it. */
  readonly lsn: string;
  readonly walName: WalName;
  /** The segment in use before the start, which must be archived first; only with archiveCheck. */
  readonly walNameBefore?: WalName;
}

export interface BackupStop {
  readonly lsn: string;
  /** The last segment that the backup needs. */
  readonly walName: WalName;
  /** Content of `backup_label`; undefined before 9.6, where the server wrote it into the data directory. */
  readonly backupLabel?: string;
  /** Content of `tablespace_map`, when there are tablespaces. */
  readonly tablespaceMap?: string;
}

export interface Database {
  readonly oid: number;
  readonly name: string;
  /** The largest oid that initdb used: databases above it are the user's. */
  readonly lastSystemOid: number;
}

export interface Tablespace {
  readonly oid: number;
  readonly name: string;
}

/** What the server knows of its archive_command. */
export interface ArchiverState {
  /** The last file that was archived; absent when none was. */
  readonly archived?: ArchiverEvent;
  /** The last file that could not be archived; absent when there was none. */
  readonly failed?: ArchiverEvent;
  /** How often archive_command has failed since these numbers were reset. */
  readonly failures: number;
}

export interface ArchiverEvent {
  readonly wal: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

export interface Cluster {
  readonly key: number;
  readonly version: PostgresVersion;
  /** As the server knows it; it should be the configured one. */
  readonly dataDirectory: string;
  readonly isStandby: boolean;
  /** `off`, `on` or `always`. */
  readonly archiveMode: string;
  readonly archiveCommand: string;
  /** Seconds. */
  readonly checkpointTimeout: number;
  /** pg_control as it was when the session began, or after waitForReplay. */
  readonly control: ControlData;
  /** @throws lock-acquire when another backup runs (before 9.6), db-mismatch when files and server disagree, db-query */
  startBackup(options: StartOptions): Promise<BackupStart>;
  /** Ends the backup that startBackup began. It does not wait for the archive (before 10 the server insists on it). */
  stopBackup(): Promise<BackupStop>;
  /**
   * Gives up a backup after a failure, whatever state it is in: also without one, and twice. Never throws; what could
   * not be cleaned up is a warning.
   */
  abortBackup(): Promise<void>;
  /** Ends the WAL segment in use, even when nothing has been written to it. @returns its name */
  switchWal(): Promise<WalName>;
  /** The segment that is being written. */
  currentWal(): Promise<WalName>;
  databases(): Promise<Database[]>;
  tablespaces(): Promise<Tablespace[]>;
  archiver(): Promise<ArchiverState>;
  /** The server's time in milliseconds since the epoch. */
  time(): Promise<number>;
  /**
   * Waits until a standby has replayed up to an LSN and made that durable by a checkpoint.
   * @param timeout milliseconds without progress
   * @throws archive-timeout, or db-mismatch when the standby does not follow that timeline
   */
  waitForReplay(lsn: string, timeline: number, timeout: number): Promise<void>;
  /** Checks that the server still has the role it had: ask every 30 seconds while copying. @throws db-mismatch */
  checkRole(): Promise<void>;
  /** Ends the session; a backup that still runs is given up. Never throws. */
  close(): Promise<void>;
}

export interface OpenClusterOptions {
  /** Shown to administrators: `pgBackRest [backup]`. */
  readonly command: string;
  /** Milliseconds for each query (option db-timeout). */
  readonly timeout: number;
  /** Where the cluster's files are; the configured path is a path of it. */
  readonly storage: Storage;
  readonly forcedVersion?: string | undefined;
  readonly warn: (message: string) => void;
  readonly clock?: Clock;
  readonly environment?: NodeJS.ProcessEnv;
}

/** @throws db-connect, db-query, or what reading pg_control throws */
export async function openCluster(config: ClusterConfig, options: OpenClusterOptions): Promise<Cluster> {
  const session = await DatabaseSession.open(config, options);
  try {
    // nobody's functions must stand before the ones we mean to call
    await session.execute("set search_path = 'pg_catalog'");
    await session.execute("set client_encoding = 'UTF8'");
    const settings = await session.row(settingsQuery);
    if (Object.values(settings).includes(null)) {
      throw new BackstopError('db-query', 'unable to select some rows from pg_settings', {
        hint: [
          'is the backup running as the postgres user?',
          'is the pg_read_all_settings role assigned for PostgreSQL >= 10?',
        ],
      });
    }
    const version = versionOfServer(number(settings, 'version'));
    await session.execute(`set application_name = 'pgBackRest [${options.command.replaceAll("'", "''")}]'`);
    // 9.6 lets pg_stop_backup() run in a parallel worker, where it fails
    if (version.parallelQuery) await session.execute('set max_parallel_workers_per_gather = 0');
    const isStandby = (await session.value('select pg_catalog.pg_is_in_recovery()')) === true;
    const control = await readControl(options.storage, config.path, options);
    return new LocalCluster(session, config, options, version, isStandby, control, settings);
  } catch (error) {
    await session.close();
    throw error;
  }
}

class LocalCluster implements Cluster {
  readonly key: number;
  readonly version: PostgresVersion;
  readonly dataDirectory: string;
  readonly isStandby: boolean;
  readonly archiveMode: string;
  readonly archiveCommand: string;
  readonly checkpointTimeout: number;
  readonly #session: DatabaseSession;
  readonly #config: ClusterConfig;
  readonly #options: OpenClusterOptions;
  readonly #clock: Clock;
  #control: ControlData;
  #inBackup = false;

  constructor(
    session: DatabaseSession,
    config: ClusterConfig,
    options: OpenClusterOptions,
    version: PostgresVersion,
    isStandby: boolean,
    control: ControlData,
    settings: Row,
  ) {
    this.key = config.key;
    this.version = version;
    this.isStandby = isStandby;
    this.dataDirectory = text(settings, 'data_directory');
    this.archiveMode = text(settings, 'archive_mode');
    this.archiveCommand = text(settings, 'archive_command');
    this.checkpointTimeout = number(settings, 'checkpoint_timeout');
    this.#control = control;
    this.#session = session;
    this.#config = config;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  get control(): ControlData {
    return this.#control;
  }

  async startBackup(options: StartOptions): Promise<BackupStart> {
    if (this.#inBackup) throw new BackstopError('assert', 'a backup was already started in this session');
    if (this.version.backup === 'exclusive') await this.#prepareExclusive(options.stopAuto ?? false);
    const seconds = Math.floor(this.#session.timeout / 1000);
    if (!options.fast && seconds <= this.checkpointTimeout) {
      this.#options.warn(
        `start-fast is disabled and db-timeout (${seconds}s) is smaller than the PostgreSQL checkpoint_timeout (${this.checkpointTimeout}s) - timeout may occur before the backup starts`,
      );
    }
    const walNameBefore = options.archiveCheck ? await this.currentWal() : undefined;
    // also when the query fails: it may have reached the server
    this.#inBackup = true;
    const started = await this.#session.row(startBackupQuery(this.version, options.fast));
    const lsn = text(started, 'lsn');
    const walName = walNameOf(started);
    await this.#checkStart(lsn, walName);
    // a switch just before leaves the start in the same segment; one more makes the segment before it complete
    if (walNameBefore === walName) await this.switchWal();
    return { lsn, walName, ...(walNameBefore === undefined ? {} : { walNameBefore }) };
  }

  /** Takes the lock by which tools agree on one exclusive backup, and ends one that was left behind. */
  async #prepareExclusive(stopAuto: boolean): Promise<void> {
    if ((await this.#session.value(`select pg_catalog.pg_try_advisory_lock(${advisoryLock})`)) !== true) {
      throw new BackstopError('lock-acquire', 'unable to acquire the backup advisory lock', {
        hint: 'is another backup already running on this cluster?',
      });
    }
    if (stopAuto && (await this.#session.value('select pg_catalog.pg_is_in_backup()')) === true) {
      this.#options.warn(
        'the cluster is already in backup mode but no backup process is running. pg_stop_backup() will be called so a new backup can be started.',
      );
      await this.#session.row(stopBackupQuery(this.version));
    }
  }

  /** Checks that the files we read belong to the server we asked: the start's checkpoint must be in pg_control. */
  async #checkStart(lsn: string, walName: WalName): Promise<void> {
    const control = await this.#readControl();
    if (control.checkpoint < parseLsn(lsn)) {
      throw new BackstopError(
        'db-mismatch',
        `current checkpoint '${formatLsn(control.checkpoint)}' is less than backup start '${lsn}'`,
        { hint: `does pg${this.key}-path belong to the cluster at pg${this.key}-port?` },
      );
    }
    const { timeline } = parseWalName(walName);
    if (timeline !== control.timeline) {
      throw new BackstopError(
        'db-mismatch',
        `WAL timeline ${timeline} does not match pg_control timeline ${control.timeline}`,
      );
    }
  }

  async stopBackup(): Promise<BackupStop> {
    if (!this.#inBackup) throw new BackstopError('assert', 'no backup was started in this session');
    const stopped = await this.#session.row(stopBackupQuery(this.version));
    this.#inBackup = false;
    const lsn = text(stopped, 'lsn');
    const walName = walNameOf(stopped);
    if (this.version.backup === 'exclusive') return { lsn, walName };
    const backupLabel = text(stopped, 'backup_label');
    const tablespaceMap = text(stopped, 'tablespace_map');
    return { lsn, walName, backupLabel, ...(tablespaceMap.trim() === '' ? {} : { tablespaceMap }) };
  }

  async abortBackup(): Promise<void> {
    if (!this.#inBackup) return;
    this.#inBackup = false;
    // the server gives up a non-exclusive backup when its session ends, however it ends
    if (this.version.backup !== 'exclusive') return await this.#session.close();
    try {
      if ((await this.#session.value('select pg_catalog.pg_is_in_backup()')) !== true) return;
      await this.#session.row(stopBackupQuery(this.version));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.warn(
        `the cluster may still be in backup mode: ${reason}; the stop-auto option lets the next backup end it`,
      );
    }
  }

  async switchWal(): Promise<WalName> {
    // a segment to which nothing was written is not switched
    await this.#session.value("select pg_catalog.pg_create_restore_point('pgBackRest Archive Check')::text");
    return walNameOf(await this.#session.row(switchWalQuery(this.version)));
  }

  async currentWal(): Promise<WalName> {
    return walNameOf(await this.#session.row(currentWalQuery(this.version)));
  }

  async databases(): Promise<Database[]> {
    const rows = await this.#session.rows(databaseQuery);
    return rows.map(row => ({
      oid: number(row, 'oid'),
      name: text(row, 'name'),
      lastSystemOid: number(row, 'last_system_oid'),
    }));
  }

  async tablespaces(): Promise<Tablespace[]> {
    const rows = await this.#session.rows(tablespaceQuery);
    return rows.map(row => ({ oid: number(row, 'oid'), name: text(row, 'name') }));
  }

  async archiver(): Promise<ArchiverState> {
    const row = await this.#session.row(archiverQuery);
    const event = (name: 'archived' | 'failed'): ArchiverEvent | undefined =>
      row[name] === null ? undefined : { wal: text(row, name), time: number(row, `${name}_at`) };
    const [archived, failed] = [event('archived'), event('failed')];
    return {
      ...(archived === undefined ? {} : { archived }),
      ...(failed === undefined ? {} : { failed }),
      failures: number(row, 'failures'),
    };
  }

  async time(): Promise<number> {
    return number(await this.#session.row(timeQuery), 'time');
  }

  async waitForReplay(lsn: string, timeline: number, timeout: number): Promise<void> {
    const target = parseLsn(lsn);
    if (this.#control.checkpoint > target) {
      throw new BackstopError(
        'db-mismatch',
        `standby checkpoint '${formatLsn(this.#control.checkpoint)}' is ahead of target '${lsn}'`,
        { hint: 'does the standby follow this primary?' },
      );
    }
    await this.#waitUntilReplayed(lsn, timeout);
    await this.#waitUntilCheckpoint(lsn, timeout);
    this.#control = await this.#readControl();
    if (this.#control.checkpoint < target) {
      throw new BackstopError(
        'db-mismatch',
        `standby checkpoint '${formatLsn(this.#control.checkpoint)}' in '${this.#config.path}' is less than target '${lsn}'`,
        { hint: `does pg${this.key}-path belong to the cluster at pg${this.key}-port?` },
      );
    }
    if (this.#control.timeline !== timeline) {
      throw new BackstopError(
        'db-mismatch',
        `standby is on timeline ${this.#control.timeline} but expected ${timeline}`,
      );
    }
  }

  async #waitUntilReplayed(lsn: string, timeout: number): Promise<void> {
    const target = parseLsn(lsn);
    let last = -1n;
    let end = this.#clock.monotonic() + timeout;
    for (;;) {
      const replayed = (await this.#session.row(replayQuery(this.version))).lsn;
      if (typeof replayed !== 'string') {
        throw new BackstopError('archive-timeout', 'unable to query replay lsn on the standby', {
          hint: 'is this a standby?',
        });
      }
      const position = parseLsn(replayed);
      if (position > target) return;
      // slow progress is progress
      if (position > last) end = this.#clock.monotonic() + timeout;
      last = position;
      if (this.#clock.monotonic() >= end) {
        throw new BackstopError(
          'archive-timeout',
          `timeout before standby replayed to ${lsn} - only reached ${replayed}`,
          {
            hint: [
              'is replication running and current on the standby?',
              "disable the 'backup-standby' option to backup directly from the primary.",
            ],
          },
        );
      }
      await this.#clock.sleep(100);
    }
  }

  async #waitUntilCheckpoint(lsn: string, timeout: number): Promise<void> {
    const end = this.#clock.monotonic() + timeout;
    for (;;) {
      // it ends at the last checkpoint of the primary that was replayed, which may still be the one before
      await this.#session.execute('checkpoint');
      const reached = await this.#standbyCheckpoint();
      if (parseLsn(reached) >= parseLsn(lsn)) return;
      if (this.#clock.monotonic() >= end) {
        throw new BackstopError(
          'archive-timeout',
          `timeout before standby checkpoint lsn reached ${lsn} - only reached ${reached}`,
        );
      }
      await this.#clock.sleep(100);
    }
  }

  async #standbyCheckpoint(): Promise<string> {
    const query = checkpointReachedQuery(this.version);
    // before 9.6 only the file tells
    if (query === undefined) return formatLsn((await this.#readControl()).checkpoint);
    return text(await this.#session.row(query), 'lsn');
  }

  async checkRole(): Promise<void> {
    const inRecovery = (await this.#session.value('select pg_catalog.pg_is_in_recovery()')) === true;
    if (inRecovery === this.isStandby) return;
    if (this.isStandby) {
      throw new BackstopError('db-mismatch', 'standby is no longer in recovery', {
        hint: 'was the standby promoted during the backup?',
      });
    }
    throw new BackstopError('assert', 'primary has switched to recovery');
  }

  async close(): Promise<void> {
    await this.abortBackup();
    await this.#session.close();
  }

  async #readControl(): Promise<ControlData> {
    return await readControl(this.#options.storage, this.#config.path, this.#options);
  }
}

/** The number that pgBackRest locks, so that the two exclude each other. */
const advisoryLock = '12340078987004321';

function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value === 'string') return value;
  throw new BackstopError('format', `the server's ${column} is ${String(value)}, not text`);
}

function number(row: Row, column: string): number {
  const value = row[column];
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint' && Number.isSafeInteger(Number(value))) return Number(value);
  throw new BackstopError('format', `the server's ${column} is ${String(value)}, not a number`);
}

function walNameOf(row: Row): WalName {
  const name = text(row, 'wal_name');
  parseWalName(name);
  return name as WalName;
}
