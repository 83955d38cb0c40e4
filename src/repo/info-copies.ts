/** Brings the two copies of each info file in line again: a save that ended between them leaves the copy of before it. */
import { isBackstopError } from '../base/error.ts';
import { UnreachableError } from '../storage/unreachable.ts';
import { decodeArchiveInfo } from './archive-info.ts';
import { decodeBackupInfo } from './backup-info.ts';
import { archiveInfoFile, backupInfoFile, copySuffix } from './layout.ts';
import { infoLimit, type StanzaRepo } from './stanza-repo.ts';
import { readStored } from './stored.ts';

/**
 * Whoever says that a stanza is as it should be says it of both copies. The file counts where both are sound, since it is always
 * written first; else the one that is sound. Only under the locks of a command that writes info files.
 * @returns the paths that were written again; none where neither copy is sound, as loading them tells
 */
export async function mendInfoCopies(repo: StanzaRepo): Promise<string[]> {
  const kinds = [
    { path: archiveInfoFile(repo.stanza), check: decodeArchiveInfo },
    { path: backupInfoFile(repo.stanza), check: decodeBackupInfo },
  ];
  const pairs = await Promise.all(
    kinds.map(async ({ path, check }) => {
      const copy = path + copySuffix;
      return { path, copy, contents: await Promise.all([path, copy].map(file => soundContent(repo, file, check))) };
    }),
  );
  const mended: string[] = [];
  for (const { path, copy, contents } of pairs) {
    const [inFile, inCopy] = contents;
    // the same content may be stored in two ways, as each encryption has a salt of its own
    if (inFile === undefined ? inCopy === undefined : inCopy?.equals(inFile)) continue;
    const [sound, wrong] = inFile === undefined ? [copy, path] : [path, copy];
    await repo.copy(sound, wrong);
    mended.push(wrong);
  }
  return mended;
}

/** @returns undefined for what is missing, damaged or cannot be read: the other copy takes its place */
async function soundContent(
  { storage, settings }: StanzaRepo,
  path: string,
  check: (plain: Buffer) => unknown,
): Promise<Buffer | undefined> {
  try {
    const plain = await readStored(storage, path, settings.cipherPass, infoLimit);
    check(plain);
    return plain;
  } catch (error) {
    if (!isBackstopError(error) || error instanceof UnreachableError) throw error;
    return undefined;
  }
}
