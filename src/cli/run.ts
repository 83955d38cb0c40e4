/** Runs one command: log, root check, umask, begin line, locks, the command itself, end line (behaviour, section 2). */
import { randomBytes } from 'node:crypto';
import { setPriority } from 'node:os';
import { systemClock } from '../base/clock.ts';
import { asBackstopError, BackstopError } from '../base/error.ts';
import { acquireLock, adoptLock, type Lock } from '../base/lock.ts';
import { type LogLevel, ProcessLog, writeResult } from '../base/log.ts';
import { commandModules } from '../command/index.ts';
import { firstInherited, lockPaths } from '../command/lock-paths.ts';
import { logFile } from '../command/log-file.ts';
import type { CommandModule, Session, SpoolAnswer } from '../command/session.ts';
import { describeRequests, StoreRequests } from '../command/store-requests.ts';
import { commandRoleName, commands, type RunCommand } from '../config/command.ts';
import { type AfterBegin, exposureWarnings, formatOptions, formatParams, type Settings } from '../config/index.ts';
import type { Call } from './first-step.ts';
import { progressTeller } from './progress.ts';
import { restoreCommandCode } from './restore-command-code.ts';

export interface RunContext {
  readonly version: string;
  readonly threadFile: string;
  /** Problems of the configuration that do not stop the command. */
  readonly warnings: readonly string[];
  /** What is said, or ends the command, once it has begun and holds its locks. */
  readonly afterBegin: AfterBegin;
  /** Stanzas that the configuration files name. */
  readonly stanzas: readonly string[];
  readonly call: Call;
}

/** @returns the exit code; never throws */
export async function runCommand(settings: Settings, context: RunContext): Promise<number> {
  const clock = systemClock;
  const started = clock.monotonic();
  const { values } = settings;
  const timestamp = values['log-timestamp'] ?? true;
  const log = new ProcessLog(
    {
      console: (values['log-level-console'] ?? 'warn') as LogLevel,
      stderr: (values['log-level-stderr'] ?? 'off') as LogLevel,
      file: (values['log-level-file'] ?? 'info') as LogLevel,
      timestamp,
      ...('process-max' in values && Number(values['process-max']) > 99 ? { processDigits: 3 } : {}),
      ...('dry-run' in values && values['dry-run'] === true ? { prefix: '[DRY-RUN] ' } : {}),
    },
    clock,
  );
  for (const warning of context.warnings) log.plain('warn', warning);
  const held: Lock[] = [];
  const requests = new StoreRequests();
  let begun = false;
  const rule = commands[settings.command];
  const line = (text: string) => (rule.logLevel === 'info' ? log.info(text) : log.debug('cli::run', text));
  /** What runs now, and since when. */
  let current = { name: commandRoleName(settings.command, settings.role), started };

  const end = (outcome: CommandOutcome): void => {
    if (outcome.error !== undefined) log.error(outcome.error);
    if (!begun) return;
    const duration = timestamp ? ` (${Math.round(clock.monotonic() - current.started)}ms)` : '';
    line(
      outcome.error === undefined
        ? `${current.name} command end: completed successfully${duration}`
        : `${current.name} command end: aborted with exception [${String(outcome.code).padStart(3, '0')}]`,
    );
  };
  /** Ends the command in the log, frees the locks. After it nothing is said any more. @returns the code of the process */
  const finish = (outcome: CommandOutcome, code = outcome.code): number => {
    if (begun) for (const text of describeRequests(requests.summaries())) log.detail(text);
    end(outcome);
    for (const lock of held.reverse()) {
      try {
        lock.release();
      } catch (error) {
        // the lock itself is free: only a file stays, which is in nobody's way
        log.warn(asBackstopError(error).text);
      }
    }
    held.length = 0;
    log.closeFile();
    if (settings.command !== 'archive-get' || settings.role !== 'main') return code;
    return restoreCommandCode(code, [settings.clusters[0]?.values.path]);
  };
  endOnSignals(signal => {
    const error = new BackstopError('term', `terminated on signal ${signal}`);
    return finish({ code: error.code, error });
  });

  try {
    checkUser(settings.command, values['allow-root'] ?? false);
    if (values['neutral-umask'] ?? true) process.umask(0);
    if (values.priority !== undefined) takePriority(values.priority);
    const execId = values['exec-id'] ?? `${process.pid}-${randomBytes(4).toString('hex')}`;
    const logFileRoles: readonly string[] = rule.logFileRoles;
    if (logFileRoles.includes(settings.role) || settings.source('log-level-file') === 'argument') {
      log.openFile(logFile(settings));
    }
    begun = true;
    line(beginLine(settings, context.version, execId));
    held.push(...takeLocks(settings, execId));
    const exposed = exposureWarnings(settings, context.call.places);
    for (const warning of [...exposed, ...context.afterBegin.warnings]) log.warn(warning);
    if (context.afterBegin.error !== undefined) throw context.afterBegin.error;
    const afterwards: Settings[] = [];
    const answers: SpoolAnswer[] = [];
    const session: Session = {
      settings,
      log,
      clock,
      version: context.version,
      execId,
      threadFile: context.threadFile,
      environment: context.call.environment,
      locks: held,
      stanzas: context.stanzas,
      progress: progressTeller(settings, held, clock),
      requests,
      print: writeResult,
      afterwards: next => void afterwards.push(next as unknown as Settings),
      answeredFromSpool: answer => void answers.push(answer),
    };
    let outcome = await outcomeOf(session);
    const codes = [outcome.code];
    for (const next of afterwards) {
      end(outcome);
      session.progress(undefined);
      current = { name: commandRoleName(next.command, next.role), started: clock.monotonic() };
      line(beginLine(next, context.version, execId));
      outcome = await outcomeOf({ ...session, settings: next });
      codes.push(outcome.code);
    }
    const [answer] = answers;
    const warned = context.warnings.length > 0 || context.afterBegin.warnings.length > 0;
    if (answer !== undefined && codes[0] === 0 && !warned) {
      const { keepFirstStep } = await import('./first-step.ts');
      keepFirstStep(settings, answer, context.call);
    }
    return finish(
      outcome,
      codes.find(code => code !== 0),
    );
  } catch (thrown) {
    const error = asBackstopError(thrown);
    return finish({ code: error.code, error });
  }
}

function beginLine(settings: Settings, version: string, execId: string): string {
  const name = commandRoleName(settings.command, settings.role);
  return `${name} command begin ${version}:${formatParams(settings)}${formatOptions(settings, execId)}`;
}

/** How a command has ended. */
interface CommandOutcome {
  readonly code: number;
  readonly error?: BackstopError;
}

async function outcomeOf(session: Session): Promise<CommandOutcome> {
  try {
    return { code: (await runModule(session)) ?? 0 };
  } catch (thrown) {
    const error = asBackstopError(thrown);
    return { code: error.code, error };
  }
}

/** @throws feature-not-supported for a command that is known, but not built */
async function runModule(session: Session): Promise<number | undefined> {
  const { command } = session.settings;
  const load = commandModules[command] as (() => Promise<CommandModule<RunCommand>>) | undefined;
  if (load === undefined) {
    throw new BackstopError(
      'feature-not-supported',
      `command '${command}' is not supported by this version of pgbackstop`,
      { hint: 'the command and its options are known, but it is not built yet.' },
    );
  }
  return await (await load()).run(session as never);
}

/** @throws option-invalid when root runs a command without leave */
function checkUser(command: string, allowRoot: boolean): void {
  if (process.geteuid?.() === 0 && !allowRoot) {
    throw new BackstopError('option-invalid', `the '${command}' command must not be run as the root user`, {
      hint: "run it as the user that owns the repository, such as 'postgres' or 'pgbackrest', or set allow-root=y.",
    });
  }
}

/** @throws kernel when this user may not have it */
function takePriority(priority: number): void {
  try {
    setPriority(priority);
  } catch (error) {
    // Node puts what the system said one level deeper here
    const { info } = error as { readonly info?: { readonly errno: number; readonly message: string } };
    const reason = info === undefined ? String(error) : `[${-info.errno}] ${info.message}`;
    throw new BackstopError('kernel', `unable to set process priority to ${priority}: ${reason}`, { cause: error });
  }
}

/**
 * Takes the locks of a command. A process that was started with them in its hands takes those over: there is no moment
 * in which nobody holds them.
 */
function takeLocks(settings: Settings, execId: string): Lock[] {
  const rule = commands[settings.command];
  const roles: readonly string[] = rule.lockRoles;
  if (!roles.includes(settings.role)) return [];
  const locks: Lock[] = [];
  try {
    for (const [index, path] of lockPaths(settings, rule.lock).entries()) {
      const inherited = settings.role === 'main' ? undefined : adoptLock(path, firstInherited + index, execId);
      locks.push(inherited ?? acquireLock(path, execId));
    }
  } catch (error) {
    for (const lock of locks) lock.release();
    throw error;
  }
  return locks;
}

/**
 * Ends at once on a signal. Every durable step is safe against a kill at any moment, so there is nothing to wait for; the
 * server gives up a backup whose session ends.
 */
function endOnSignals(finish: (signal: NodeJS.Signals) => number): void {
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => process.exit(finish(signal)));
  }
  // Node would open a port on which every user of the host can debug this process: read its secrets, run code as its user
  process.on('SIGUSR1', () => undefined);
  // a reader of our output that goes away must not end a backup
  process.on('SIGPIPE', () => undefined);
}
