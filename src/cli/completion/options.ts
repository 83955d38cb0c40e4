/** What shells may complete, from the tables: the facts that the scripts for bash and zsh share. */
import { commandNames, commandRule } from '../../config/command.ts';
import type { OptionRule } from '../../config/option.ts';
import { proseFor } from '../../config/prose/option.ts';
import {
  type OptionName,
  optionIsValid,
  optionNames,
  optionNegates,
  optionResets,
  optionRule,
  ruleFor,
} from '../../config/table.ts';
import { listed } from '../help.ts';

/** Commands that help lists. */
export const completedCommands = commandNames.filter(name => commandRule(name).internal !== true);

/** No command stands on the line yet. */
export const noCommand = '';

/** An option as some commands have it. */
export interface CompletedOption {
  readonly option: OptionName;
  /** As written, with `N` where the number of a repository or cluster belongs. */
  readonly name: string;
  /** What follows the name: `=` and a value, nothing, or `secret` for what is not for the command line: only help knows it. */
  readonly form: 'value' | 'switch' | 'secret';
  readonly summary: string;
  /** `noCommand` is among them in exactly one entry of each option. */
  readonly commands: readonly string[];
}

/** `repoN-path` of `repo-path`: capitals occur in no name. */
export function numberedName(name: OptionName): string {
  const { group } = optionRule(name);
  return group === undefined ? name : `${group}N${name.slice(group.length)}`;
}

/** Is it complete without a value? So are booleans, and words that begin as one. */
export const isSwitch = (rule: OptionRule): boolean => rule.type === 'boolean' || rule.booleanLike === true;

/**
 * The options that help shows; internal ones are nobody's to write.
 * @param byWords one entry for each wording of the summary, else one for each option
 */
export function completedOptions(byWords: boolean): readonly CompletedOption[] {
  return optionNames.flatMap(option => {
    const groups = new Map<string, string[]>();
    for (const command of commandNames) {
      if (!optionIsValid(option, command, 'main') || ruleFor(option, command).internal === true) continue;
      const summary = byWords ? listed(proseFor(option, command).summary) : '';
      const commands = groups.get(summary) ?? [];
      groups.set(summary, commands);
      commands.push(command);
    }
    const rule = optionRule(option);
    return [...groups].map(([summary, commands], at) => ({
      option,
      name: numberedName(option),
      form: rule.secret === true ? 'secret' : rule.type === 'boolean' ? 'switch' : 'value',
      summary,
      commands: at === 0 ? [noCommand, ...commands] : commands,
    }));
  });
}

/** The options of the same commands together: commands -> entries. */
export function byCommands(options: readonly CompletedOption[]): ReadonlyMap<string, readonly CompletedOption[]> {
  const groups = new Map<string, CompletedOption[]>();
  for (const one of options) {
    const key = one.commands.map(command => (command === noCommand ? "''" : command)).join(' | ');
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(one);
  }
  return groups;
}

/** What may follow `--name=`. */
export type ValueChoice =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'stanza' | 'directory' | 'file' };

/**
 * The choices for values, but for y and n of switches: a pattern of `COMMAND/NAME`, as `case` of both shells takes it -> what to offer. The first
 * that fits counts.
 */
export function valueChoices(): readonly (readonly [pattern: string, choice: ValueChoice])[] {
  const special: [string, ValueChoice][] = [];
  const words = new Map<string, string[]>();
  const places: Record<'directory' | 'file', string[]> = { directory: [], file: [] };
  for (const option of optionNames) {
    const rule = optionRule(option);
    if (rule.secret === true || rule.internal === true) continue;
    const name = numberedName(option);
    const allowed = new Set(rule.allow);
    for (const [command, { allow = [] }] of Object.entries(rule.for ?? {})) {
      if (allow.length > 0) special.push([`${command}/${name}`, { kind: 'words', words: allow }]);
      for (const word of allow) allowed.add(word);
    }
    if (allowed.size > 0) {
      const key = [...allowed].join(' ');
      words.set(key, [...(words.get(key) ?? []), `*/${name}`]);
    } else {
      const place = placeOf(option);
      if (place !== undefined) places[place].push(`*/${name}`);
    }
  }
  return [
    ...special,
    ...[...words].map(([key, names]) => [names.join(' | '), { kind: 'words', words: key.split(' ') }] as const),
    ['*/stanza', { kind: 'stanza' }],
    [places.directory.join(' | '), { kind: 'directory' }],
    [places.file.join(' | '), { kind: 'file' }],
  ];
}

/** The table says of few options whether they name a file or a directory; their names do. */
function placeOf(option: OptionName): 'directory' | 'file' | undefined {
  if (/-path$|^tablespace-map-all$/.test(option)) return 'directory';
  return /-file$|-known-host$|-config$|^config$|^cmd$/.test(option) ? 'file' : undefined;
}

const named = (which: (rule: OptionRule) => boolean): string =>
  optionNames
    .filter(name => which(optionRule(name)) && optionRule(name).secret !== true)
    .map(numberedName)
    .join(' | ');

/** Patterns of option names, for `case`. */
export const namePatterns = () => ({
  switches: named(isSwitch),
  negate: named(optionNegates),
  noReset: named(rule => !optionResets(rule)),
});

/** How the scripts mark the form of an option behind its name. */
export const endings = { value: '=', switch: '', secret: '!' } as const;
