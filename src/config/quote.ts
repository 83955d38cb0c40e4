/**
 * What a user wrote, as messages quote it. Secrets are left out, also where their name, their place or the way they are
 * written is wrong: such messages end up in the server's log.
 */
import { redacted } from './option.ts';
import { formerNames, isOptionName, type OptionName, optionRule } from './table.ts';

/** A part of an option's name: letters, in one case but for the first, and an index. Keys in base64 or hex look otherwise. */
const part = '(?:[A-Z]?[a-z]*|[A-Z]+)\\d{0,3}';
const optionLike = new RegExp(`^${part}(?:[-_]${part})*$`);

/** Names that can be meant for a secret's. */
const suspicious = /pass|key|secret|token|pwd/i;

/** The name of an option that there is not: of `repo1-cipher-pass: 4d6f...==` it is all before the first `=`. */
export function quoteName(written: string): string {
  if (optionLike.test(written)) return written;
  const [start = ''] = /^[\w-]*/.exec(written) ?? [];
  // the second line of a secret that another program has broken has no name before it
  return `${optionOf(start) === undefined ? '' : start}${redacted}`;
}

/** An argument that is none: `--NAME=VALUE`, or whatever stands in the place of a command. */
export function quoteArgument(argument: string): string {
  const [, dashes = '', written = ''] = /^(-*)(.*)$/s.exec(argument) ?? [];
  const equal = written.indexOf('=');
  const name = equal < 0 ? written : written.slice(0, equal);
  const quoted = quoteName(name);
  if (quoted !== name) return dashes + quoted;
  return dashes + (equal >= 0 && suspicious.test(name) ? `${name}=${redacted}` : written);
}

/** A shorter line has no room for a secret that would be one. */
const shortestSecret = 6;

/** A line of a configuration file that cannot be read. Its number is told too, so it need not be quoted in doubt. */
export function quoteLine(line: string): string {
  if (line.length < shortestSecret) return line;
  const section = /^\[[\w.:-]*\]?/.exec(line)?.[0];
  if (section !== undefined) return line === section ? line : `${section}${redacted}`;
  const [name = ''] = /^[\w-]*/.exec(line) ?? [];
  const option = optionOf(name);
  if (option !== undefined && optionRule(option).secret !== true && !suspicious.test(line)) return line;
  const isName = option !== undefined || (optionLike.test(name) && suspicious.test(name));
  return isName ? `${name}=${redacted}` : redacted;
}

/** The option with this name, present or old, of whatever index; never an error, as findOption has them. */
export function optionOf(written: string): OptionName | undefined {
  const plain = written.replace(/^(?:no|reset)-/, '').replace(/^([a-z]+)\d+(?=-)/, '$1');
  return isOptionName(plain) ? plain : formerNames.get(plain)?.option;
}
