/** Opens what a session's settings describe: repositories and clusters. */

import type { Clock } from '../base/clock.ts';
import { BackstopError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Cluster, ClusterConfig } from '../postgres/cluster.ts';
import type { FindClustersOptions, FoundClusters } from '../postgres/find-cluster.ts';
import { StanzaRepo } from '../repo/stanza-repo.ts';
import { openClusterStorage, openRepoStorage, type RepoSettings, type StorageContext } from '../storage/drivers.ts';
import type { Storage } from '../storage/storage.ts';
import { type S3OptionSource, type S3Options, s3Settings } from './s3-settings.ts';
import type { StoreRequests } from './store-requests.ts';

/** What is read of a session here; every command that has a stanza and repositories fits. */
export interface RepoSession {
  readonly settings: S3OptionSource & {
    readonly command: string;
    readonly values: {
      readonly repo?: number | undefined;
      readonly stanza?: string | undefined;
      readonly 'db-timeout'?: number | undefined;
      readonly 'pg-version-force'?: string | undefined;
    };
    readonly repos: readonly {
      readonly key: number;
      readonly values: {
        readonly type?: RepoSettings['type'] | undefined;
        readonly path?: string | undefined;
        readonly 'cipher-type'?: string | undefined;
        readonly 'cipher-pass'?: string | undefined;
        readonly host?: string | undefined;
      } & S3Options;
    }[];
    readonly clusters: readonly {
      readonly key: number;
      readonly values: {
        readonly path?: string | undefined;
        readonly port?: number | undefined;
        readonly database?: string | undefined;
        readonly 'socket-path'?: string | undefined;
        readonly user?: string | undefined;
        readonly host?: string | undefined;
      };
    }[];
  };
  readonly log: Log;
  readonly clock: Clock;
  readonly environment: NodeJS.ProcessEnv;
  readonly requests: StoreRequests;
}

/** The repositories of the session as plain data, in key order; with `--repo` only that one. */
export function repoSettings(session: RepoSession): RepoSettings[] {
  const { settings } = session;
  const wanted = settings.values.repo;
  return settings.repos
    .filter(({ key }) => wanted === undefined || key === wanted)
    .map(({ key, values }) => ({
      key,
      type: values.type ?? 'posix',
      path: values.path ?? '/var/lib/pgbackrest',
      ...(values['cipher-type'] === 'aes-256-cbc' && values['cipher-pass'] !== undefined
        ? { cipherPass: values['cipher-pass'] }
        : {}),
      ...(values.host === undefined ? {} : { host: values.host }),
      ...(values.type === 's3' && values.host === undefined
        ? { s3: s3Settings(settings, key, values, process.env), requests: session.requests.of(key) }
        : {}),
    }));
}

/** Opens one repository for the session's stanza. */
export async function openRepo(
  session: RepoSession,
  settings: RepoSettings,
  stanza = stanzaOf(session),
): Promise<StanzaRepo> {
  return new StanzaRepo(settings, await openRepoStorage(settings, storageContext(session, settings)), stanza);
}

/** Where nobody said which key is to be taken, check says which one was found. */
export function storageContext({ log, settings: { command } }: RepoSession, settings: RepoSettings): StorageContext {
  const asked = command === 'check' && settings.s3?.credentials.keyType === 'default';
  return { debug: message => (asked ? log.info(message) : log.debug('storage::s3', message)) };
}

/** The stanza, for commands that require one. */
export function stanzaOf(session: RepoSession): string {
  const { stanza } = session.settings.values;
  if (stanza === undefined) throw new BackstopError('assert', 'command without stanza');
  return stanza;
}

/** What is known of a configured cluster. */
export interface ClusterSettings extends ClusterConfig {
  /** The host it is on, when that is not this one. */
  readonly remoteHost?: string;
}

/** The clusters of the session as plain data, in key order. */
export function clusterSettings(session: RepoSession): ClusterSettings[] {
  return session.settings.clusters.map(({ key, values }) => {
    if (values.path === undefined) throw new BackstopError('option-required', `command requires option: pg${key}-path`);
    return {
      key,
      path: values.path,
      port: values.port ?? 5432,
      database: values.database ?? 'postgres',
      ...(values['socket-path'] === undefined ? {} : { socketPath: values['socket-path'] }),
      ...(values.user === undefined ? {} : { user: values.user }),
      ...(values.host === undefined ? {} : { remoteHost: values.host }),
    };
  });
}

/** The configuration of a cluster that was found by it. */
export function settingsOfCluster(session: RepoSession, { key }: Pick<Cluster, 'key'>): ClusterSettings {
  const settings = clusterSettings(session).find(other => other.key === key);
  if (settings === undefined) throw new BackstopError('assert', `no settings of pg${key}`);
  return settings;
}

/** Storage of a configured cluster's files. Paths are absolute. */
export function openClusterFiles(cluster: ClusterSettings): Promise<Storage> {
  return openClusterStorage({
    key: cluster.key,
    ...(cluster.remoteHost === undefined ? {} : { host: cluster.remoteHost }),
  });
}

/**
 * Connects to the configured clusters and tells primary from standby.
 * @param standby whether a standby is wanted
 */
export async function findSessionClusters(
  session: RepoSession,
  standby: FindClustersOptions['standby'],
  primaryRequired = true,
): Promise<FoundClusters> {
  const { values, command } = session.settings;
  // archive commands open repositories too, and never a server
  const { findClusters } = await import('../postgres/find-cluster.ts');
  return findClusters(clusterSettings(session), {
    command,
    timeout: values['db-timeout'] ?? 1_800_000,
    forcedVersion: forcedVersion(session),
    standby,
    primaryRequired,
    storageOf: config => openClusterFiles(config as ClusterSettings),
    warn: message => session.log.warn(message),
    clock: session.clock,
    environment: session.environment,
  });
}

/** The option pg-version-force of the first cluster. */
export function forcedVersion(session: RepoSession): string | undefined {
  return session.settings.values['pg-version-force'];
}

export type { Cluster };
