/** The clusters of the stanza being checked. */
import type { ClusterConfig } from '../../postgres/cluster.ts';
import { type FoundClusters, findClusters } from '../../postgres/find-cluster.ts';
import { type ClusterSettings, clusterSettings, forcedVersion, openClusterFiles } from '../open.ts';
import type { Session } from '../session.ts';

/** Connects to every configured cluster; keeps a primary and a standby if they are there, and demands neither. */
export function findStanzaClusters(session: Session<'check'>): Promise<FoundClusters> {
  return findClusters(clusterSettings(session), {
    command: 'check',
    timeout: session.settings.values['db-timeout'],
    forcedVersion: forcedVersion(session),
    standby: 'any',
    primaryRequired: false,
    storageOf: config => openClusterFiles(config as ClusterSettings),
    warn: message => session.log.warn(message),
    clock: session.clock,
  });
}

/**
 * Lists the data directory of every configured cluster, so that what may not be read is found out now.
 * @returns how many there are
 * @throws path-open
 */
export async function listClusterPaths(session: Session<'check'>): Promise<number> {
  const clusters = clusterSettings(session);
  for (const cluster of clusters) {
    const files = await openClusterFiles(cluster);
    try {
      await files.names(cluster.path);
    } finally {
      await files.close();
    }
  }
  return clusters.length;
}

/** The configuration of a cluster that was found. */
export function configOf(session: Session<'check'>, key: number): ClusterConfig {
  const config = clusterSettings(session).find(cluster => cluster.key === key);
  if (config === undefined) throw new TypeError(`no configuration for pg${key}`);
  return config;
}
