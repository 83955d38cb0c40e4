/** Settings over a resolved configuration. */
import type { CommandName, CommandRole, RunCommand } from './command.ts';
import { noKey } from './given.ts';
import type { OptionGroup } from './option.ts';
import { type Resolved, type Slot, slotOf } from './resolved.ts';
import type { AnySettings, IndexedSettings, OptionSource, OptionValue, Settings, ValuesFor } from './settings.ts';
import { type OptionName, optionRule } from './table.ts';

/** A configuration as plain data: structured clone carries it to a thread unharmed. */
export type PlainSettings = Resolved;

export class ResolvedSettings<C extends RunCommand = RunCommand, R extends CommandRole = 'main'>
  implements Settings<C, R>
{
  readonly resolved: Resolved;
  readonly command: C;
  readonly role: CommandRole;
  readonly params: readonly string[];
  readonly program: string;
  readonly values: ValuesFor<C, R>;
  readonly repos: readonly IndexedSettings<'repo', C, R>[];
  readonly clusters: readonly IndexedSettings<'pg', C, R>[];

  constructor(resolved: Resolved) {
    this.resolved = resolved;
    // the casts are where inference ends: the table that made the types also made the slots
    this.command = resolved.command as C;
    this.role = resolved.role;
    this.params = resolved.params;
    this.program = resolved.program;
    this.values = collect(resolved, undefined, noKey) as ValuesFor<C, R>;
    this.repos = indexed(resolved, 'repo') as readonly IndexedSettings<'repo', C, R>[];
    this.clusters = indexed(resolved, 'pg') as readonly IndexedSettings<'pg', C, R>[];
  }

  optionIsSet(name: OptionName, key?: number): boolean {
    const slot = this.#slot(name, key);
    return slot !== undefined && slot.value !== undefined && slot.source !== 'default';
  }

  source(name: OptionName, key?: number): OptionSource {
    return this.#slot(name, key)?.source ?? 'default';
  }

  #slot(name: OptionName, key: number | undefined): Slot | undefined {
    return slotOf(this.resolved, name, optionRule(name).group === undefined ? noKey : (key ?? 1));
  }
}

function indexed(
  resolved: Resolved,
  group: OptionGroup,
): readonly { readonly key: number; readonly values: Readonly<Record<string, OptionValue | undefined>> }[] {
  return resolved.keys[group].map(key => ({ key, values: collect(resolved, group, key) }));
}

function collect(
  resolved: Resolved,
  group: OptionGroup | undefined,
  key: number,
): Readonly<Record<string, OptionValue | undefined>> {
  const values: Record<string, OptionValue | undefined> = {};
  for (const [name, slots] of resolved.slots) {
    if (optionRule(name).group !== group) continue;
    values[group === undefined ? name : name.slice(group.length + 1)] = slots.get(key)?.value;
  }
  return values;
}

/** The resolved configuration behind settings, for the functions of this layer. */
export function resolvedOf(settings: AnySettings): Resolved {
  const { resolved } = settings as unknown as Partial<ResolvedSettings>;
  if (resolved === undefined) throw new Error('these settings were not made by the configuration layer');
  return resolved;
}

/** What a thread needs to have the same settings. */
export const settingsToPlain = (settings: AnySettings): PlainSettings => resolvedOf(settings);

/** The settings of `settingsToPlain`, on the other side. */
export const settingsFromPlain = (plain: PlainSettings): Settings => new ResolvedSettings(plain);

/** Narrows settings to those of one command. */
export function isFor<C extends RunCommand>(settings: Settings, command: C): settings is Settings & Settings<C> {
  const name: CommandName = settings.command;
  return name === command;
}
