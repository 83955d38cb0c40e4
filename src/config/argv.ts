/** Reads the command line: one command, its parameters, and options in any order around them. */
import { type CommandName, type CommandRole, commandHasRole, commandRule, isCommandName } from './command.ts';
import { ConfigError, invalidOption, invalidValue } from './config-error.ts';
import { type Given, GivenOptions } from './given.ts';
import { findOption } from './option-name.ts';
import { quoteArgument } from './quote.ts';
import { keyedName, type OptionName, optionIsValid, optionRepeats, optionRule } from './table.ts';

export interface CommandLine {
  readonly command: CommandName;
  readonly role: CommandRole;
  /** `help COMMAND`: the command is not to run, its help is wanted. */
  readonly help: boolean;
  readonly params: readonly string[];
  readonly given: GivenOptions;
}

/**
 * @param argv without node and script
 * @throws ConfigError at stage `syntax`
 */
export function parseArguments(argv: readonly string[]): CommandLine {
  const given = new GivenOptions();
  const params: string[] = [];
  let called: { readonly command: CommandName; readonly role: CommandRole } | undefined;
  let help = false;

  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? '';
    if (argument.startsWith('-')) {
      if (takeOption(argument, argv[at + 1], given)) at++;
    } else if (called !== undefined) {
      params.push(argument);
    } else if (argument === 'help' && !help) {
      help = true;
    } else {
      called = parseCommand(argument, help);
    }
  }

  if (called === undefined) {
    if (!help) requireCommand(given);
    return { command: 'help', role: 'main', help: false, params, given };
  }
  if (params.length > 0 && !help && commandRule(called.command).params !== true) {
    throw new ConfigError('syntax', 'param-invalid', 'command does not allow parameters');
  }
  return { ...called, help, params, given };
}

function parseCommand(argument: string, help: boolean): { readonly command: CommandName; readonly role: CommandRole } {
  const colon = argument.indexOf(':');
  const command = colon < 0 ? argument : argument.slice(0, colon);
  if (!isCommandName(command)) {
    throw new ConfigError('syntax', 'command-invalid', `invalid command '${quoteArgument(argument)}'`);
  }
  const role = colon < 0 ? 'main' : argument.slice(colon + 1);
  if (!isRole(role) || (colon >= 0 && role === 'main')) {
    throw new ConfigError('syntax', 'command-invalid', `invalid command role '${role}'`);
  }
  if (!commandHasRole(command, role)) {
    throw new ConfigError('syntax', 'command-invalid', `invalid command/role combination '${argument}'`);
  }
  if (help && role !== 'main') {
    throw new ConfigError('syntax', 'command-invalid', `help is not available for the '${role}' role`);
  }
  return { command, role };
}

const isRole = (text: string): text is CommandRole => /^(main|async|local|remote)$/.test(text);

/** Without a command only `--help` and `--version` mean something. */
function requireCommand(given: GivenOptions): void {
  for (const name of given.names()) {
    if (!optionIsValid(name, 'help', 'main')) {
      throw new ConfigError('syntax', 'command-required', 'no command found');
    }
  }
}

/** Adds one option to what is given. @returns true when the next argument was its value */
function takeOption(argument: string, next: string | undefined, given: GivenOptions): boolean {
  if (!argument.startsWith('--')) throw syntax(invalidOption(`option '${quoteArgument(argument)}' must begin with --`));
  const written = argument.slice(2);
  const equal = written.indexOf('=');
  const writtenName = equal < 0 ? written : written.slice(0, equal);
  let text = equal < 0 ? undefined : written.slice(equal + 1);
  let tookNext = false;

  const found = findAtSyntax(writtenName);
  if (found === undefined) throw syntax(invalidOption(`invalid option '${quoteArgument(argument)}'`));
  const rule = optionRule(found.name);
  let { negated } = found;

  if (negated || found.reset) {
    if (text !== undefined) throw syntax(invalidOption(`option '${writtenName}' does not allow an argument`));
  } else if (rule.type === 'boolean') {
    if (text === 'n') negated = true;
    else if (text !== undefined && text !== 'y') {
      throw syntax(invalidValue(`boolean option '--${writtenName}' argument must be 'y' or 'n'`));
    }
    text = undefined;
  } else if (text === undefined) {
    if (rule.booleanLike === true) {
      text = 'y';
    } else if (next === undefined) {
      throw syntax(invalidOption(`option '--${writtenName}' requires an argument`));
    } else {
      text = next;
      tookNext = true;
    }
  }
  if (negated && rule.booleanLike === true) {
    negated = false;
    text = 'n';
  }

  const fullName = keyedName(found.name, found.key);
  if (rule.secret === true) {
    throw syntax(
      invalidOption(`option '${fullName}' is not allowed on the command-line`, [
        'other users of this machine could read it in the list of processes.',
        'set it in a configuration file or in the environment.',
      ]),
    );
  }

  const texts = text === undefined ? [] : [text];
  const now: Given = { source: 'argument', negated, reset: found.reset, texts };
  const before = given.get(found.name, found.key);
  given.set(found.name, found.key, before === undefined ? now : repeat(found.name, fullName, before, now));
  return tookNext;
}

/** Joins a repeated option with what came before it, where that makes sense. */
function repeat(name: OptionName, fullName: string, before: Given, now: Given): Given {
  const problem =
    before.negated && now.negated
      ? 'is negated multiple times'
      : before.reset && now.reset
        ? 'is reset multiple times'
        : (before.reset && now.negated) || (before.negated && now.reset)
          ? 'cannot be negated and reset'
          : before.negated !== now.negated
            ? 'cannot be set and negated'
            : before.reset !== now.reset
              ? 'cannot be set and reset'
              : optionRepeats(optionRule(name))
                ? undefined
                : 'cannot be set multiple times';
  if (problem !== undefined) throw syntax(invalidOption(`option '${fullName}' ${problem}`));
  return { ...now, texts: [...before.texts, ...now.texts] };
}

function findAtSyntax(writtenName: string): ReturnType<typeof findOption> {
  try {
    return findOption(writtenName, { abbreviated: true });
  } catch (error) {
    throw error instanceof ConfigError ? syntax(error) : error;
  }
}

const syntax = (error: ConfigError): ConfigError => error.at('syntax', []);

/** The first option in alphabetical order that the user gave but the command does not have. */
export function misplacedOption({ command, role, given }: CommandLine): OptionName | undefined {
  // the other sources take up only what the command has
  return [...given.names()].filter(name => !optionIsValid(name, command, role)).sort()[0];
}
