/** Decides, from the manifest of the cluster and of the prior backup, which files are copied and which are references. Pure. */
import { mayVanish } from '../../postgres/files.ts';
import type { BackupLabel } from '../../repo/label.ts';
import { emptyChecksum, type Manifest, storedIn } from '../../repo/manifest/manifest.ts';

export interface BackupPlan {
  /** Indexes of the files that are read. */
  readonly copy: readonly number[];
  /** Bytes of the files that are read. */
  readonly copySize: number;
  /** Indexes of the empty files that a bundled backup has in its manifest only. */
  readonly empty: readonly number[];
  /** Indexes of the files taken over from the prior backup unread, with the label that stores them. */
  readonly references: readonly { readonly index: number; readonly label: BackupLabel }[];
}

/**
 * Plans the copy and writes what is taken over from the prior into the manifest.
 * @param delta compare every file by checksum instead of trusting its time
 */
export function planBackup(manifest: Manifest, prior: Manifest | undefined, delta: boolean): BackupPlan {
  const copy: number[] = [];
  const empty: number[] = [];
  const references: { index: number; label: BackupLabel }[] = [];
  let copySize = 0;
  for (let index = 0; index < manifest.files.length; index++) {
    const priorIndex = prior?.files.find(manifest.files.name(index));
    if (prior !== undefined && priorIndex !== undefined) {
      const size = manifest.files.size(index);
      const same = size === prior.files.size(priorIndex) && prior.files.hasChecksum(priorIndex);
      if (
        same &&
        !(size === 0 && manifest.header.bundle) &&
        (size === 0 ||
          (!delta &&
            prior.files.timestamp(priorIndex) === manifest.files.timestamp(index) &&
            !isBehind(prior, priorIndex)))
      ) {
        references.push({ index, label: takeOver(manifest, index, prior, priorIndex) });
        continue;
      }
    }
    if (manifest.header.bundle && manifest.files.size(index) === 0) {
      manifest.files.noteCopied(index, notStored);
      empty.push(index);
      continue;
    }
    copy.push(index);
    copySize += manifest.files.size(index);
  }
  return { copy, copySize, empty, references };
}

/**
 * Whether a backup from a standby may hold an older content of a file than the primary had at the time in its manifest.
 * Times are the primary's, and what it wrote after the backup's start may not have come to the standby's files when they
 * were copied. The WAL of that backup would bring it back, that of a later backup would not.
 */
export function isBehind({ header, files }: Manifest, index: number): boolean {
  if (header.options.backupStandby !== true || files.timestamp(index) < header.timestampStart) return false;
  return mayVanish(files.name(index));
}

/** What is known of an empty file that is in the manifest only. */
const notStored = {
  size: 0,
  sizeRepo: 0,
  checksum: emptyChecksum,
  bundleId: 0,
  bundleOffset: 0,
  blockMapSize: 0,
} as const;

/**
 * Makes a file of the manifest a reference to what the prior backup has.
 * @returns label of the backup that stores the bytes
 */
export function takeOver(manifest: Manifest, index: number, prior: Manifest, priorIndex: number): BackupLabel {
  const label = storedIn(prior, { reference: prior.files.reference(priorIndex) });
  manifest.files.takeContent(index, prior.files, priorIndex, emptyChecksum, label);
  return label;
}
