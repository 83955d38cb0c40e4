/** Finds the option that a written name means: index, `no-` and `reset-` prefixes, old names, unique prefixes. */
import { invalidOption } from './config-error.ts';
import { noKey } from './given.ts';
import { quoteName } from './quote.ts';
import {
  formerNames,
  isOptionName,
  type OptionName,
  optionNames,
  optionNegates,
  optionResets,
  optionRule,
} from './table.ts';

export interface FoundOption {
  readonly name: OptionName;
  /** The index, `noKey` for options that have none. */
  readonly key: number;
  readonly negated: boolean;
  readonly reset: boolean;
}

const maxLength = 64;
export const maxKey = 256;

/**
 * @param written without leading dashes
 * @param how `abbreviated`: a prefix that fits one name only will do (command line); `keyless`: an index may be left
 *   out (help)
 * @returns undefined when there is no such option
 * @throws option-invalid when the option exists but not in this form
 */
export function findOption(
  written: string,
  how: { readonly abbreviated?: boolean; readonly keyless?: boolean } = {},
): FoundOption | undefined {
  if (Buffer.byteLength(written) > maxLength) {
    throw invalidOption(`option '${quoteName(written)}' exceeds maximum size of ${maxLength}`);
  }
  const negated = written.startsWith('no-');
  const reset = !negated && written.startsWith('reset-');
  const { base, key } = splitKey(written.slice(negated ? 3 : reset ? 6 : 0), written);
  const keyed = key !== undefined;

  const exact = isOptionName(base) ? base : undefined;
  const name = exact ?? (how.abbreviated === true ? onlyOne(optionNames, base) : undefined);
  if (name !== undefined) {
    // repo-path is an option's name and also the old way to write repo1-path
    const old = !keyed && formerNames.get(name)?.option === name;
    if (!old) checkKey(name, written, keyed, how.keyless === true);
    return accept({ name, key: keyFor(name, key), negated, reset }, written);
  }

  const oldName =
    formerNames.has(base) || how.abbreviated !== true ? base : (onlyOne([...formerNames.keys()], base) ?? base);
  const former = formerNames.get(oldName);
  if (former === undefined) return undefined;
  if (keyed && !former.indexed) throw invalidOption(`deprecated option '${written}' cannot have an index`);
  if (!keyed && !former.plain && how.keyless !== true) {
    throw invalidOption(`deprecated option '${written}' requires an index`, [
      `write the index after the first word, as in ${oldName.replace('-', '1-')}.`,
      `the present name is ${withKey(former.option, 1)}.`,
    ]);
  }
  return accept({ name: former.option, key: keyFor(former.option, key), negated, reset }, written);
}

/** Takes the number out of the first word: `repo2-path` is `repo-path` with key 2. */
function splitKey(name: string, written: string): { readonly base: string; readonly key: number | undefined } {
  const dash = name.indexOf('-');
  if (dash < 0) return { base: name, key: undefined };
  if (dash === 0) throw invalidOption(`option '${quoteName(written)}' cannot begin with a dash`);
  let start = dash;
  while (start > 0 && isDigit(name.charCodeAt(start - 1))) start--;
  if (start === 0) throw invalidOption(`option '${quoteName(written)}' cannot begin with a number`);
  if (start === dash) return { base: name, key: undefined };
  const key = Number(name.slice(start, dash));
  if (key < 1 || key > maxKey)
    throw invalidOption(`option '${quoteName(written)}' key must be between 1 and ${maxKey}`);
  return { base: name.slice(0, start) + name.slice(dash), key };
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

function onlyOne<T extends string>(names: readonly T[], prefix: string): T | undefined {
  const fitting = names.filter(name => name.startsWith(prefix));
  return fitting.length === 1 ? fitting[0] : undefined;
}

function checkKey(name: OptionName, written: string, keyed: boolean, keyless: boolean): void {
  const indexed = optionRule(name).group !== undefined;
  if (keyed && !indexed) throw invalidOption(`option '${written}' cannot have an index`);
  if (!keyed && indexed && !keyless) {
    throw invalidOption(`option '${written}' requires an index`, `add it to the name, as in ${withKey(name, 1)}.`);
  }
}

function withKey(name: OptionName, key: number): string {
  const group = optionRule(name).group ?? '';
  return group + (group === '' ? '' : key) + name.slice(group.length);
}

function keyFor(name: OptionName, key: number | undefined): number {
  return optionRule(name).group === undefined ? noKey : (key ?? 1);
}

function accept(found: FoundOption, written: string): FoundOption {
  const rule = optionRule(found.name);
  if (found.negated && !optionNegates(rule)) throw invalidOption(`option '${written}' cannot be negated`);
  if (found.reset && !optionResets(rule)) throw invalidOption(`option '${written}' cannot be reset`);
  return found;
}
