/** Reads `PGBACKREST_*` variables: `PGBACKREST_REPO1_PATH` is `repo1-path`. */
import type { CommandName, CommandRole } from './command.ts';
import { invalidValue } from './config-error.ts';
import type { GivenOptions } from './given.ts';
import { findOption } from './option-name.ts';
import { quoteName } from './quote.ts';
import { optionIsValid, optionRepeats, optionRule } from './table.ts';

export const environmentPrefix = 'PGBACKREST_';

/** The option that a variable names, as it would be written in a file. */
export const writtenName = (variable: string): string =>
  variable.slice(environmentPrefix.length).toLowerCase().replaceAll('_', '-');

/**
 * Removes secrets from the environment of this process: the programs that it starts need none of them, and Node would write
 * them into its reports (`--report-on-fatalerror`). AWS's own variables stay, as programs that give credentials look at them.
 * @param environment `process.env`
 * @returns the environment as it was
 */
export function takeSecrets(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const secret = Object.keys(environment).filter(isSecretVariable);
  if (secret.length === 0) return environment;
  const given = { ...environment };
  for (const name of secret) delete environment[name];
  return given;
}

/** Also where it is misspelt: its value is as secret. */
const isSecretVariable = (name: string): boolean =>
  name === 'PGPASSWORD' || (name.startsWith(environmentPrefix) && /PASS|KEY|SECRET|TOKEN/.test(name));

/**
 * Adds what the environment has for the command and the command line has not.
 * @param warn told of names that mean nothing; they are ignored
 * @throws option-invalid, option-invalid-value
 */
export function readEnvironment(
  environment: NodeJS.ProcessEnv,
  command: CommandName,
  role: CommandRole,
  given: GivenOptions,
  warn: (message: string) => void,
): void {
  for (const variable in environment) {
    if (!variable.startsWith(environmentPrefix)) continue;
    const text = environment[variable];
    if (text === undefined) continue;
    const written = writtenName(variable);

    const found = findOption(written);
    if (found === undefined || found.negated || found.reset) {
      const what = found === undefined ? '' : found.negated ? 'negate ' : 'reset ';
      warn(`environment contains invalid ${what}option '${quoteName(written)}'`);
      continue;
    }
    if (!optionIsValid(found.name, command, role)) continue;
    if (text === '') throw invalidValue(`environment variable '${written}' must have a value`);
    if (given.get(found.name, found.key) !== undefined) continue;

    const rule = optionRule(found.name);
    const boolean = rule.type === 'boolean';
    if (boolean && text !== 'y' && text !== 'n') {
      throw invalidValue(`environment boolean option '${written}' must be 'y' or 'n'`);
    }
    given.set(found.name, found.key, {
      source: 'environment',
      negated: boolean && text === 'n',
      reset: false,
      texts: boolean ? [] : optionRepeats(rule) ? text.split(':') : [text],
    });
  }
}
