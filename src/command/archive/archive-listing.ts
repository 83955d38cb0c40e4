/** The archive's directories as they were listed last, for one who looks for many segments. */
import type { WalName } from '../../postgres/wal.ts';
import { isWalName } from '../../postgres/wal.ts';
import type { ArchiveId } from '../../repo/history.ts';
import { type ArchivedWal, listWal } from '../../repo/wal-store.ts';
import { type ArchivedFile, type ArchiveSource, type FindIn, findIn } from './archived-file.ts';

type Directory = ReadonlyMap<WalName, readonly ArchivedWal[]>;

/**
 * Lists each directory of 256 segments (of 16 MiB) once for each archive, and keeps only those of the directory asked for
 * last.
 */
export class ArchiveListing {
  readonly #lists = new Map<string, Promise<Directory>>();
  #directory = '';

  /** As findIn(), from the lists. */
  readonly find: FindIn = async (source, archiveId, name) => {
    if (!isWalName(name)) return await findIn(source, archiveId, name);
    const found = (await this.#list(source, archiveId, name.slice(0, 16))).get(name) ?? [];
    return found.map((wal): ArchivedFile => ({ source, archiveId, path: wal.path, wal }));
  };

  /** Whether the answer for this segment comes from a list that was made before. */
  has(name: WalName): boolean {
    return this.#lists.size > 0 && this.#directory === name.slice(0, 16);
  }

  /** What is not in a list may be in the archive by now: the next answers come from new lists. */
  forget(): void {
    this.#lists.clear();
  }

  #list(source: ArchiveSource, archiveId: ArchiveId, directory: string): Promise<Directory> {
    if (directory !== this.#directory) {
      this.#lists.clear();
      this.#directory = directory;
    }
    const key = `${source.repo.key} ${archiveId}`;
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    const list = read(source, archiveId, directory);
    this.#lists.set(key, list);
    // a failure is told to who asks now; the next one may be luckier
    void list.catch(() => {
      if (this.#lists.get(key) === list) this.#lists.delete(key);
    });
    return list;
  }
}

async function read({ repo }: ArchiveSource, archiveId: ArchiveId, directory: string): Promise<Directory> {
  const groups = new Map<WalName, ArchivedWal[]>();
  for (const wal of await listWal(repo, archiveId, directory)) {
    if (wal.partial) continue;
    const group = groups.get(wal.segment);
    if (group === undefined) groups.set(wal.segment, [wal]);
    else group.push(wal);
  }
  return groups;
}
