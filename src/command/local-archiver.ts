/** What is known on this host of a stanza's archiving: info and check tell of it. */
import { isBackstopError } from '../base/error.ts';
import { isFor, load, processArguments } from '../config/index.ts';
import type { AnySettings, Settings } from '../config/settings.ts';
import type { Storage } from '../storage/storage.ts';
import { findWaitingWal, type WaitingWal } from './archive-lag.ts';
import { type DroppedWal, readDroppedWal } from './dropped-wal.ts';
import { clusterSettings, openClusterFiles, type RepoSession } from './open.ts';
import { isSpoolOf, spoolPaths } from './spool.ts';

export interface LocalArchiver {
  readonly waiting: WaitingWal;
  /** Of the cluster; to be closed. */
  readonly files: Storage;
  readonly dropped: readonly DroppedWal[];
}

/**
 * @param tell is told why something is not known
 * @returns undefined when the stanza's cluster is not on this host, or cannot be read
 */
export async function lookAtArchiver(
  session: Pick<RepoSession, 'log' | 'clock' | 'requests' | 'environment'> & { readonly settings: AnySettings },
  stanza: string,
  tell: (message: string) => void,
): Promise<LocalArchiver | undefined> {
  const settings = archiverSettings(session, stanza, tell);
  if (settings?.clusters[0]?.values.path === undefined) return undefined;
  const [cluster] = clusterSettings({ ...session, settings });
  if (cluster === undefined || cluster.remoteHost !== undefined) return undefined;
  const files = await openClusterFiles(cluster);
  try {
    const waiting = await findWaitingWal(files, cluster.path, settings.values['pg-version-force']);
    return { waiting, files, dropped: readDropped(settings.values['spool-path'], stanza, waiting, tell) };
  } catch (error) {
    await files.close();
    if (!isBackstopError(error)) throw error;
    tell(`unable to look at the WAL that waits in '${cluster.path}': ${error.text}`);
    return undefined;
  }
}

/**
 * The settings that archive-push has with this configuration and environment. They have a spool-path even when archiving
 * is not asynchronous: it may have been.
 */
export function archiverSettings(
  { settings, environment }: { readonly settings: AnySettings; readonly environment: NodeJS.ProcessEnv },
  stanza: string,
  tell: (message: string) => void,
): Settings<'archive-push'> | undefined {
  const replace = new Map<string, string | boolean>([
    ['stanza', stanza],
    ['archive-async', true],
  ]);
  const argv = processArguments(settings, { command: 'archive-push', role: 'main', argumentsOnly: true, replace });
  try {
    const loaded = load(argv, environment, settings.program);
    return loaded.kind === 'run' && isFor(loaded.settings, 'archive-push') ? loaded.settings : undefined;
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    tell(`archive-push of stanza '${stanza}' could not run: ${error.text}`);
    return undefined;
  }
}

function readDropped(
  spoolPath: string | undefined,
  stanza: string,
  cluster: WaitingWal,
  tell: (message: string) => void,
): readonly DroppedWal[] {
  if (spoolPath === undefined) return [];
  try {
    const paths = spoolPaths(spoolPath, stanza);
    return isSpoolOf(paths, cluster) ? readDroppedWal(paths.root) : [];
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    tell(error.text);
    return [];
  }
}
