/** What the environment and the configuration files hold, as it stands there: for `check --report`. */
import { isBackstopError } from '../base/error.ts';
import { parseArguments } from './argv.ts';
import { readConfigFiles } from './config-file.ts';
import { environmentPrefix, readEnvironment, writtenName } from './environment.ts';
import { isRedacted } from './option.ts';
import { findOption } from './option-name.ts';
import { quoteName } from './quote.ts';
import { optionRepeats, optionRule } from './table.ts';
import { withoutPassword } from './values.ts';

export type ReportedOption = {
  /** What is written; `<NAME>` for a secret, a list for an option that repeats. Absent when the option is unknown. */
  readonly val?: string | readonly string[];
  /** Why it does not count. */
  readonly warn?: string;
};

export type ReportedOptions = { readonly [name: string]: ReportedOption };

export type ConfigReport = {
  /** By variable. */
  readonly env: ReportedOptions;
  /** By section; null when there is no configuration file. */
  readonly file: { readonly [section: string]: ReportedOptions } | null;
};

/**
 * @param argv a command line, which says where the configuration files are
 * @throws as load() does when a file cannot be read
 */
export function configReport(argv: readonly string[], environment: NodeJS.ProcessEnv): ConfigReport {
  const { command, role, given } = parseArguments(argv);
  // the place of the files may come from the environment; what is wrong in it stands in the report
  readEnvironment(environment, command, role, given, () => undefined);
  const ini = readConfigFiles(given);
  return {
    env: Object.fromEntries(
      Object.entries(environment).flatMap(([variable, text]) =>
        variable.startsWith(environmentPrefix) && text !== undefined
          ? [[variable, reported(writtenName(variable), [text], text.split(':'))]]
          : [],
      ),
    ),
    file:
      ini === undefined
        ? null
        : Object.fromEntries(
            [...ini].map(([section, options]) => [
              section,
              Object.fromEntries([...options].map(([key, texts]) => [quoteName(key), reported(key, texts, texts)])),
            ]),
          ),
  };
}

/** @param list the texts, should the option repeat */
function reported(written: string, texts: readonly string[], list: readonly string[]): ReportedOption {
  let found: ReturnType<typeof findOption>;
  try {
    found = findOption(written);
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    return { warn: error.message };
  }
  // nothing is told of the value: it may be meant for a secret whose name is misspelt
  if (found === undefined) return { warn: 'invalid option' };
  const rule = optionRule(found.name);
  const val = optionRepeats(rule)
    ? list.map(withoutPassword)
    : isRedacted(rule)
      ? `<${written}>`
      : withoutPassword(texts[0] ?? '');
  if (!found.negated && !found.reset) return { val };
  return { val, warn: `invalid ${found.negated ? 'negate' : 'reset'} option` };
}
