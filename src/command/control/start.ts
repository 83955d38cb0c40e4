/** `start`: lets the commands of a stanza begin again after `stop` (behaviour, section 3). */
import { unlinkSync } from 'node:fs';
import { systemError } from '../../base/error.ts';
import type { Session } from '../session.ts';
import { stopFile } from '../stop-file.ts';

export async function run(session: Session<'start'>): Promise<undefined> {
  const { stanza, 'lock-path': lockPath } = session.settings.values;
  const path = stopFile(lockPath, stanza);
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw systemError(error, { other: 'file-remove' }, `unable to remove stop file '${path}'`);
    }
    session.log.warn(`stop file does not exist${stanza === undefined ? '' : ` for stanza ${stanza}`}`);
  }
}
