/** archive-push: PostgreSQL's archive_command gives one file to all repositories (behaviour, section 5.1). */
import { BackstopError } from '../../base/error.ts';
import type { Session } from '../session.ts';
import { checkStopFile } from '../stop-file.ts';
import { walPathOf } from './wal-parameter.ts';

export async function run(session: Session<'archive-push'>): Promise<undefined> {
  const { settings } = session;
  const [cluster] = settings.clusters;
  if (cluster?.values.host !== undefined) {
    throw new BackstopError('host-invalid', 'archive-push command must be run on the PostgreSQL host');
  }
  if (settings.role === 'async') {
    const { pushInBackground } = await import('./push-background.ts');
    return await pushInBackground(session);
  }
  const [parameter, ...others] = settings.params;
  if (parameter === undefined || others.length > 0) {
    throw new BackstopError('param-required', 'WAL segment to push required');
  }
  checkStopFile(session);
  const walFile = walPathOf(parameter, cluster?.values.path, settings.command);
  if (settings.values['archive-async']) {
    const { waitForPush } = await import('./push-wait.ts');
    return await waitForPush(session, walFile);
  }
  const { pushNow } = await import('./push-now.ts');
  return await pushNow(session, walFile);
}
