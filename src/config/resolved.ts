/** A resolved configuration as plain data, which can be cloned to a thread. */
import type { CommandName, CommandRole } from './command.ts';
import type { OptionGroup } from './option.ts';
import type { OptionSource, OptionValue } from './settings.ts';
import type { OptionName } from './table.ts';

/** One option of one index. */
export interface Slot {
  /** Undefined when unset. */
  readonly value: OptionValue | undefined;
  /** The value as it was written, for messages and command lines; undefined for booleans, lists and maps. */
  readonly text: string | undefined;
  readonly source: OptionSource;
  readonly negated: boolean;
  readonly reset: boolean;
  /** Changed by a cross check after it was resolved; what the user gave is no longer there. */
  readonly adjusted?: true;
}

export interface Resolved {
  readonly command: CommandName;
  readonly role: CommandRole;
  readonly params: readonly string[];
  readonly program: string;
  /** Option -> key (`noKey` for options without index) -> slot, for every option that the command has. */
  readonly slots: Map<OptionName, Map<number, Slot>>;
  /** The keys in use, in order. */
  readonly keys: Readonly<Record<OptionGroup, readonly number[]>>;
}

export function slotOf(resolved: Resolved, name: OptionName, key: number): Slot | undefined {
  return resolved.slots.get(name)?.get(key);
}

/** Replaces a slot by one that a cross check computed. */
export function adjust(resolved: Resolved, name: OptionName, key: number, slot: Omit<Slot, 'adjusted'>): void {
  resolved.slots.get(name)?.set(key, { ...slot, adjusted: true });
}
