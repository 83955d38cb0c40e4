/** Settings as text: the list in the log, and command lines of processes that need the same settings. */
import type { CommandName, CommandRole } from './command.ts';
import { commandRoleName } from './command.ts';
import { noKey } from './given.ts';
import { isRedacted, redacted } from './option.ts';
import type { Resolved, Slot } from './resolved.ts';
import { slotOf } from './resolved.ts';
import { resolvedOf } from './resolved-settings.ts';
import type { AnySettings, OptionValue } from './settings.ts';
import { keyedName, type OptionName, optionIsValid, optionNames, optionRule } from './table.ts';
import { withoutPassword } from './values.ts';

/**
 * The options of the `command begin` line, each with a space before it: what is not a default, wherever it came from,
 * alphabetically and then by key.
 * @param execId names this run; printed as `--exec-id`
 */
export function formatOptions(settings: AnySettings, execId: string): string {
  const resolved = resolvedOf(settings);
  const parts: string[] = [];
  for (const name of optionNames) {
    if (name === 'exec-id') {
      parts.push(`--exec-id=${execId}`);
      continue;
    }
    if (!optionIsValid(name, resolved.command, resolved.role)) continue;
    for (const key of keysOf(resolved, name)) {
      const slot = slotOf(resolved, name, key);
      if (slot === undefined || slot.adjusted === true) continue;
      const fullName = keyedName(name, key);
      if (slot.negated) parts.push(`--no-${fullName}`);
      else if (slot.reset) parts.push(`--reset-${fullName}`);
      else if (slot.source === 'default') continue;
      else if (isRedacted(optionRule(name))) parts.push(`--${fullName}=${redacted}`);
      else parts.push(...spell(fullName, slot, true, withoutPassword));
    }
  }
  return parts.map(part => ` ${part}`).join('');
}

/** The parameters block of the `command begin` line, ` [a, "b c"]`, empty without parameters. */
export function formatParams(settings: AnySettings): string {
  const { params } = resolvedOf(settings);
  return params.length === 0 ? '' : ` [${params.map(quoteSpaces).join(', ')}]`;
}

/** The options of archive-get in restore_command, quoted; command name and WAL parameters are not included. */
export function restoreCommandOptions(
  settings: AnySettings,
  remap: { readonly pgPath?: string; readonly repoKey?: number },
): string[] {
  const replace = new Map<string, OptionValue | undefined>();
  // what suits a restore need not suit recovery; all of these have good defaults
  for (const name of optionNames) {
    if (
      /^(cmd|exec-id|job-retry|job-retry-interval|log-level-.*|log-subprocess|log-timestamp|process-max)$/.test(name)
    ) {
      replace.set(name, undefined);
    }
  }
  if (remap.pgPath !== undefined) replace.set('pg1-path', remap.pgPath);
  if (remap.repoKey !== undefined) replace.set('repo', remap.repoKey);
  return optionArguments(settings, { command: 'archive-get', role: 'main', replace, argumentsOnly: true, quote: true });
}

export interface ArgumentsRequest {
  readonly command: CommandName;
  readonly role: CommandRole;
  /** By full name, as in `pg1-path`: another value, or undefined to leave the option out. */
  readonly replace?: ReadonlyMap<string, OptionValue | undefined>;
  /** Only what was on the command line: the other process reads the same files and environment. */
  readonly argumentsOnly?: boolean;
  /** Double quotes around values with a space, for a shell. */
  readonly quote?: boolean;
}

/**
 * The options with which another command or role of this program gets the same settings. Secrets never are among
 * them: the other process finds them where this one did.
 */
export function optionArguments(settings: AnySettings, request: ArgumentsRequest): string[] {
  const resolved = resolvedOf(settings);
  const result: string[] = [];
  for (const name of optionNames) {
    // without the passphrase the cipher type would be of no use
    if (!optionIsValid(name, request.command, request.role) || name === 'repo-cipher-type') continue;
    if (optionRule(name).secret === true) continue;
    for (const key of keysOf(resolved, name)) {
      result.push(...optionArgument(resolved, name, key, request));
    }
  }
  return result;
}

function optionArgument(resolved: Resolved, name: OptionName, key: number, request: ArgumentsRequest): string[] {
  const fullName = keyedName(name, key);
  const quote = request.quote === true;
  if (request.replace?.has(fullName) === true) {
    const value = request.replace.get(fullName);
    if (value === undefined) return [];
    if (typeof value === 'boolean') return [`--${value ? '' : 'no-'}${fullName}`];
    return spell(fullName, { value, text: undefined }, quote);
  }
  const slot = slotOf(resolved, name, key);
  if (slot === undefined) return [];
  if (slot.reset) return [`--reset-${fullName}`];
  if (request.argumentsOnly === true && slot.source !== 'argument') return [];
  if (slot.negated) return [`--no-${fullName}`];
  return slot.source === 'default' ? [] : spell(fullName, slot, quote);
}

/** The command line of another command or role with these settings: command name first, then its options. */
export function processArguments(settings: AnySettings, request: ArgumentsRequest): string[] {
  return [...optionArguments(settings, request), commandRoleName(request.command, request.role)];
}

function keysOf(resolved: Resolved, name: OptionName): readonly number[] {
  const group = optionRule(name).group;
  if (group === undefined) return [noKey];
  // a command without options of the group has no keys, but the other command may take replaced ones
  return resolved.keys[group].length === 0 ? [1] : resolved.keys[group];
}

/** @param shown what is to be seen of a value */
function spell(
  fullName: string,
  slot: Pick<Slot, 'value' | 'text'>,
  quote: boolean,
  shown = (text: string) => text,
): string[] {
  if (slot.value === true) return [`--${fullName}`];
  return texts(slot)
    .map(shown)
    .map(text => `--${fullName}=${quote ? quoteSpaces(text) : text}`);
}

/** What was written, one text for each value. */
export function texts(slot: Pick<Slot, 'value' | 'text'>): readonly string[] {
  const { value, text } = slot;
  if (value instanceof Map) return [...value].map(([key, one]) => `${key}=${one}`);
  if (Array.isArray(value)) return value as readonly string[];
  if (typeof value === 'boolean') return [value ? 'y' : 'n'];
  return text === undefined ? (value === undefined ? [] : [String(value)]) : [text];
}

const quoteSpaces = (text: string): string => (text.includes(' ') ? `"${text}"` : text);
