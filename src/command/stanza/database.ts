/** The cluster that a stanza is for, as its server or its files tell. */
import { checkSameCluster } from '../../postgres/cluster-check.ts';
import { type ControlData, readControl } from '../../postgres/control.ts';
import {
  type ClusterSettings,
  clusterSettings,
  findSessionClusters,
  forcedVersion,
  openClusterFiles,
  settingsOfCluster,
} from '../open.ts';
import type { Session } from '../session.ts';

/**
 * Online: asks the servers for the primary, and checks that server and files belong together. Offline: reads pg_control
 * of pg1.
 * @throws db-connect without a primary, db-mismatch, and what reading pg_control throws
 */
export async function readStanzaDatabase(
  session: Session<'stanza-create'> | Session<'stanza-upgrade'>,
): Promise<ControlData> {
  if (!session.settings.values.online) {
    const [first] = clusterSettings(session);
    // the configuration always has a pg1
    return await readOffline(first as ClusterSettings, forcedVersion(session));
  }
  const { primary } = await findSessionClusters(session, 'n');
  if (primary === undefined) throw new TypeError('a required primary was not found');
  try {
    checkSameCluster(primary, settingsOfCluster(session, primary));
    return primary.control;
  } finally {
    await primary.close();
  }
}

async function readOffline(cluster: ClusterSettings, version: string | undefined): Promise<ControlData> {
  const files = await openClusterFiles(cluster);
  try {
    return await readControl(files, cluster.path, { forcedVersion: version });
  } finally {
    await files.close();
  }
}
