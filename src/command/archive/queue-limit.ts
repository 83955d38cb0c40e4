/** archive-push-queue-max: rather lose WAL than fill the disk of the cluster. */
import { basename, dirname } from 'node:path';
import { asBackstopError } from '../../base/error.ts';
import { formatSize } from '../../base/units.ts';
import { recordDroppedWal } from '../dropped-wal.ts';
import { archiverSettings } from '../local-archiver.ts';
import { stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { spoolPaths } from '../spool.ts';
import { readyFiles, sizesOf } from './ready-files.ts';

/** A file that PostgreSQL holds. */
export interface HeldFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** `done`: PostgreSQL lets go of it once it gets there; `busy`: it is being read, and must stay as it is. */
  readonly state: 'done' | 'busy' | 'waiting';
}

/**
 * Which files to let go, so that PostgreSQL holds no more than the limit. It lets go of files in their order only: behind one
 * that cannot be pushed it holds all, also those that are in the archive. So it is always the oldest that goes.
 * @param held everything that PostgreSQL holds, in its order
 * @param limit bytes
 */
export function chooseDrops(held: readonly HeldFile[], limit: number): HeldFile[] {
  const drops: HeldFile[] = [];
  let rest = held.reduce((sum, { size }) => sum + size, 0);
  for (const file of held) {
    if (rest <= limit) break;
    if (file.state === 'waiting') drops.push(file);
    rest -= file.size;
  }
  return drops;
}

/** @param limit bytes */
export function dropWarning(name: string, limit: number): string {
  return `dropped WAL file '${name}' because archive queue exceeded ${formatSize(limit)}`;
}

/**
 * Lets the file go when more than the limit waits: it is the oldest, as PostgreSQL asks for them in their order.
 * @param walFile absolute path of the segment to push; the cluster's archive_status lies beside it
 * @param limit bytes
 * @returns whether it was let go
 */
export function dropForQueueLimit(session: Session<'archive-push'>, walFile: string, limit: number): boolean {
  const walPath = dirname(walFile);
  const ready = readyFiles(walPath);
  const sizes = sizesOf(walPath, ready);
  if (ready.reduce((sum, name) => sum + sizes.of(name), 0) <= limit) return false;
  const name = basename(walFile);
  noteDrops(session, [{ name, size: sizes.of(name) }], sizes.segment);
  session.log.warn(dropWarning(name, limit));
  return true;
}

/**
 * Keeps a record, where info and check find it. That there can be none is no reason to fill the cluster's disk.
 * @param files in the order of their names
 * @param segmentSize bytes
 */
export function noteDrops(
  session: Session<'archive-push'>,
  files: readonly { readonly name: string; readonly size: number }[],
  segmentSize: number,
): void {
  const { log, clock, settings } = session;
  const stanza = stanzaOf(session);
  // without archive-async nobody asks for a spool, but there may be one
  const asynchronous = archiverSettings(session, stanza, message => log.warn(message));
  const spool = settings.values['spool-path'] ?? asynchronous?.values['spool-path'];
  if (spool === undefined) return;
  try {
    const { root } = spoolPaths(spool, stanza);
    const damage = recordDroppedWal(root, files, segmentSize, Math.floor(clock.now() / 1000));
    if (damage !== undefined) log.warn(`${damage.message}; a new one is begun`);
  } catch (error) {
    log.warn(`unable to keep a record of dropped WAL: ${asBackstopError(error).text}`);
  }
}
