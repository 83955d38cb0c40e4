/**
 * Starts the background process of asynchronous archiving. It gets the archive locks from us, still locked: there is no
 * moment in which another process could take them, and none in which two run.
 */
import { asBackstopError, BackstopError } from '../../base/error.ts';
import { type Lock, tryLock } from '../../base/lock.ts';
import { type AnySettings, processArguments } from '../../config/index.ts';
import { firstInherited, lockPaths } from '../lock-paths.ts';
import type { Session } from '../session.ts';

/** A background process that this one has started. */
export interface Background {
  /** Whether it is still there. */
  readonly isRunning: boolean;
  /** How it has ended; null while it runs, and when it was killed. */
  readonly exitCode: number | null;
}

/**
 * Starts the process, if no other one holds the archive locks.
 * @param params what it gets after its command
 * @param prepare what is to be done while nobody else can write status files: first of all, to remove errors of the past
 * @returns undefined when somebody else holds a lock: their work is to be waited for
 * @throws execute when it cannot be started, lock-acquire when a lock file cannot be made
 */
export async function startBackground(
  session: Session<'archive-push'> | Session<'archive-get'>,
  params: readonly string[],
  prepare: () => void,
): Promise<Background | undefined> {
  const { settings, execId, environment } = session;
  const locks: Lock[] = [];
  try {
    for (const path of lockPaths(settings, 'archive')) {
      const lock = tryLock(path, execId);
      if (lock === undefined) return undefined;
      locks.push(lock);
    }
    prepare();
    const background = await spawnBackground(settings, environment, params, locks);
    for (const lock of locks) lock.leave();
    return background;
  } finally {
    for (const lock of locks) lock.release();
  }
}

async function spawnBackground(
  settings: AnySettings,
  environment: NodeJS.ProcessEnv,
  params: readonly string[],
  locks: readonly Lock[],
): Promise<Background> {
  const [, program = ''] = process.argv;
  const options = processArguments(settings, {
    command: settings.command,
    role: 'async',
    // nobody listens: what it has to say is in its log and in the spool
    replace: new Map([
      ['log-level-console', 'off'],
      ['log-level-stderr', 'off'],
    ]),
    argumentsOnly: true,
  });
  // to load the module takes up to five milliseconds, and most calls start no process
  const { spawn } = process.getBuiltinModule('node:child_process');
  const child = spawn(process.execPath, [...process.execArgv, program, ...options, ...params], {
    detached: true,
    // it works with the same repositories: secrets that the environment has for us are for it, too
    env: environment,
    // the descriptors of the locks stand where run.ts looks for them
    stdio: [...Array<'ignore'>(firstInherited).fill('ignore'), ...locks.map(lock => lock.descriptor ?? 'ignore')],
  });
  const started = new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  try {
    await started;
  } catch (error) {
    throw new BackstopError('execute', `unable to start the background process: ${asBackstopError(error).message}`, {
      cause: error,
    });
  }
  child.unref();
  return {
    get isRunning() {
      return child.exitCode === null && child.signalCode === null;
    },
    get exitCode() {
      return child.exitCode;
    },
  };
}
