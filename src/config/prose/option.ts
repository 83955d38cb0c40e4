/** The words for all options, and under which heading help lists each. */
import { type OptionName, optionRule } from '../table.ts';
import { commandOptionProse, generalProse, logProse, processProse, serverProse } from './basic.ts';
import type { OptionProse, Prose } from './prose.ts';
import { bundleProse, objectStoreProse, repoHostProse, repoProse, retentionProse, sftpProse } from './repository.ts';
import { archiveProse, backupProse, pgProse, restoreProse } from './work.ts';

export const optionProse: Readonly<Record<OptionName, OptionProse>> = {
  ...archiveProse,
  ...backupProse,
  ...bundleProse,
  ...commandOptionProse,
  ...generalProse,
  ...logProse,
  ...objectStoreProse,
  ...pgProse,
  ...processProse,
  ...repoProse,
  ...repoHostProse,
  ...restoreProse,
  ...retentionProse,
  ...serverProse,
  ...sftpProse,
};

/** The words for an option as one command uses it. */
export function proseFor(name: OptionName, command: string): Prose {
  const prose = optionProse[name];
  return prose.for?.[command] ?? prose;
}

export type HelpSection = 'command' | 'general' | 'log' | 'maintainer' | 'repository' | 'stanza';

const maintainer = /^(archive-header-check|page-header-check|pg-version-force)$/;
// these stand elsewhere in the table, but the reference lists them here
const alsoGeneral = /^(compress|compress-level|compress-type|db-timeout|dry-run|raw|spool-path)$/;

/** The heading under which the help of a command lists an option. */
export function helpSection(name: OptionName, command: string): HelpSection {
  const rule = optionRule(name);
  if (optionProse[name].for?.[command] !== undefined) return 'command';
  if (maintainer.test(name)) return 'maintainer';
  if (name in logProse) return 'log';
  if (rule.group === 'pg') return 'stanza';
  if (rule.group === 'repo' || /^repo(-target-time)?$/.test(name)) return 'repository';
  return name in generalProse || name in processProse || alsoGeneral.test(name) ? 'general' : 'command';
}
