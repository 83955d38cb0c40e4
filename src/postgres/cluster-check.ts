/** Checks that the configuration, the files and the server speak of one cluster, and that it archives its WAL. */
import { BackstopError } from '../base/error.ts';
import type { Cluster, ClusterConfig } from './cluster.ts';

/**
 * @throws db-mismatch when the server runs on another data directory, or with another version, than the files we read
 */
export function checkSameCluster(cluster: Cluster, config: ClusterConfig): void {
  const { version } = cluster.control;
  if (cluster.version.key === version.key && cluster.dataDirectory === config.path) return;
  throw new BackstopError(
    'db-mismatch',
    `version '${cluster.version.text}' and path '${cluster.dataDirectory}' queried from cluster do not match version '${version.text}' and '${config.path}' read from '${config.path}/global/pg_control'`,
    { hint: `the pg${config.key}-path and pg${config.key}-port settings likely reference different clusters.` },
  );
}

export interface ArchivingOptions {
  /** Refuse archive_mode=always (option archive-mode-check). */
  readonly modeCheck: boolean;
}

/** @throws archive-disabled, feature-not-supported, archive-command-invalid */
export function checkArchiving(cluster: Cluster, options: ArchivingOptions): void {
  if (cluster.archiveMode === 'off') {
    throw new BackstopError('archive-disabled', 'archive_mode must be enabled', {
      hint: 'set archive_mode = on in postgresql.conf and restart PostgreSQL',
    });
  }
  if (cluster.archiveMode === 'always' && options.modeCheck) {
    throw new BackstopError('feature-not-supported', 'archive_mode=always not supported');
  }
  if (!/pgbackrest|pgbackstop/.test(cluster.archiveCommand)) {
    throw new BackstopError(
      'archive-command-invalid',
      `archive_command '${cluster.archiveCommand || '[null]'}' must contain pgbackrest or pgbackstop`,
    );
  }
}
