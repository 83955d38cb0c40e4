/** Settings of one command made from those of another that runs in the same process. */
import { crossCheck } from './check.ts';
import type { CommandRole, RunCommand } from './command.ts';
import { texts } from './format.ts';
import { GivenOptions, noKey } from './given.ts';
import { resolve } from './resolve.ts';
import { ResolvedSettings, resolvedOf } from './resolved-settings.ts';
import type { AnySettings, Settings } from './settings.ts';
import { optionIsValid, optionRule } from './table.ts';

/**
 * The settings with which `command` runs as a part of the current one, as expire runs at the end of backup: options
 * that both have keep their value and source, others have their defaults. Sections of the configuration file for
 * `command` are not looked at; the real tool does not either.
 */
export function deriveSettings<C extends RunCommand>(
  settings: AnySettings,
  command: C,
  options: {
    readonly role?: CommandRole;
    readonly params?: readonly string[];
    /** Number of the repository that the command is confined to. */
    readonly repo?: number;
  } = {},
): Settings<C> {
  const from = resolvedOf(settings);
  const { role = 'main', params = [] } = options;
  const given = new GivenOptions();
  for (const [name, slots] of from.slots) {
    if (!optionIsValid(name, command, role)) continue;
    for (const [key, slot] of slots) {
      if (slot.source === 'default' || slot.adjusted === true) continue;
      given.set(name, key, {
        source: slot.source,
        negated: slot.negated,
        reset: false,
        texts: optionRule(name).type === 'boolean' ? [] : texts(slot),
      });
    }
  }
  if (options.repo !== undefined) {
    given.set('repo', noKey, { source: 'argument', negated: false, reset: false, texts: [String(options.repo)] });
  }
  const resolved = resolve({ command, role, help: false, params, given }, from.program, () => undefined);
  crossCheck(resolved);
  return new ResolvedSettings<C>(resolved);
}
