/** The command line: arguments to settings, settings to a command, its outcome to an exit code. */
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { asBackstopError, type BackstopError } from '../base/error.ts';
import { ProcessLog, writeAll } from '../base/log.ts';
import { configStage, type Loaded, load, takeSecrets } from '../config/index.ts';
import { compatibleLevel, formatVersion } from './version.ts';

declare const __VERSION__: string;

/** Version of this package, set at build time. */
export const version = __VERSION__;

/**
 * Runs the program.
 * @param argv arguments after the program
 * @param program path as called
 * @returns the exit code
 */
export async function main(argv: readonly string[], environment: NodeJS.ProcessEnv, program: string): Promise<number> {
  // before the first other program is started
  const given = takeSecrets(environment);
  let loaded: Loaded;
  try {
    loaded = load(argv, given, program);
  } catch (thrown) {
    const code = reportLoadError(asBackstopError(thrown));
    if (!argv.includes('archive-get')) return code;
    const { restoreCommandCode, unloadedDataDirectories } = await import('./restore-command-code.ts');
    return restoreCommandCode(code, unloadedDataDirectories(argv, environment));
  }
  switch (loaded.kind) {
    case 'version':
      writeAll(1, formatVersion(version, loaded.output));
      return 0;
    case 'help': {
      const { formatHelp } = await import('./help.ts');
      writeAll(1, formatHelp(loaded.request, `pgBackRest ${compatibleLevel}`));
      return 0;
    }
    case 'run': {
      const { runCommand } = await import('./run.ts');
      return await runCommand(loaded.settings, {
        version,
        threadFile: join(__dirname, 'thread.cjs'),
        warnings: loaded.warnings,
        afterBegin: loaded.afterBegin,
        stanzas: loaded.stanzas,
        call: {
          argv,
          environment: given,
          file: __filename,
          began: systemClock.now() - process.uptime() * 1000,
          places: loaded.places,
        },
      });
    }
  }
}

/** Errors of the command line's form go to stderr; those found when values are checked are log lines without a time. */
function reportLoadError(error: BackstopError): number {
  const syntax = error.kind === 'unhandled' || configStage(error) !== 'validate';
  const log = new ProcessLog(
    { console: syntax ? 'off' : 'warn', stderr: syntax ? 'error' : 'off', file: 'off', timestamp: false },
    systemClock,
  );
  for (const warning of syntax ? [] : warningsOf(error)) log.plain('warn', warning);
  log.error(error);
  return error.code;
}

/** Warnings that a configuration error brings along; read by field, as its stage is. */
function warningsOf(error: BackstopError): readonly string[] {
  const { warnings } = error as { readonly warnings?: readonly string[] };
  return warnings ?? [];
}
