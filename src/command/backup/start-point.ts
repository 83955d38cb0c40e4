import type { WalName } from '../../postgres/wal.ts';

/** Where WAL of the backup starts. */
export interface StartPoint {
  readonly lsn: string;
  readonly walName: WalName;
  /** The segment before: it must come to the archive while the backup runs. Only with archive-check. */
  readonly walNameBefore?: WalName;
}
