/** Where the segments of a round are already: each directory of a repository is listed once, whatever their number. */
import { isWalSegmentFile } from '../../postgres/wal.ts';
import { forAll } from '../../repo/object-store.ts';
import { type ArchivedWal, checkDuplicates, listWal } from '../../repo/wal-store.ts';
import type { PushTarget } from './push-target.ts';

/** What one repository has of the files that were asked for, by their names. */
export interface FoundSegments {
  /** The segment as it is there; undefined when it is not. @throws archive-duplicate when it is there with two contents */
  get(name: string): ArchivedWal | undefined;
}

/**
 * @param names of files; only segments are looked for
 * @throws file-missing when the repository is not there any more
 */
export async function findSegments(target: PushTarget, names: readonly string[]): Promise<FoundSegments> {
  await target.repo.checkPresence();
  const directories = new Map<string, string[]>();
  for (const name of names) {
    if (!isWalSegmentFile(name)) continue;
    const directory = name.slice(0, 16);
    const others = directories.get(directory);
    if (others === undefined) directories.set(directory, [name]);
    else others.push(name);
  }
  const copies = new Map<string, ArchivedWal[]>();
  await forAll([...directories], async ([directory, segments]) => {
    const { repo, archiveId } = target;
    for (const wal of await listWal(repo, archiveId, directory, commonPrefix(segments, directory))) {
      const name = `${wal.segment}${wal.partial ? '.partial' : ''}`;
      const others = copies.get(name);
      if (others === undefined) copies.set(name, [wal]);
      else others.push(wal);
    }
  });
  return {
    get: name => {
      const found = copies.get(name) ?? [];
      checkDuplicates(name, found);
      return found[0];
    },
  };
}

/** What the names of all files begin with: a list of a few neighbours need not be that of the whole directory. */
function commonPrefix(names: readonly string[], least: string): string {
  let prefix = (names[0] ?? least).slice(0, 24);
  for (const name of names) while (!name.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix;
}
