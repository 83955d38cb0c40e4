/**
 * The background of asynchronous archive-push (behaviour, section 5.1): pushes all that PostgreSQL has ready, and says so in
 * the spool. One file, or one repository, that fails does not keep the others from the archive.
 */
import { asBackstopError, BackstopError, isKind } from '../../base/error.ts';
import { openClusterStorage } from '../../storage/drivers.ts';
import { openRepo, repoSettings, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { claimSpool, globalStatus, makeSpoolPath, type SpoolPaths, spoolPaths, writeError } from '../spool.ts';
import { checkStopFile } from '../stop-file.ts';
import { OutQueue } from './out-queue.ts';
import { PushRun } from './push-run.ts';
import { archivingCluster } from './push-settings.ts';
import { beginOpening, closeAll, openPushTargets } from './push-target.ts';
import { QueueWatch } from './queue-watch.ts';

/** Milliseconds between two looks for new files once all are pushed, and how often that is done. */
const lingerPause = 50;
const lingerLooks = 5;

/**
 * Milliseconds after which a run makes room for the next one: it knows the configuration and the repositories as they were
 * when it began, and stanza commands want its lock.
 */
const longestRun = 30_000;

export async function pushInBackground(session: Session<'archive-push'>): Promise<undefined> {
  const { settings } = session;
  const [walPath, ...others] = settings.params;
  if (walPath === undefined || others.length > 0) {
    throw new BackstopError('param-required', 'WAL path to push required');
  }
  const { 'spool-path': spoolPath } = settings.values;
  if (spoolPath === undefined)
    throw new BackstopError('option-required', 'archive-push:async requires option: spool-path');
  const spool = spoolPaths(spoolPath, stanzaOf(session));
  try {
    checkStopFile(session);
    await pushAll(session, spool, walPath);
  } catch (thrown) {
    const error = asBackstopError(thrown);
    try {
      writeError(spool.out, globalStatus, error);
    } catch (unwritten) {
      session.log.warn(asBackstopError(unwritten).text);
    }
    throw error;
  }
}

async function pushAll(session: Session<'archive-push'>, spool: SpoolPaths, walPath: string): Promise<void> {
  const { log, clock, settings } = session;
  const started = clock.monotonic();
  const files = await openClusterStorage({ key: 1 });
  const cluster = await archivingCluster(session, files);
  if (cluster === undefined) throw new BackstopError('option-required', 'archive-push:async requires option: pg1-path');
  makeSpoolPath(spool.out);
  if (claimSpool(spool, cluster)) log.info('removed status files of another cluster from the spool');

  const queue = new OutQueue(spool.out, walPath);
  let waiting = queue.scan();
  if (waiting.length === 0) {
    // pushed between the look of the process that started us and ours
    if (queue.ready.length > 0) return;
    throw new BackstopError('assert', 'no WAL files to process', {
      hint: 'archive-push:async pushes what has a .ready file in archive_status.',
    });
  }
  const watch = QueueWatch.begin(session, queue, settings.values['archive-push-queue-max']);
  const opening = beginOpening(repoSettings(session), repo => openRepo(session, repo));
  let run: PushRun | undefined;
  try {
    run = new PushRun(session, queue, await openPushTargets(opening, cluster));
    for (let looks = 0; ; waiting = queue.scan()) {
      if (waiting.length > 0) {
        checkStopFile(session);
        await run.round(waiting, watch);
        looks = 0;
        if (clock.monotonic() - started > longestRun) break;
      } else {
        // a process that is there already answers sooner than a new one; but what failed is asked again by a new one only
        if (run.hasErrors || ++looks > lingerLooks) break;
        await clock.sleep(lingerPause);
      }
    }
    watch.settle();
    await run.cleanUp();
  } catch (error) {
    // what is let go must not be read any more: PostgreSQL writes the same file again, under another name
    await run?.close();
    if (watch.signal.aborted || isKind(error, 'repo-invalid')) watch.enforce();
    throw error;
  } finally {
    watch.end();
    await run?.close();
    await closeAll(opening);
  }
}
