/** The types of a resolved configuration, inferred from the table: what a command may read, and what it can rely on. */
import type { CommandName, CommandRole, RunCommand } from './command.ts';
import type { OptionGroup } from './option.ts';
import type { OptionName, OptionTable } from './table.ts';

/** Any option's value: sizes in bytes, times in milliseconds. */
export type OptionValue = boolean | number | string | readonly string[] | ReadonlyMap<string, string>;

/** Where a value came from; `default` also when it was reset. */
export type OptionSource = 'default' | 'file' | 'environment' | 'argument';

type CommandsOf<K extends OptionName> = OptionTable[K] extends { readonly commands: readonly (infer N)[] }
  ? N
  : RunCommand;

type VariationOf<K extends OptionName, C> = OptionTable[K] extends { readonly for: infer F }
  ? C extends keyof F
    ? F[C]
    : unknown
  : unknown;

/** A rule's field as command C has it, undefined when absent. */
type Field<K extends OptionName, C, Name extends string> =
  VariationOf<K, C> extends Readonly<Record<Name, infer V>>
    ? V
    : OptionTable[K] extends Readonly<Record<Name, infer V>>
      ? V
      : undefined;

type RolesOf<K extends OptionName, C> = Field<K, C, 'roles'> extends readonly (infer R)[] ? R : CommandRole;

/** true, false, or boolean when only some of the commands C have the option. */
type Valid<K extends OptionName, C, R> = C extends CommandsOf<K> ? (R extends RolesOf<K, C> ? true : false) : false;

type Word<K extends OptionName, C> = Field<K, C, 'allow'> extends readonly (infer W)[] ? W : never;

interface Simple {
  readonly boolean: boolean;
  readonly integer: number;
  readonly size: number;
  readonly time: number;
  readonly path: string;
  readonly string: string;
  readonly list: readonly string[];
  readonly map: ReadonlyMap<string, string>;
}

type Raw<K extends OptionName, C> = OptionTable[K]['type'] extends keyof Simple
  ? Simple[OptionTable[K]['type']]
  : Word<K, C>;

/** `--no-x` leaves an option that is no boolean without a value. */
type Negates<K extends OptionName> = OptionTable[K] extends { readonly negate: true }
  ? OptionTable[K]['type'] extends 'boolean'
    ? false
    : true
  : false;

type Given<K extends OptionName, C> =
  Negates<K> extends true
    ? false
    : Field<K, C, 'default'> extends undefined
      ? Field<K, C, 'required'> extends true
        ? true
        : OptionTable[K] extends { readonly defaultsToProgram: true }
          ? true
          : false
      : true;

/** Whether a value is certain: there is a default or it is required, and no dependency can take it away. */
type Certain<K extends OptionName, C> =
  Field<K, C, 'onlyIf'> extends infer D
    ? D extends undefined
      ? Given<K, C>
      : D extends { readonly otherwise: unknown }
        ? Given<K, C>
        : false
    : never;

type ValueOf<K extends OptionName, C> = C extends unknown
  ? C extends CommandsOf<K>
    ? Raw<K, C> | (Certain<K, C> extends true ? never : undefined)
    : never
  : never;

type InGroup<K extends OptionName, G> = OptionTable[K] extends { readonly group: infer Own }
  ? Own extends G
    ? true
    : false
  : G extends 'none'
    ? true
    : false;

type NameIn<G extends OptionGroup | 'none', K extends OptionName> =
  InGroup<K, G> extends true ? (G extends 'none' ? K : K extends `${G}-${infer Rest}` ? Rest : never) : never;

type ValuesIn<G extends OptionGroup | 'none', C, R> = {
  readonly [K in OptionName as [Valid<K, C, R>] extends [true] ? NameIn<G, K> : never]: ValueOf<K, C>;
} & {
  readonly [K in OptionName as true extends Valid<K, C, R>
    ? false extends Valid<K, C, R>
      ? NameIn<G, K>
      : never
    : never]?: ValueOf<K, C> | undefined;
};

/** The options without index that command C has. With several commands, an option that only some have is optional. */
export type ValuesFor<C extends CommandName, R extends CommandRole = 'main'> = ValuesIn<'none', C, R>;

/** One repository's or cluster's options, without their `repo1-` prefix. */
export interface IndexedSettings<
  G extends OptionGroup,
  C extends CommandName = RunCommand,
  R extends CommandRole = 'main',
> {
  /** The number that the user gave it, from 1. */
  readonly key: number;
  readonly values: ValuesIn<G, C, R>;
}

/**
 * The whole configuration of one run. Plain data inside: see `settingsToPlain` to hand it to a thread.
 * R says which role's options the types show; a process of another role must not rely on `main`'s.
 */
export interface Settings<C extends CommandName = RunCommand, R extends CommandRole = 'main'> {
  readonly command: C;
  readonly role: CommandRole;
  /** What followed the command name. */
  readonly params: readonly string[];
  /** The path by which this program was called. */
  readonly program: string;
  readonly values: ValuesFor<C, R>;
  /** In key order; at least one wherever repository options are valid. */
  readonly repos: readonly IndexedSettings<'repo', C, R>[];
  /** In key order; at least one wherever cluster options are valid, and key 1 is always there. */
  readonly clusters: readonly IndexedSettings<'pg', C, R>[];
  /** True when the value is not a default. @param name without index, as in `repo-path` @param key for indexed ones */
  optionIsSet(name: OptionName, key?: number): boolean;
  source(name: OptionName, key?: number): OptionSource;
}

/** Settings of whatever command, for functions that only look at the configuration as a whole. */
export type AnySettings = Pick<Settings, 'role' | 'params' | 'program'> & { readonly command: RunCommand };
