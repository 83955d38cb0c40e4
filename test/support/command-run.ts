/** Runs one command inside the test's process, from its command line on; the log is recorded. */
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { type BackstopError, isBackstopError } from '../../src/base/error.ts';
import type { Log } from '../../src/base/log.ts';
import { commandModules } from '../../src/command/index.ts';
import type { CommandModule, Session } from '../../src/command/session.ts';
import { StoreRequests } from '../../src/command/store-requests.ts';
import type { RunCommand } from '../../src/config/command.ts';
import { load, type Settings } from '../../src/config/index.ts';

export interface CommandResult {
  /** `WARN: text`, in order, up to info. */
  readonly log: readonly string[];
  /** What the command printed as its result. */
  readonly output: string;
  readonly code: number | undefined;
  /** What ended the command, if it did not end well. */
  readonly error?: BackstopError;
}

/** What a test puts in the place of what a process has. */
export interface RunHooks {
  readonly clock?: Clock;
  /** Whether what a command has run after it does run: expire after a backup. */
  readonly followUp?: boolean;
}

/** @param argv command and options; no configuration file is read unless `--config` is among them */
export async function runCommand<C extends RunCommand>(
  module: CommandModule<C>,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  { clock = systemClock, followUp = false }: RunHooks = {},
): Promise<CommandResult> {
  const log: string[] = [];
  const following: Settings[] = [];
  let output = '';
  try {
    const hasConfig = argv.some(arg => arg.startsWith('--config'));
    const loaded = load(hasConfig ? argv : [...argv, '--no-config'], environment, '/usr/bin/pgbackstop');
    if (loaded.kind !== 'run') throw new TypeError(`not a command to run: ${argv.join(' ')}`);
    const session: Session = {
      settings: loaded.settings,
      log: recordingLog(log),
      clock,
      version: '0.0.0-test',
      execId: `${process.pid}-00000000`,
      threadFile: '',
      environment,
      stanzas: loaded.stanzas,
      locks: [],
      requests: new StoreRequests(),
      progress: () => undefined,
      print: text => {
        output += text;
      },
      afterwards: next => void (followUp && following.push(next as unknown as Settings)),
      answeredFromSpool: () => undefined,
    };
    const code = await module.run(session as never);
    for (const settings of following) {
      const loadModule = commandModules[settings.command] as (() => Promise<CommandModule<RunCommand>>) | undefined;
      await (await loadModule?.())?.run({ ...session, settings } as never);
    }
    return { log, output, code };
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    return { log, output, code: error.code, error };
  }
}

function recordingLog(lines: string[]): Log {
  const log: Log = {
    error: error => void lines.push(`ERROR: [${error.code}]: ${error.text}`),
    warn: message => void lines.push(`WARN: ${message}`),
    info: message => void lines.push(`INFO: ${message}`),
    detail: () => undefined,
    debug: () => undefined,
    trace: () => undefined,
    enabled: level => level === 'info' || level === 'warn' || level === 'error',
    worker: () => log,
    withPrefix: () => log,
  };
  return log;
}
