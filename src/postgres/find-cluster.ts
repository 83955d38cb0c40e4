/** Finds out which of the configured clusters is the primary and which a standby, by asking each. */
import { asBackstopError, BackstopError, isKind } from '../base/error.ts';
import type { Storage } from '../storage/storage.ts';
import { type Cluster, type ClusterConfig, type OpenClusterOptions, openCluster } from './cluster.ts';

export interface FindClustersOptions extends Omit<OpenClusterOptions, 'storage'> {
  /** Storage of the files of one configured cluster. */
  readonly storageOf: (config: ClusterConfig) => Storage | Promise<Storage>;
  /**
   * Whether a standby is wanted (option backup-standby): `y` must be there, `prefer` warns and goes on with the primary,
   * `n` does not even keep one. `any` keeps one without asking for it.
   */
  readonly standby: 'y' | 'n' | 'prefer' | 'any';
  /** False: all clusters may be in recovery or away. */
  readonly primaryRequired?: boolean;
  /** How a cluster is reached, openCluster when absent: clusters on other hosts come in here. */
  readonly open?: (config: ClusterConfig, options: OpenClusterOptions) => Promise<Cluster>;
}

export interface FoundClusters {
  readonly primary?: Cluster;
  /** The first standby. */
  readonly standby?: Cluster;
}

/**
 * Asks every configured cluster; one that cannot be asked is a warning. What is found is open and the caller's to close.
 * @throws db-connect when there are two primaries, or not the clusters that are required; feature-not-supported when one
 *   of these may be where this version cannot ask
 */
export async function findClusters(
  configs: readonly ClusterConfig[],
  options: FindClustersOptions,
): Promise<FoundClusters> {
  let primary: Cluster | undefined;
  let standby: Cluster | undefined;
  let outOfReach: BackstopError | undefined;
  try {
    for (const config of configs) {
      const cluster = await tryOpen(config, options);
      if (cluster instanceof BackstopError) {
        if (isKind(cluster, 'feature-not-supported')) outOfReach ??= cluster;
        continue;
      }
      if (!cluster.isStandby) {
        if (primary !== undefined) {
          await cluster.close();
          throw new BackstopError('db-connect', 'more than one primary cluster found', {
            hint: `are pg${primary.key} and pg${cluster.key} configured for the same stanza by mistake?`,
          });
        }
        primary = cluster;
      } else if (standby === undefined && options.standby !== 'n') {
        standby = cluster;
      } else {
        await cluster.close();
      }
    }
    if (primary === undefined && (options.primaryRequired ?? true)) {
      throw (
        outOfReach ??
        new BackstopError('db-connect', 'unable to find primary cluster - cannot proceed', {
          hint: 'are all available clusters in recovery?',
        })
      );
    }
    if (standby === undefined && options.standby === 'y') {
      throw outOfReach ?? new BackstopError('db-connect', 'unable to find standby cluster - cannot proceed');
    }
    if (standby === undefined && options.standby === 'prefer') {
      options.warn('unable to find a standby to perform the backup, using primary instead');
    }
  } catch (error) {
    await primary?.close();
    await standby?.close();
    throw error;
  }
  return { ...(primary === undefined ? {} : { primary }), ...(standby === undefined ? {} : { standby }) };
}

/** @returns why the cluster cannot be asked, when that is not a mistake of ours */
async function tryOpen(config: ClusterConfig, options: FindClustersOptions): Promise<Cluster | BackstopError> {
  const { storageOf, open = openCluster, ...rest } = options;
  try {
    return await open(config, { ...rest, storage: await storageOf(config) });
  } catch (error) {
    const reason = asBackstopError(error);
    if (reason.kind === 'unhandled') throw error;
    options.warn(`unable to check pg${config.key}: [${reason.name}] ${reason.text}`);
    return reason;
  }
}
