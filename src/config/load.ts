/** From the command line to settings: the one way in. */
import { BackstopError } from '../base/error.ts';
import { type CommandLine, parseArguments } from './argv.ts';
import { type AfterBegin, crossCheck } from './check.ts';
import type { CommandName } from './command.ts';
import { ConfigError, invalidOption } from './config-error.ts';
import { type ConfigPlaces, readConfigFiles, readSections, stanzaNames } from './config-file.ts';
import { readEnvironment } from './environment.ts';
import { noKey } from './given.ts';
import { findOption } from './option-name.ts';
import { quoteName } from './quote.ts';
import { resolve } from './resolve.ts';
import type { Resolved } from './resolved.ts';
import { slotOf } from './resolved.ts';
import { ResolvedSettings } from './resolved-settings.ts';
import type { Settings } from './settings.ts';
import { type OptionName, optionIsValid } from './table.ts';

/** What `help` was asked for. */
export interface HelpRequest {
  /** Undefined: the list of commands. */
  readonly command: CommandName | undefined;
  /** The option to explain; undefined: the command itself. */
  readonly option: OptionName | undefined;
  /** The configuration as the command would find it, for current values; undefined for the list of commands. */
  readonly resolved: Resolved | undefined;
}

export type Loaded =
  | {
      readonly kind: 'run';
      readonly settings: Settings;
      /** To print before anything else, without timestamp, as the stage `validate` is. */
      readonly warnings: readonly string[];
      /** To log (or throw) once `command begin` is logged and the locks are held. */
      readonly afterBegin: AfterBegin;
      /** The stanzas that the configuration files name. */
      readonly stanzas: readonly string[];
      readonly places: ConfigPlaces;
    }
  | { readonly kind: 'help'; readonly request: HelpRequest; readonly warnings: readonly string[] }
  | { readonly kind: 'version'; readonly output: 'text' | 'num' };

/**
 * Loads the configuration of one run.
 * @param argv without node and script
 * @param program the path by which this program was called: the default of `cmd`
 * @throws ConfigError, whose stage says how to print it
 */
export function load(argv: readonly string[], environment: NodeJS.ProcessEnv, program: string): Loaded {
  const line = parseArguments(argv);
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  try {
    return loadLine(line, environment, program, warn, warnings);
  } catch (error) {
    if (!(error instanceof BackstopError)) throw error;
    // processes that we start ourselves have no log yet: they report as for a bad command line
    const stage = line.role === 'main' ? 'validate' : 'syntax';
    throw new ConfigError(stage, error.kind, error.message, { hint: error.hints, cause: error.cause, warnings });
  }
}

function loadLine(
  line: CommandLine,
  environment: NodeJS.ProcessEnv,
  program: string,
  warn: (message: string) => void,
  warnings: readonly string[],
): Loaded {
  const { command, role, given } = line;
  let stanzas: readonly string[] = [];
  const places = new Map<string, boolean>();
  // help and version must work whatever the environment and the files hold
  if (command !== 'help' && command !== 'version') {
    readEnvironment(environment, command, role, given, warn);
    const ini = readConfigFiles(given, places);
    if (ini !== undefined) {
      readSections(ini, command, role, given, warn);
      stanzas = stanzaNames(ini);
    }
  }
  const resolved = resolve(line, program, warn);

  if (line.help) {
    return { kind: 'help', request: { command, option: helpOption(line), resolved }, warnings };
  }
  if (command === 'help') {
    const asked = (name: 'help' | 'version'): boolean => slotOf(resolved, name, noKey)?.value === true;
    if (asked('version') && !asked('help')) return { kind: 'version', output: 'text' };
    return { kind: 'help', request: { command: undefined, option: undefined, resolved: undefined }, warnings };
  }
  if (command === 'version') {
    return { kind: 'version', output: slotOf(resolved, 'output', noKey)?.value === 'num' ? 'num' : 'text' };
  }
  const afterBegin = crossCheck(resolved);
  return {
    kind: 'run',
    settings: new ResolvedSettings(resolved),
    warnings: role === 'main' ? [...warnings] : [],
    afterBegin,
    stanzas,
    places,
  };
}

/** The option named after `help COMMAND`; it may lack its index. */
function helpOption(line: CommandLine): OptionName | undefined {
  const [written, ...more] = line.params;
  if (written === undefined) return undefined;
  if (more.length > 0) throw new ConfigError('validate', 'param-invalid', 'only one option allowed for option help');
  const found = findOption(written, { keyless: true });
  if (found === undefined || !optionIsValid(found.name, line.command, 'main')) {
    throw invalidOption(`option '${quoteName(written)}' is not valid for command '${line.command}'`);
  }
  return found.name;
}
