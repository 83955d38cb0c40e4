/** Decides every option's value: dependencies first, then types, ranges and lists, defaults and what is required. */
import type { CommandLine } from './argv.ts';
import { misplacedOption } from './argv.ts';
import { ConfigError, invalidOption, invalidValue } from './config-error.ts';
import { type Given, noKey } from './given.ts';
import {
  type ByWord,
  type Dependency,
  isRedacted,
  type OptionGroup,
  type OptionRule,
  type RuleValue,
  redacted,
} from './option.ts';
import { type Resolved, type Slot, slotOf } from './resolved.ts';
import type { OptionValue } from './settings.ts';
import { isOptionName, keyedName, type OptionName, optionIsValid, optionRule, resolveOrder, ruleFor } from './table.ts';
import { parseInteger, parsePair, parseSize, parseTime, withoutPassword } from './values.ts';

const groups: readonly OptionGroup[] = ['pg', 'repo'];

/**
 * @param line the command, with everything that any source gives
 * @param warn told of values that are overwritten
 * @throws option-invalid, option-invalid-value, option-required
 */
export function resolve(line: CommandLine, program: string, warn: (message: string) => void): Resolved {
  const misplaced = misplacedOption(line);
  if (misplaced !== undefined) {
    throw invalidOption(`option '${misplaced}' not valid for command '${line.command}'`);
  }
  const resolved: Resolved = {
    command: line.command,
    role: line.role,
    params: line.params,
    program,
    slots: new Map(),
    keys: { pg: keysInUse('pg', line), repo: keysInUse('repo', line) },
  };
  for (const name of resolveOrder) {
    if (!optionIsValid(name, line.command, line.role)) continue;
    const rule = ruleFor(name, line.command);
    const slots = new Map<number, Slot>();
    resolved.slots.set(name, slots);
    for (const key of rule.group === undefined ? [noKey] : resolved.keys[rule.group]) {
      slots.set(key, resolveOne({ name, key, rule, given: line.given.get(name, key), line, resolved, warn }));
    }
  }
  const kept = { ...resolved, keys: { pg: withoutEmpty(resolved, 'pg'), repo: withoutEmpty(resolved, 'repo') } };
  checkSelection(kept);
  return kept;
}

/** The keys that any source uses, in order. There is always one, and key 1 of pg whenever another is used. */
function keysInUse(group: OptionGroup, { command, role, given }: CommandLine): readonly number[] {
  // whoever has any option of the group has its path
  if (!optionIsValid(`${group}-path`, command, role)) return [];
  const keys = new Set<number>();
  for (const name of given.names()) {
    if (optionRule(name).group !== group) continue;
    for (const key of given.keys(name)) {
      if (given.get(name, key)?.reset === false) keys.add(key);
    }
  }
  if (keys.size === 0 || group === 'pg') keys.add(1);
  return [...keys].sort((a, b) => a - b);
}

/**
 * Drops keys whose options all turned out to be defaults (only options with a failed dependency were given): a
 * repository that nobody configured would appear. The last one stays, as key 1.
 */
function withoutEmpty(resolved: Resolved, group: OptionGroup): readonly number[] {
  const keys = resolved.keys[group];
  if (keys.length < 2) {
    const [only] = keys;
    if (only === undefined || only === 1 || hasOwnValue(resolved, group, only)) return keys;
    renumber(resolved, group, only);
    return [1];
  }
  const kept = keys.filter(key => hasOwnValue(resolved, group, key));
  if (kept.length > 0) return kept;
  const [first = 1] = keys;
  if (first !== 1) renumber(resolved, group, first);
  return [1];
}

function hasOwnValue(resolved: Resolved, group: OptionGroup, key: number): boolean {
  for (const [name, slots] of resolved.slots) {
    const source = slots.get(key)?.source;
    if (source !== undefined && source !== 'default' && optionRule(name).group === group) return true;
  }
  return false;
}

function renumber(resolved: Resolved, group: OptionGroup, from: number): void {
  for (const [name, slots] of resolved.slots) {
    const slot = slots.get(from);
    if (slot !== undefined && optionRule(name).group === group) slots.set(1, slot);
  }
}

interface Question {
  readonly name: OptionName;
  readonly key: number;
  readonly rule: OptionRule;
  readonly given: Given | undefined;
  readonly line: CommandLine;
  readonly resolved: Resolved;
  readonly warn: (message: string) => void;
}

function resolveOne(question: Question): Slot {
  const { name, key, rule, given, line, resolved } = question;
  const boolean = rule.type === 'boolean';
  const set = given !== undefined && (boolean || !given.negated) && !given.reset;
  const negated = given?.negated === true;
  const reset = given?.reset === true;
  const unset: Slot = { value: undefined, text: undefined, source: 'default', negated, reset };

  const dependency = rule.onlyIf === undefined ? undefined : judge(rule.onlyIf, key, resolved);
  if (dependency !== undefined && !dependency.holds) {
    // from a file or the environment the option may be meant for another command or another value
    if (set && given.source === 'argument') throw unmet(keyedName(name, key), dependency);
    const otherwise = rule.onlyIf?.otherwise;
    return otherwise === undefined ? unset : fromDefault(name, rule, otherwise, false, false);
  }

  if (set) {
    const { source } = given;
    if (boolean) return { value: !negated, text: undefined, source, negated, reset };
    const fullName = keyedName(name, key);
    if (rule.type === 'map' || rule.type === 'list') {
      const value = rule.type === 'list' ? given.texts : readMap(given.texts, fullName, question.warn);
      return { value, text: undefined, source, negated, reset };
    }
    const [text = ''] = given.texts;
    return { value: readValue(rule, text, fullName, dependency), text, source, negated, reset };
  }
  if (negated && !line.help) return { ...unset, source: given?.source ?? 'default' };

  const fallback = impliedValue(rule, key, line) ?? defaultOf(rule, dependency?.word, resolved.program);
  if (fallback !== undefined) return fromDefault(name, rule, fallback, negated, reset);
  if (rule.required === true && !line.help) {
    const message = `${line.command} command requires option: ${keyedName(name, key)}`;
    const hint = rule.section === 'stanza' ? { hint: 'does this stanza exist?' } : {};
    throw new ConfigError('validate', 'option-required', message, hint);
  }
  return unset;
}

function impliedValue({ implied }: OptionRule, key: number, { given }: CommandLine): RuleValue | undefined {
  const isSet = (name: string): boolean => {
    if (!isOptionName(name)) throw new Error(`the table lets '${name}' imply a value, which there is not`);
    const other = given.get(name, key);
    return other !== undefined && !other.negated && !other.reset;
  };
  return implied?.by.some(isSet) === true ? implied.value : undefined;
}

interface Judgement {
  readonly holds: boolean;
  readonly dependency: Dependency;
  /** The option depended on. */
  readonly option: OptionName;
  readonly key: number;
  readonly isSet: boolean;
  /** The value of the option depended on, when it is a word. */
  readonly word: string | undefined;
}

function judge(dependency: Dependency, key: number, resolved: Resolved): Judgement {
  const { option, is } = dependency;
  if (!isOptionName(option)) throw new Error(`the table lets an option depend on '${option}', which there is not`);
  const ownKey = optionRule(option).group === undefined ? noKey : key;
  const value = slotOf(resolved, option, ownKey)?.value;
  return {
    holds: value !== undefined && (is === undefined || is.some(one => one === value)),
    dependency,
    option,
    key: ownKey,
    isSet: value !== undefined,
    word: typeof value === 'string' ? value : undefined,
  };
}

function unmet(fullName: string, judgement: Judgement): ConfigError {
  const allowed = judgement.isSet ? (judgement.dependency.is ?? []) : [];
  const words = allowed.filter(one => typeof one === 'string').map(word => `'${word}'`);
  const no = allowed.includes(false) ? 'no-' : '';
  const list = words.length === 0 ? '' : words.length === 1 ? ` = ${words[0]}` : ` in (${words.join(', ')})`;
  return invalidOption(
    `option '${fullName}' not valid without option '${no}${keyedName(judgement.option, judgement.key)}'${list}`,
  );
}

const isByWord = <T>(rule: T | ByWord<T>): rule is ByWord<T> =>
  typeof rule === 'object' && rule !== null && 'by' in rule;

function defaultOf(rule: OptionRule, word: string | undefined, program: string): RuleValue | undefined {
  if (rule.defaultsToProgram === true) return program;
  const fallback = rule.default;
  if (fallback === undefined || !isByWord<RuleValue>(fallback)) return fallback;
  return word === undefined ? undefined : fallback.by[word];
}

/** The default of an option for help: as the table spells it. @param word the value of the option it depends on */
export function defaultText(rule: OptionRule, word: string | undefined, program: string): string | undefined {
  const fallback = defaultOf(rule, word, program);
  return fallback === undefined ? undefined : spell(fallback);
}

const spell = (value: RuleValue): string => (value === true ? 'y' : value === false ? 'n' : String(value));

function fromDefault(name: OptionName, rule: OptionRule, fallback: RuleValue, negated: boolean, reset: boolean): Slot {
  const value = typeof fallback === 'string' ? convert(rule, fallback) : fallback;
  if (value === undefined) throw new Error(`the table's default of ${name} is no ${rule.type}`);
  const text = typeof value === 'boolean' ? undefined : String(fallback);
  return { value, text, source: 'default', negated, reset };
}

function convert(rule: OptionRule, text: string): number | string | undefined {
  switch (rule.type) {
    case 'integer':
      return parseInteger(text);
    case 'size':
      return parseSize(text);
    case 'time':
      return parseTime(text);
    default:
      return text;
  }
}

function readMap(
  texts: readonly string[],
  fullName: string,
  warn: (message: string) => void,
): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (const text of texts) {
    const pair = parsePair(text);
    if (pair === undefined)
      throw invalidOption(`key/value '${withoutPassword(text)}' not valid for '${fullName}' option`);
    const [key, value] = pair;
    const old = map.get(key);
    if (old !== undefined) {
      const [was, is] = [old, value].map(withoutPassword);
      warn(`key '${key}' value '${was}' is overwritten with '${is}' for '${fullName}' option`);
    }
    map.set(key, value);
  }
  return map;
}

function readValue(rule: OptionRule, text: string, fullName: string, dependency: Judgement | undefined): OptionValue {
  const shown = isRedacted(rule) ? redacted : text;
  const value = convert(rule, text);
  if (value === undefined) throw invalidValue(`'${shown}' is not valid for '${fullName}' option`);
  if (typeof value === 'number') checkRange(rule, value, shown, fullName, dependency);
  else if (rule.type !== 'word') checkText(rule, value, shown, fullName);
  if (rule.allow !== undefined) {
    const allowed = rule.allow.some(one => convert(rule, one) === value);
    if (!allowed) {
      throw invalidValue(
        `'${shown}' is not allowed for '${fullName}' option`,
        `allowed values are ${rule.allow.map(one => `'${one}'`).join(', ')}`,
      );
    }
  }
  // "/path/" and "/path" are the same place; the root keeps its slash
  return rule.type === 'path' && text.length > 1 && text.endsWith('/') ? text.slice(0, -1) : value;
}

function checkRange(
  rule: OptionRule,
  value: number,
  shown: string,
  fullName: string,
  dependency: Judgement | undefined,
): void {
  let range = rule.range;
  if (range === undefined) return;
  let when = '';
  if (isByWord<readonly [RuleValue, RuleValue]>(range)) {
    const word = dependency?.word;
    range = word === undefined ? undefined : range.by[word];
    if (range === undefined) return;
    when = dependency === undefined ? '' : ` when '${keyedName(dependency.option, dependency.key)}' option = '${word}'`;
  }
  const [low, high] = range;
  const lowest = convert(rule, String(low));
  const highest = convert(rule, String(high));
  if (typeof lowest !== 'number' || typeof highest !== 'number')
    throw new Error(`the table's range of ${fullName} is no range`);
  if (value < lowest || value > highest) {
    throw invalidValue(
      `'${shown}' is out of range for '${fullName}' option${when}`,
      `the lowest value is ${low}, the highest ${high}`,
    );
  }
}

function checkText(rule: OptionRule, text: string, shown: string, fullName: string): void {
  if (text === '') throw invalidValue(`'${shown}' must be >= 1 character for '${fullName}' option`);
  if (rule.type !== 'path') return;
  if (!text.startsWith('/')) throw invalidValue(`'${shown}' must begin with / for '${fullName}' option`);
  if (text.includes('//')) throw invalidValue(`'${shown}' cannot contain // for '${fullName}' option`);
}

/** `--repo=N` and `--pg=N` must name an index that is configured. */
function checkSelection(resolved: Resolved): void {
  for (const group of groups) {
    const selected = slotOf(resolved, group, noKey);
    if (typeof selected?.value === 'number' && !resolved.keys[group].includes(selected.value)) {
      throw invalidValue(`key '${selected.text}' is not valid for '${group}' option`);
    }
  }
}
