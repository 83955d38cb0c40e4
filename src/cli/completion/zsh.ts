/** Prints the tables of the completion script for zsh, which shows what each word means. */
import { commandProse } from '../../config/prose/command.ts';
import { listed } from '../help.ts';
import {
  byCommands,
  completedCommands,
  completedOptions,
  endings,
  namePatterns,
  type ValueChoice,
  valueChoices,
} from './options.ts';

/**
 * The content of `conf/completion/_pgbackstop`.
 * @param frame what does not depend on the tables (`frame.zsh`)
 */
export function zshCompletion(frame: string): string {
  const { switches, negate, noReset } = namePatterns();
  return `${[
    '#compdef pgbackstop pgbackrest',
    '# Completion of pgbackstop and pgbackrest for zsh, printed from the option table by "npm run generate".',
    '# Copy it into a directory of $fpath, such as /usr/local/share/zsh/site-functions.',
    '',
    frame,
    '# The commands into "options".',
    '_pgbackstop_commands() {',
    '  options=(',
    ...completedCommands.map(name => `    ${quoted(`${name}:${listed(commandProse[name].summary)}`)}`),
    '  )',
    '}',
    '',
    '# Is an option complete without a value?',
    ...yesOrNo('switch', switches),
    '',
    '# Does an option have a form with --no-?',
    ...yesOrNo('negate', negate),
    '',
    '# Does an option have no form with --reset-?',
    ...yesOrNo('keep', noReset),
    '',
    '# The options of a command into "options": N stands for a number, "=" for a value; "!" is not for the command line.',
    '_pgbackstop_options() {',
    '  options=()',
    '  case $1 in',
    ...[...byCommands(completedOptions(true))].flatMap(([commands, options]) => [
      `    (${commands}) options+=(`,
      ...options.map(one => `      ${quoted(`${one.name}${endings[one.form]}:${one.summary}`)}`),
      '    ) ;|',
    ]),
    '  esac',
    '}',
    '',
    '# What may stand as value of an option: words into "choices", or a kind of name into "kind".',
    '_pgbackstop_choices() {',
    "  choices=() kind=''",
    '  case $1 in',
    ...valueChoices().map(([pattern, choice]) => `    (${pattern}) ${assignment(choice)} ;;`),
    '  esac',
    '}',
    '',
    '_pgbackstop "$@"',
  ].join('\n')}\n`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const yesOrNo = (name: string, pattern: string): string[] => [
  `_pgbackstop_${name}() {`,
  '  case $1 in',
  `    (${pattern}) return 0 ;;`,
  '  esac',
  '  return 1',
  '}',
];

const assignment = (choice: ValueChoice): string =>
  choice.kind === 'words' ? `choices=(${choice.words.join(' ')})` : `kind=${choice.kind}`;
