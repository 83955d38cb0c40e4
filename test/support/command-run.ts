/** Runs one command inside the test's process, from its command line on; the log is recorded. */
import { systemClock } from '../../src/base/clock.ts';
import { type BackstopError, isBackstopError } from '../../src/base/error.ts';
import type { Log } from '../../src/base/log.ts';
import type { CommandModule, Session } from '../../src/command/session.ts';
import { StoreRequests } from '../../src/command/store-requests.ts';
import type { RunCommand } from '../../src/config/command.ts';
import { load } from '../../src/config/index.ts';

export interface CommandResult {
  /** `WARN: text`, in order, up to info. */
  readonly log: readonly string[];
  /** What the command printed as its result. */
  readonly output: string;
  readonly code: number | undefined;
  /** What ended the command, if it did not end well. */
  readonly error?: BackstopError;
}

/** @param argv command and options; no configuration file is read unless `--config` is among them */
export async function runCommand<C extends RunCommand>(
  module: CommandModule<C>,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  const log: string[] = [];
  let output = '';
  try {
    const hasConfig = argv.some(arg => arg.startsWith('--config'));
    const loaded = load(hasConfig ? argv : [...argv, '--no-config'], environment, '/usr/bin/pgbackstop');
    if (loaded.kind !== 'run') throw new TypeError(`not a command to run: ${argv.join(' ')}`);
    const session: Session = {
      settings: loaded.settings,
      log: recordingLog(log),
      clock: systemClock,
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
      afterwards: () => undefined,
      answeredFromSpool: () => undefined,
    };
    const code = await module.run(session as never);
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
