/** Prints the tables of the completion script for bash. */
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
 * The content of `conf/completion/pgbackstop.bash`. It needs bash 4.3 and no other package.
 * @param frame what does not depend on the tables (`frame.bash`)
 */
export function bashCompletion(frame: string): string {
  const { switches, negate, noReset } = namePatterns();
  return `${[
    '# Completion of pgbackstop and pgbackrest for bash, printed from the option table by "npm run generate".',
    '# Copy it into /etc/bash_completion.d, or source it from ~/.bashrc.',
    '',
    frame,
    '_pgbackstop_commands() {',
    `  echo '${completedCommands.join(' ')}'`,
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
    "  options=''",
    '  case $1 in',
    ...[...byCommands(completedOptions(false))].map(
      ([commands, options]) =>
        `    ${commands}) options+=' ${options.map(one => one.name + endings[one.form]).join(' ')}' ;;&`,
    ),
    '  esac',
    '}',
    '',
    '# What may stand as value of an option: words into "choices", or a kind of name into "kind".',
    '_pgbackstop_choices() {',
    "  choices='' kind=''",
    '  case $1/$2 in',
    ...valueChoices().map(([pattern, choice]) => `    ${pattern}) ${assignment(choice)} ;;`),
    '  esac',
    '}',
    '',
    'complete -F _pgbackstop pgbackstop pgbackrest',
  ].join('\n')}\n`;
}

const yesOrNo = (name: string, pattern: string): string[] => [
  `_pgbackstop_${name}() {`,
  '  case $1 in',
  `    ${pattern}) return 0 ;;`,
  '  esac',
  '  return 1',
  '}',
];

const assignment = (choice: ValueChoice): string =>
  choice.kind === 'words' ? `choices='${choice.words.join(' ')}'` : `kind=${choice.kind}`;
