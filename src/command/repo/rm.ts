/** `repo-rm`: removes a file, or a directory, of the repository. */
import { BackstopError } from '../../base/error.ts';
import type { Session } from '../session.ts';
import { withRepository } from './open.ts';
import { repoPath, requiredPath } from './path.ts';

export async function run(session: Session<'repo-rm'>): Promise<undefined> {
  const { params, values } = session.settings;
  const given = requiredPath(params, 'path');
  await withRepository(session, async ({ settings, storage }) => {
    const path = repoPath(given, settings.path);
    const info = await storage.info(path);
    if (info?.type === 'file' || info?.type === 'link') {
      await storage.remove(path);
      return;
    }
    if (!values.recurse && (await storage.names(path)).length > 0) {
      throw new BackstopError('option-invalid', 'recurse option must be used to delete non-empty path', {
        hint: `--recurse removes all that is in '${given}'.`,
      });
    }
    await storage.removeTree(path);
  });
}
