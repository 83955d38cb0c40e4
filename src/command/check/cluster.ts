/** The clusters of the stanza being checked. */
import { clusterSettings, openClusterFiles } from '../open.ts';
import type { Session } from '../session.ts';

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
