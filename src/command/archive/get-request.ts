/** What archive-get is asked for, and by which cluster. */
import { basename } from 'node:path';
import { BackstopError } from '../../base/error.ts';
import { hasRestoreMarker, readControl } from '../../postgres/control.ts';
import { openClusterStorage } from '../../storage/drivers.ts';
import { forcedVersion, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { type SpoolPaths, spoolPaths } from '../spool.ts';
import type { ClusterIdentity } from './push-target.ts';
import { walPathOf } from './wal-parameter.ts';

export interface GetRequest {
  /** As PostgreSQL asks for it. */
  readonly name: string;
  /** Absolute path on this host. */
  readonly destination: string;
}

/** @throws param-required, param-invalid */
export function readRequest({ settings }: Session<'archive-get'>): GetRequest {
  const [request, path, ...others] = settings.params;
  if (request === undefined) throw new BackstopError('param-required', 'WAL segment to get required');
  if (path === undefined) throw new BackstopError('param-required', 'path to copy WAL segment required');
  if (others.length > 0) throw new BackstopError('param-invalid', 'extra parameters found');
  const dataDirectory = settings.clusters[0]?.values.path;
  return { name: basename(request), destination: walPathOf(path, dataDirectory, settings.command) };
}

export interface RequestingCluster {
  readonly identity: ClusterIdentity;
  /** Bytes. */
  readonly walSegmentSize: number;
}

/**
 * Reads from pg_control whose WAL is wanted.
 * @throws format when recovery would start where the backup does not say
 */
export async function readCluster(session: Session<'archive-get'>): Promise<RequestingCluster> {
  const dataDirectory = session.settings.clusters[0]?.values.path;
  if (dataDirectory === undefined) {
    throw new BackstopError('option-required', 'archive-get command requires option: pg1-path');
  }
  const files = await openClusterStorage({ key: 1 });
  const control = await readControl(files, dataDirectory, {
    forcedVersion: forcedVersion(session),
    clock: session.clock,
  });
  if (hasRestoreMarker(control) && (await files.info(`${dataDirectory}/backup_label`)) === undefined) {
    throw new BackstopError('format', 'pg_control from backup is not valid without backup_label', {
      hint: 'was the backup_label file removed?',
    });
  }
  return {
    identity: { version: control.version.text, systemId: control.systemId },
    walSegmentSize: control.walSegmentSize,
  };
}

export function spoolPathsOf(session: Session<'archive-get'>): SpoolPaths {
  const spool = session.settings.values['spool-path'];
  if (spool === undefined)
    throw new BackstopError('option-required', 'asynchronous archive-get requires option: spool-path');
  return spoolPaths(spool, stanzaOf(session));
}
