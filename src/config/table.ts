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
  indexed: boolean;
  plain: boolean;
}

/** Old names (without the `?`) in alphabetical order. */
export const formerNames: ReadonlyMap<string, FormerName> = collectFormerNames();

function collectFormerNames(): ReadonlyMap<string, FormerName> {
  const found: [string, FormerName][] = [];
  const byName = new Map<string, FormerName>();
  for (const option of optionNames) {
    for (const old of optionRule(option).formerly ?? []) {
      const name = old.replace('?', '');
      let former = byName.get(name);
      if (former === undefined) {
        former = { option, indexed: false, plain: false };
        byName.set(name, former);
        found.push([name, former]);
      }
      if (old.includes('?')) former.indexed = true;
      else former.plain = true;
    }
  }
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * The order in which options are resolved: `stanza` first because other errors confuse when it is missing, then
 * alphabetical, but never before an option that it depends on for any command.
 */
export const resolveOrder: readonly OptionName[] = orderByDependency();

function orderByDependency(): OptionName[] {
  const order = new Set<OptionName>(['stanza']);
  while (order.size < optionNames.length) {
    const before = order.size;
    for (const name of optionNames) {
      if (!order.has(name) && dependencies(name).every(other => order.has(other))) order.add(name);
    }
    if (order.size === before) throw new Error('options depend on each other in a circle');
  }
  return [...order];
}

function dependencies(name: OptionName): OptionName[] {
  const rule = optionRule(name);
  const found: string[] = rule.onlyIf === undefined ? [] : [rule.onlyIf.option];
  if (rule.for !== undefined) {
    for (const variation of Object.values(rule.for)) {
      if (variation.onlyIf !== undefined) found.push(variation.onlyIf.option);
    }
  }
  return found.filter(isOptionName);
}
