/** Finds out that times cannot be trusted, so that files must be compared by checksum (behaviour, section 4.2). Pure. */
import { parseWalName } from '../../postgres/wal.ts';
import type { Manifest } from '../../repo/manifest/manifest.ts';

/** @returns what speaks against trusting times, as warnings; none when they can be trusted */
export function deltaReasons(manifest: Manifest, prior: Manifest, walStart: string | undefined): string[] {
  const reasons: string[] = [];
  const { header } = manifest;
  const priorLabel = prior.header.label;
  const before = prior.header.archiveStop;
  if (walStart !== undefined && before !== undefined) {
    if (parseWalName(walStart).timeline !== parseWalName(before).timeline) {
      reasons.push(
        `a timeline switch has occurred since the ${priorLabel} backup, enabling delta checksum\nHINT: this is normal after restoring from backup or promoting a standby.`,
      );
    }
  }
  if (header.options.online !== prior.header.options.online) {
    reasons.push(`the online option has changed since the ${priorLabel} backup, enabling delta checksum`);
  }
  return reasons.length > 0 ? reasons : fileReasons(manifest, prior);
}

/** The first file whose time or size cannot be: one is enough. */
function fileReasons({ header, files }: Manifest, prior: Manifest): string[] {
  for (let index = 0; index < files.length; index++) {
    const time = files.timestamp(index);
    if (time > header.timestampCopyStart) {
      return [
        `file '${files.name(index)}' has timestamp (${time}) in the future (relative to copy start ${header.timestampCopyStart}), enabling delta checksum`,
      ];
    }
    const priorIndex = prior.files.find(files.name(index));
    if (priorIndex === undefined) continue;
    const priorTime = prior.files.timestamp(priorIndex);
    if (time < priorTime) {
      return [
        `file '${files.name(index)}' has timestamp earlier than prior backup (prior ${priorTime}, current ${time}), enabling delta checksum`,
      ];
    }
    const [size, priorSize] = [files.size(index), prior.files.get(priorIndex).sizeOriginal];
    if (time === priorTime && size !== priorSize) {
      return [
        `file '${files.name(index)}' has same timestamp (${time}) as prior but different size (prior ${priorSize}, current ${size}), enabling delta checksum`,
      ];
    }
  }
  return [];
}
