/** The clusters that a stanza has had: one entry per version and system id, the newest is the current one. */
import { BackstopError } from '../base/error.ts';

export interface DbHistory {
  /** History id, from 1. */
  readonly id: number;
  /** `15`, `9.6` */
  readonly version: string;
  readonly systemId: bigint;
  /** Known in backup.info only. */
  readonly catalogVersion?: number;
  readonly controlVersion?: number;
}

/** `15-1`: the name of a directory in the archive. */
export type ArchiveId = string & { readonly __brand: 'ArchiveId' };

export const archiveIdOf = (db: Pick<DbHistory, 'id' | 'version'>): ArchiveId => `${db.version}-${db.id}` as ArchiveId;

/** What an entry of a history begins with. Both become the name of a directory, so that neither may be just anything. */
export function historyKeyOf(key: string, version: string): Pick<DbHistory, 'id' | 'version'> {
  if (!/^[1-9]\d{0,8}$/.test(key)) throw new BackstopError('format', `history has an invalid id '${key}'`);
  if (!/^\d{1,4}(\.\d{1,4})?$/.test(version)) {
    throw new BackstopError('format', `history entry ${key} has an invalid version '${version}'`);
  }
  return { id: Number(key), version };
}

/** @throws format when the history does not hold the current id */
export function currentDb(info: { readonly currentId: number; readonly history: readonly DbHistory[] }): DbHistory {
  const found = info.history.find(db => db.id === info.currentId);
  if (found === undefined)
    throw new BackstopError('format', `history has no entry for the current id ${info.currentId}`);
  return found;
}

/** True when both name the same cluster. */
export const isSameDb = (
  a: Pick<DbHistory, 'version' | 'systemId'>,
  b: Pick<DbHistory, 'version' | 'systemId'>,
): boolean => a.version === b.version && a.systemId === b.systemId;
