/**
 * How an option is described. The table is data only: parser, types, help, man page and sample configuration read it.
 *
 * To add an option: one entry in the fitting `options/*.ts`, its words in `prose/`, then `npm run generate`.
 */
import type { CommandName, CommandRole } from './command.ts';

/** `word` is one of a list of words; sizes are bytes, times are milliseconds. */
export type OptionType = 'boolean' | 'integer' | 'size' | 'time' | 'path' | 'string' | 'word' | 'list' | 'map';

/** A value as the table spells it: sizes and times as text with their unit, which is also what help prints. */
export type RuleValue = boolean | number | string;

/** A rule that differs by the value of the option it depends on (`onlyIf`). */
export interface ByWord<T> {
  readonly by: Readonly<Record<string, T>>;
}

/** The option counts only while another one (of the same index, for indexed ones) has one of some values. */
export interface Dependency {
  readonly option: string;
  /** Without a list, any value will do. */
  readonly is?: readonly (boolean | string)[];
  /** What the option is when the dependency fails; without it the option is then unset. */
  readonly otherwise?: RuleValue;
}

/** The rules that may differ by command. */
export interface VariableRule {
  /** The words allowed (or the sizes, for `buffer-size`). */
  readonly allow?: readonly string[];
  readonly default?: RuleValue | ByWord<RuleValue>;
  /** A value must come from somewhere; only meaningful without default. */
  readonly required?: boolean;
  readonly onlyIf?: Dependency;
  readonly roles?: readonly CommandRole[];
  /** Works, but help does not show it. */
  readonly internal?: boolean;
}

export interface OptionRule extends VariableRule {
  readonly type: OptionType;
  /** What is taken for unset as soon as one of these options (of the same index) is given. */
  readonly implied?: { readonly by: readonly string[]; readonly value: RuleValue };
  /** The default is the path by which this program was called. */
  readonly defaultsToProgram?: true;
  readonly range?: readonly [RuleValue, RuleValue] | ByWord<readonly [RuleValue, RuleValue]>;
  /** Where a configuration file may have it: in any section, in stanza sections only, or not at all. */
  readonly section: 'global' | 'stanza' | 'command-line';
  /** Indexed options: the name carries a number, as in `repo1-path`. */
  readonly group?: OptionGroup;
  /** Absent: every command but help and version. */
  readonly commands?: readonly CommandName[];
  /** `--no-x` is accepted. Booleans outside the command line section always have it. */
  readonly negate?: true;
  /** Words y and n work like a boolean's: `--x`, `--no-x`. */
  readonly booleanLike?: true;
  /** Never accepted on a command line, never printed. */
  readonly secret?: true;
  /** May be given on a command line, but is not printed. */
  readonly hidden?: true;
  /** Old names that still work; `?` stands where the old name carries an index. */
  readonly formerly?: readonly string[];
  /** What is different for single commands. */
  readonly for?: Readonly<Partial<Record<CommandName, VariableRule>>>;
}

export type OptionGroup = 'pg' | 'repo';

/** Checks a part of the table and keeps its literal types. */
export const defineOptions = <const T extends Readonly<Record<string, OptionRule>>>(options: T): T => options;

/** Stands for what must not be read. */
export const redacted = '<redacted>';

/** Whether the value of an option is never printed. */
export const isRedacted = ({ secret, hidden }: OptionRule): boolean => secret === true || hidden === true;
