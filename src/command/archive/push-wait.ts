/**
 * The foreground of asynchronous archive-push: it never pushes itself. It looks at the spool until the background process
 * has an answer, and starts that process where none is at work.
 */
import { basename, dirname } from 'node:path';
import { BackstopError, errorKindOf, isKind } from '../../base/error.ts';
import { openClusterStorage } from '../../storage/drivers.ts';
import { logFile } from '../log-file.ts';
import { stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import {
  claimSpool,
  clearErrors,
  isSpoolOf,
  makeSpoolPath,
  okSuffix,
  readStatus,
  removeSpoolFile,
  type SpoolPaths,
  type SpoolStatus,
  spoolPaths,
  warningOf,
} from '../spool.ts';
import { type Background, startBackground } from './background.ts';
import { archivingCluster } from './push-settings.ts';
import type { ClusterIdentity } from './push-target.ts';
import { writtenAt } from './ready-files.ts';

/** Milliseconds between two looks at the spool: a segment that is on its way is there in a moment. */
const firstPause = 2;
const longestPause = 100;
/** Milliseconds between two attempts to start a background process. */
const firstStartPause = 20;
const longestStartPause = 1000;

/**
 * @param walFile absolute path of the file
 * @throws archive-timeout, and what the background process says of the file
 */
export async function waitForPush(session: Session<'archive-push'>, walFile: string): Promise<undefined> {
  const { log, clock, settings } = session;
  const timeout = settings.values['archive-timeout'];
  const deadline = clock.monotonic() + timeout;
  const name = basename(walFile);
  const wait = await PushWait.begin(session, walFile);
  let status = wait.firstLook();
  for (let pause = firstPause; status === undefined; pause = Math.min(pause * 1.5, longestPause)) {
    if (clock.monotonic() >= deadline) {
      throw new BackstopError(
        'archive-timeout',
        `unable to push WAL file '${name}' to the archive asynchronously after ${timeout / 1000} second(s)`,
        { hint: `check '${logFile(settings, 'async')}' for errors.` },
      );
    }
    await wait.startWhereNeeded();
    await clock.sleep(pause);
    status = wait.look();
  }
  if (status.kind === 'error') throw status.error;
  if (status.note !== undefined) log.warn(warningOf(name, status.note));
  log.info(`pushed WAL file '${name}' to the archive asynchronously`);
  wait.tellAnswer();
}

class PushWait {
  readonly #session: Session<'archive-push'>;
  readonly #walFile: string;
  readonly #name: string;
  readonly #spool: SpoolPaths;
  readonly #cluster: ClusterIdentity;
  #background: Background | undefined;
  #failedBefore = false;
  #nextStart = 0;
  #startPause = firstStartPause;

  constructor(session: Session<'archive-push'>, walFile: string, spool: SpoolPaths, cluster: ClusterIdentity) {
    this.#session = session;
    this.#walFile = walFile;
    this.#name = basename(walFile);
    this.#spool = spool;
    this.#cluster = cluster;
  }

  /** @throws option-required without pg1-path, and what is wrong with pg_control */
  static async begin(session: Session<'archive-push'>, walFile: string): Promise<PushWait> {
    const { 'spool-path': spoolPath } = session.settings.values;
    if (spoolPath === undefined) throw new BackstopError('assert', 'asynchronous archive-push without spool-path');
    const cluster = await archivingCluster(session, await openClusterStorage({ key: 1 }));
    if (cluster === undefined) {
      throw new BackstopError('option-required', "'archive-push' command in async mode requires option 'pg1-path'");
    }
    return new PushWait(session, walFile, spoolPaths(spoolPath, stanzaOf(session)), cluster);
  }

  /** So that the next answer can be given without us. */
  tellAnswer(): void {
    const { settings, answeredFromSpool } = this.#session;
    const clusterPath = settings.clusters[0]?.values.path;
    if (clusterPath !== undefined) answeredFromSpool({ folder: this.#spool.out, clusterPath });
  }

  /** An error that is there already is one of the past: it is removed, so that the file is tried again. */
  firstLook(): SpoolStatus | undefined {
    try {
      const status = this.look();
      if (status?.kind !== 'error') return status;
    } catch (error) {
      if (!isKind(error, 'format')) throw error;
      // a status that nobody understands is of no use to anybody
      removeSpoolFile(`${this.#spool.out}/${this.#name}${okSuffix}`);
    }
    clearErrors(this.#spool.out, this.#name);
    return undefined;
  }

  /** @returns what is known of the file, by a status that can be believed */
  look(): SpoolStatus | undefined {
    const status = readStatus(this.#spool.out, this.#name);
    if (status === undefined || !isSpoolOf(this.#spool, this.#cluster)) return undefined;
    // of a file of the same name that was there before: the cluster was restored since
    if (status.kind === 'ok' && status.mtime < (writtenAt(this.#walFile) ?? 0)) return undefined;
    return status;
  }

  /**
   * Starts the background process when none is at work, and another one when ours has ended without a word for this file:
   * killed, or too early to see it.
   * @throws the kind of the background process's end, when it has failed and could not even say why
   */
  async startWhereNeeded(): Promise<void> {
    if (this.#background?.isRunning === true) return;
    const { clock } = this.#session;
    if (clock.monotonic() < this.#nextStart) return;
    const code = this.#background?.exitCode;
    if (typeof code === 'number' && code !== 0 && this.look() === undefined) {
      // once it may be that another foreground process has cleared what was written
      if (this.#failedBefore) throw this.#silentFailure(code);
      this.#failedBefore = true;
    }
    this.#background = await startBackground(this.#session, [dirname(this.#walFile)], () => {
      makeSpoolPath(this.#spool.out);
      claimSpool(this.#spool, this.#cluster);
      if (this.look()?.kind !== 'ok') clearErrors(this.#spool.out, this.#name);
    });
    this.#nextStart = clock.monotonic() + this.#startPause;
    this.#startPause = Math.min(this.#startPause * 2, longestStartPause);
  }

  #silentFailure(code: number): BackstopError {
    return new BackstopError(
      errorKindOf(code) ?? 'execute',
      `unable to push WAL file '${this.#name}': the background process has failed [${code}] and could not write why`,
      {
        hint: [
          `check '${logFile(this.#session.settings, 'async')}' for errors.`,
          `is the file system of '${this.#spool.root}' full, or not to be written to?`,
        ],
      },
    );
  }
}
