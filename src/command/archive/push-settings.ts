/** What a push is told by the session, whether it is done at once or in the background. */
import { readControl } from '../../postgres/control.ts';
import type { Storage } from '../../storage/storage.ts';
import { forcedVersion } from '../open.ts';
import type { Session } from '../session.ts';
import type { PushFileOptions } from './push-file.ts';
import type { ClusterIdentity } from './push-target.ts';
import { largestRead } from './wal-parameter.ts';

/** How files are read and stored: plain data, which a thread can be given. */
export function pushOptions(session: Session<'archive-push'>): Omit<PushFileOptions, 'codecs' | 'cluster' | 'find'> {
  const { values } = session.settings;
  const type = values['compress-type'];
  const version = forcedVersion(session);
  return {
    bufferSize: Math.min(values['buffer-size'], largestRead),
    ...(type === 'none' ? {} : { compression: { type, level: values['compress-level'] } }),
    ...(version === undefined ? {} : { forcedVersion: version }),
  };
}

/** Who the cluster is by its pg_control; undefined when nobody said where it is. */
export async function archivingCluster(
  session: Session<'archive-push'>,
  files: Storage,
): Promise<ClusterIdentity | undefined> {
  const dataDirectory = session.settings.clusters[0]?.values.path;
  if (dataDirectory === undefined) return undefined;
  const { version, systemId } = await readControl(files, dataDirectory, {
    forcedVersion: forcedVersion(session),
    clock: session.clock,
  });
  return { version: version.text, systemId };
}

/** @param repoName as in `repo1` */
export function alreadyThere(name: string, repoName: string): string {
  return `WAL file '${name}' already exists in the ${repoName} archive with the same checksum\nHINT: this is valid in some recovery scenarios but may also indicate a problem.`;
}
