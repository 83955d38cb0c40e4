/** The copies of the info files, as the stanza commands mend and tell of them. */
import type { Log } from '../../base/log.ts';
import { mendInfoCopies } from '../../repo/info-copies.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';

/**
 * The reference takes a stanza for valid, or up to date, when one copy of each info file is. The other one is the one that
 * is left when that is lost.
 * @returns whether anything had to be written
 */
export async function mendCopies(repo: StanzaRepo, log: Log): Promise<boolean> {
  const mended = await mendInfoCopies(repo);
  for (const path of mended)
    log.info(`'${repo.fullPath(path)}' was missing, damaged or old: written again from its copy`);
  return mended.length > 0;
}
