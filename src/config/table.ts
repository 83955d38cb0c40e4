/** All options merged, and the few facts that are derived from them. */
import type { CommandName, CommandRole } from './command.ts';
import { commandHasRole } from './command.ts';
import type { OptionRule, VariableRule } from './option.ts';
import { archiveOptions } from './options/archive.ts';
import { backupOptions } from './options/backup.ts';
import { bundleOptions } from './options/bundle.ts';
import { commandOptions } from './options/command.ts';
import { generalOptions } from './options/general.ts';
import { logOptions } from './options/log.ts';
import { objectStoreOptions } from './options/object-store.ts';
import { pgOptions } from './options/pg.ts';
import { processOptions } from './options/process.ts';
import { repoOptions } from './options/repo.ts';
import { repoHostOptions } from './options/repo-host.ts';
import { restoreOptions } from './options/restore.ts';
import { retentionOptions } from './options/retention.ts';
import { serverOptions } from './options/server.ts';
import { sftpOptions } from './options/sftp.ts';

export const options = {
  ...archiveOptions,
  ...backupOptions,
  ...bundleOptions,
  ...commandOptions,
  ...generalOptions,
  ...logOptions,
  ...objectStoreOptions,
  ...pgOptions,
  ...processOptions,
  ...repoOptions,
  ...repoHostOptions,
  ...restoreOptions,
  ...retentionOptions,
  ...serverOptions,
  ...sftpOptions,
};

export type OptionTable = typeof options;
export type OptionName = keyof OptionTable;

/** All option names in alphabetical (byte) order, the order of help and of the `command begin` line. */
export const optionNames = (Object.keys(options) as OptionName[]).sort();

export const optionRule = (name: OptionName): OptionRule => options[name];

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(options, name);
}

/** The rules of an option as one command sees them. */
export function ruleFor(name: OptionName, command: CommandName): OptionRule {
  const rule = optionRule(name);
  const variation: VariableRule | undefined = rule.for?.[command];
  return variation === undefined ? rule : { ...rule, ...variation };
}

/** True when the option exists for the command in that role. */
export function optionIsValid(name: OptionName, command: CommandName, role: CommandRole): boolean {
  const rule = optionRule(name);
  if (rule.commands === undefined) {
    if (command === 'help' || command === 'version') return false;
  } else if (!rule.commands.includes(command)) {
    return false;
  }
  const roles = rule.for?.[command]?.roles ?? rule.roles;
  return (roles === undefined || roles.includes(role)) && commandHasRole(command, role);
}

/** True when `--no-x` is accepted for it. */
export function optionNegates(rule: OptionRule): boolean {
  if (rule.negate === true) return true;
  return (rule.type === 'boolean' || rule.booleanLike === true) && rule.section !== 'command-line';
}

/** True when `--reset-x` is accepted for it. */
export const optionResets = (rule: OptionRule): boolean => rule.section !== 'command-line';

/** True when several values may be given. */
export const optionRepeats = (rule: OptionRule): boolean => rule.type === 'list' || rule.type === 'map';

/** `repo1-path` of (`repo-path`, 1); options without index stay as they are. */
export function keyedName(name: OptionName, key: number): string {
  const group = optionRule(name).group;
  return group === undefined ? name : `${group}${key}${name.slice(group.length)}`;
}

/** An old option name: what it means now, and whether it carries an index, may do without, or both. */
export interface FormerName {
  readonly option: OptionName;
  readonly indexed: boolean;
  readonly plain: boolean;
}

/** Old names, without the `?` that stands for an index. */
export const formerNames: ReadonlyMap<string, FormerName> = collectFormerNames();

function collectFormerNames(): ReadonlyMap<string, FormerName> {
  const byName = new Map<string, FormerName>();
  for (const option of optionNames) {
    for (const old of optionRule(option).formerly ?? []) {
      const indexed = old.includes('?');
      const name = indexed ? old.replace('?', '') : old;
      const twin = byName.get(name);
      byName.set(name, {
        option,
        indexed: indexed || twin?.indexed === true,
        plain: !indexed || twin?.plain === true,
      });
    }
  }
  return byName;
}

/**
 * The order in which options are resolved, which decides the first error of several: `stanza` first, because other
 * errors confuse when it is missing; then all options alphabetically as far as what they depend on (for any command) is
 * already there; then again the rest, until none is left.
 */
export const resolveOrder: readonly OptionName[] = orderByDependency();

function orderByDependency(): OptionName[] {
  const rounds = new Map<OptionName, number>();
  const roundOf = (name: OptionName): number => {
    let round = rounds.get(name);
    if (round === undefined) {
      round = 0;
      for (const other of dependencies(name)) round = Math.max(round, roundOf(other) + (other < name ? 0 : 1));
      rounds.set(name, round);
    }
    return round;
  };
  rounds.set('stanza', -1);
  const order: OptionName[][] = [['stanza']];
  for (const name of optionNames) {
    if (name === 'stanza') continue;
    const round = roundOf(name) + 1;
    const list = order[round];
    if (list === undefined) order[round] = [name];
    else list.push(name);
  }
  return order.flat();
}

function dependencies(name: OptionName): OptionName[] {
  const rule = optionRule(name);
  if (rule.onlyIf === undefined && rule.for === undefined) return [];
  const rules: readonly VariableRule[] = [rule, ...Object.values(rule.for ?? {})];
  return rules.flatMap(({ onlyIf }) => (onlyIf !== undefined && isOptionName(onlyIf.option) ? [onlyIf.option] : []));
}
