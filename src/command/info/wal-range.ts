/** First and last WAL segment of an archive. */
import type { ArchiveListing } from '../../repo/archive-listing.ts';
import type { WalRange } from './finding.ts';

const walFile = /^[0-9A-F]{24}-[0-9a-f]{40}(\.(gz|lz4|zst|bz2|xz))?$/;

/** Looks into the first and last directories only: an archive may hold a million segments. */
export async function findWalRange(listing: ArchiveListing): Promise<WalRange | undefined> {
  const directories = await listing.directories();
  const [min, max] = await Promise.all([
    firstSegment(listing, directories, (a, b) => a < b),
    firstSegment(listing, directories.toReversed(), (a, b) => a > b),
  ]);
  return min === undefined ? undefined : { min, max: max ?? min };
}

async function firstSegment(
  listing: ArchiveListing,
  directories: readonly string[],
  precedes: (a: string, b: string) => boolean,
): Promise<string | undefined> {
  for (const directory of directories) {
    let first: string | undefined;
    // a directory may hold nothing but backup history files
    for (const name of await listing.files(directory)) {
      if (walFile.test(name) && (first === undefined || precedes(name, first))) first = name;
    }
    if (first !== undefined) return first.slice(0, 24);
  }
  return undefined;
}
