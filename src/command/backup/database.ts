/** The cluster that a backup reads: a server with its backup functions, or, offline, files alone. */
import { BackstopError } from '../../base/error.ts';
import type { BackupStop, Cluster } from '../../postgres/cluster.ts';
import { checkArchiving, checkSameCluster } from '../../postgres/cluster-check.ts';
import { type ControlData, readControl } from '../../postgres/control.ts';
import type { PostgresVersion } from '../../postgres/versions.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import { currentDb, isSameDb } from '../../repo/history.ts';
import type { ManifestDatabase } from '../../repo/manifest/manifest.ts';
import type { Storage } from '../../storage/storage.ts';
import {
  type ClusterSettings,
  clusterSettings,
  findSessionClusters,
  forcedVersion,
  openClusterFiles,
  settingsOfCluster,
} from '../open.ts';
import type { Session } from '../session.ts';
import { Standby } from './standby.ts';
import type { StartPoint } from './start-point.ts';

export interface BackupCluster {
  readonly key: number;
  readonly host?: string;
  readonly path: string;
  readonly files: Storage;
  readonly version: PostgresVersion;
  readonly control: ControlData;
  readonly isOnline: boolean;
  /** Where relation files are copied from instead; they may vanish there as here. */
  readonly standby: ClusterSettings | undefined;
  readonly checksumPage: boolean;
  /** @throws backup-mismatch when the repository belongs to another cluster */
  checkStanza(backupInfo: BackupInfo, archiveInfo: ArchiveInfo): void;
  /** Warns when page checksums are asked for that the cluster does not have. */
  checkPages(): void;
  /** Milliseconds since the epoch: the server's clock when online. */
  time(): Promise<number>;
  /** Undefined when offline. With a standby it returns when that one has caught up. */
  start(): Promise<StartPoint | undefined>;
  stop(): Promise<BackupStop | undefined>;
  abort(): Promise<void>;
  /** @throws db-mismatch when a server is no longer what it was */
  checkRole(): Promise<void>;
  tablespaceNames(): Promise<ReadonlyMap<number, string> | undefined>;
  manifestDatabases(): Promise<ManifestDatabase[]>;
  close(): Promise<void>;
}

export async function openBackupCluster(session: Session<'backup'>): Promise<BackupCluster> {
  const { values } = session.settings;
  if (values.online) return openOnline(session);
  if (values['backup-standby'] !== 'n') {
    session.log.warn(
      'option backup-standby is enabled but backup is offline - backups will be performed from the primary',
    );
  }
  return openOffline(session);
}

async function openOnline(session: Session<'backup'>): Promise<BackupCluster> {
  const found = await findSessionClusters(session, session.settings.values['backup-standby']);
  const { primary } = found;
  try {
    if (primary === undefined) throw new BackstopError('assert', 'no primary');
    const config = settingsOfCluster(session, primary);
    const standby = found.standby === undefined ? undefined : new Standby(session, found.standby, primary);
    return new OnlineCluster(session, primary, standby, config, await openClusterFiles(config));
  } catch (error) {
    await primary?.close();
    await found.standby?.close();
    throw error;
  }
}

async function openOffline(session: Session<'backup'>): Promise<BackupCluster> {
  const [config] = clusterSettings(session);
  if (config === undefined) throw new BackstopError('assert', 'no cluster');
  const files = await openClusterFiles(config);
  const forced = forcedVersion(session);
  const control = await readControl(files, config.path, { forcedVersion: forced });
  if ((await files.info(`${config.path}/postmaster.pid`)) !== undefined) {
    const message = `--no-online passed but postmaster.pid exists`;
    if (!session.settings.values.force) {
      throw new BackstopError('pg-running', `${message} - looks like PostgreSQL is running`, {
        hint: `stop PostgreSQL, or remove '${config.path}/postmaster.pid' when it is left over, and retry the backup.`,
      });
    }
    session.log.warn(
      `${message} and --force was passed - backup will continue though it looks like PostgreSQL is running and the backup will probably not be consistent`,
    );
  }
  return new OfflineCluster(session, config, files, control);
}

abstract class BaseCluster {
  readonly session: Session<'backup'>;
  readonly config: ClusterSettings;
  readonly files: Storage;
  readonly control: ControlData;

  constructor(session: Session<'backup'>, config: ClusterSettings, files: Storage, control: ControlData) {
    this.session = session;
    this.config = config;
    this.files = files;
    this.control = control;
  }

  get key(): number {
    return this.config.key;
  }

  get path(): string {
    return this.config.path;
  }

  get version(): PostgresVersion {
    return this.control.version;
  }

  /** On when the cluster has checksums; asked for without them, it is warned of and off. */
  get checksumPage(): boolean {
    return (this.session.settings.values['checksum-page'] ?? true) && this.control.checksums;
  }

  checkStanza(backupInfo: BackupInfo, archiveInfo: ArchiveInfo): void {
    const here = { version: this.version.text, systemId: this.control.systemId };
    const db = currentDb(backupInfo);
    if (!isSameDb(db, here)) {
      throw new BackstopError(
        'backup-mismatch',
        `PostgreSQL version ${here.version}, system-id ${here.systemId} do not match stanza version ${db.version}, system-id ${db.systemId}`,
        { hint: 'is this the correct stanza?' },
      );
    }
    const archive = currentDb(archiveInfo);
    if (this.session.settings.values['archive-check'] && (!isSameDb(archive, here) || archive.id !== db.id)) {
      throw new BackstopError('file-invalid', 'backup info file and archive info file do not match', {
        hint: 'this may be a symptom of repository corruption: run stanza-upgrade to repair it.',
      });
    }
  }

  checkPages(): void {
    if (this.session.settings.values['checksum-page'] === true && !this.control.checksums) {
      this.session.log.warn(
        'checksum-page option set to true but checksums are not enabled on the cluster, resetting to false',
      );
    }
  }
}

class OnlineCluster extends BaseCluster implements BackupCluster {
  readonly isOnline = true;
  readonly #server: Cluster;
  readonly #standby: Standby | undefined;

  constructor(
    session: Session<'backup'>,
    server: Cluster,
    standby: Standby | undefined,
    config: ClusterSettings,
    files: Storage,
  ) {
    super(session, config, files, server.control);
    this.#server = server;
    this.#standby = standby;
  }

  get standby(): ClusterSettings | undefined {
    return this.#standby?.settings;
  }

  time(): Promise<number> {
    return this.#server.time();
  }

  async start(): Promise<StartPoint> {
    const { log, settings } = this.session;
    const { values } = settings;
    checkSameCluster(this.#server, this.config);
    if (values['archive-check']) checkArchiving(this.#server, { modeCheck: values['archive-mode-check'] });
    const fast = values['start-fast'];
    const checkpoint = fast ? 'the requested immediate checkpoint' : 'the next regular checkpoint';
    const exclusive = this.version.backup === 'exclusive' ? 'exclusive' : '';
    log.info(
      `execute ${exclusive === '' ? '' : `${exclusive} `}backup start: backup begins after ${checkpoint} completes`,
    );
    const start = await this.#server.startBackup({
      fast,
      archiveCheck: values['archive-check'],
      stopAuto: values['stop-auto'],
    });
    log.info(`backup start archive = ${start.walName}, lsn = ${start.lsn}`);
    await this.#standby?.catchUp(start);
    return start;
  }

  async stop(): Promise<BackupStop> {
    const { log } = this.session;
    // the last look at the files is behind us: until then the servers must have been what they were
    await this.checkRole();
    await this.#standby?.close();
    const exclusive = this.version.backup === 'exclusive' ? 'exclusive ' : '';
    log.info(`execute ${exclusive}backup stop and wait for all WAL segments to archive`);
    const stop = await this.#server.stopBackup();
    log.info(`backup stop archive = ${stop.walName}, lsn = ${stop.lsn}`);
    return stop;
  }

  abort(): Promise<void> {
    return this.#server.abortBackup();
  }

  async checkRole(): Promise<void> {
    await this.#server.checkRole();
    await this.#standby?.checkRole();
  }

  async tablespaceNames(): Promise<ReadonlyMap<number, string>> {
    return new Map((await this.#server.tablespaces()).map(({ oid, name }) => [oid, name]));
  }

  async manifestDatabases(): Promise<ManifestDatabase[]> {
    const databases = await this.#server.databases();
    return databases
      .filter(({ oid, name }) => {
        // a line of the manifest cannot hold it, and nothing but selective restore needs the name
        if (!name.includes('\n')) return true;
        this.session.log.warn(
          `the name of the database with oid ${oid} has a line break: it is backed up, but a selective restore finds it by its oid only`,
        );
        return false;
      })
      .map(({ oid, name, lastSystemOid }) => ({ id: oid, name, lastSystemId: lastSystemOid }));
  }

  async close(): Promise<void> {
    await this.#standby?.close();
    await this.#server.close();
    await this.files.close();
  }
}

class OfflineCluster extends BaseCluster implements BackupCluster {
  readonly isOnline = false;
  readonly standby = undefined;

  async time(): Promise<number> {
    return this.session.clock.now();
  }

  async start(): Promise<undefined> {
    return undefined;
  }

  async stop(): Promise<undefined> {
    return undefined;
  }

  async abort(): Promise<void> {
    // nothing was begun
  }

  async checkRole(): Promise<void> {
    // files have no role
  }

  async tablespaceNames(): Promise<undefined> {
    return undefined;
  }

  async manifestDatabases(): Promise<ManifestDatabase[]> {
    return [];
  }

  async close(): Promise<void> {
    await this.files.close();
  }
}
