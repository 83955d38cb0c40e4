/**
 * Which options the tests give to the executable. While PGBACKSTOP_OPTION_COVERAGE names a folder, every command of ours
 * that `runAs` starts and that ends well leaves a line there for each option that it was given with a value of its own:
 * on the command line, in the environment or in a file, as the configuration layer resolves them.
 */
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isBackstopError } from '../../src/base/error.ts';
import { describeOption } from '../../src/config/describe.ts';
import { load } from '../../src/config/load.ts';
import { resolvedOf } from '../../src/config/resolved-settings.ts';

/** The folder that lines go to. */
export const coverageFolder = (): string | undefined => process.env.PGBACKSTOP_OPTION_COVERAGE;

/**
 * Asks before a command starts what it is given: a test may remove the configuration once it has ended.
 * @returns `COMMAND OPTION` for each option whose value differs from its default; empty when it is no command of ours
 */
export function optionsGiven(argv: readonly string[], environment: NodeJS.ProcessEnv): string[] {
  const launcher = argv.findIndex(word => word.endsWith('/bin/pgbackstop.cjs'));
  if (launcher < 0) return [];
  try {
    const loaded = load(argv.slice(launcher + 1), environment, argv[launcher] ?? '');
    if (loaded.kind !== 'run') return [];
    const resolved = resolvedOf(loaded.settings);
    return [...resolved.slots.keys()]
      .filter(
        name =>
          [...(resolved.slots.get(name)?.values() ?? [])].some(({ negated }) => negated) ||
          describeOption(resolved, name).some(({ current, fallback }) => current !== undefined && current !== fallback),
      )
      .map(name => `${loaded.settings.command} ${name}`);
  } catch (error) {
    // the command will end so too
    if (isBackstopError(error)) return [];
    throw error;
  }
}

/** Writes down what a command was given that has ended well. */
export function noteOptions(given: readonly string[], folder: string): void {
  if (given.length > 0) appendFileSync(join(folder, String(process.pid)), `${given.join('\n')}\n`);
}

/** Everything that was written down: `COMMAND OPTION`. */
export function notedOptions(folder: string): ReadonlySet<string> {
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return new Set(
    files.flatMap(name => readFileSync(join(folder, name), 'utf8').split('\n')).filter(line => line !== ''),
  );
}
