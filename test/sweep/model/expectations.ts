/** What a command may come to: labels, what a new backup builds upon, what unfinished backups hold. */
import { isBackstopError } from '../../../src/base/error.ts';
import { fullLabelOf, typeOfLabel } from '../../../src/repo/label.ts';
import { manifestFile } from '../../../src/repo/layout.ts';
import type { BackupType } from './model.ts';
import type { RepoState, World } from './world.ts';

/** What a backup of this type becomes, and what it will need. */
export function needed(
  { dbs }: World,
  { backups }: RepoState,
  type: BackupType,
): { readonly type: BackupType; readonly needs: readonly string[] } {
  if (type === 'full') return { type, needs: [] };
  const prior = backups
    .filter(backup => backup.dbId === dbs.length && (type === 'incr' || backup.type === 'full'))
    .at(-1);
  return prior === undefined ? { type: 'full', needs: [] } : { type, needs: [...prior.needs, prior.label] };
}

interface Planned {
  readonly repo: RepoState;
  readonly type: BackupType;
  readonly needs: readonly string[];
  /** Labels that the repository knew before. */
  readonly known: readonly string[];
}

/** Labels that a new one of this set must be greater than. */
const rivals = ({ needs, known }: Pick<Planned, 'needs' | 'known'>): string[] => {
  const [full] = needs;
  return full === undefined ? [...known] : known.filter(label => label.startsWith(full));
};

export const checkLabel = {
  /** What a new label must not be confused with, but for a directory that the backup goes on with or clears away. */
  known({ disk }: RepoState): string[] {
    const complete = new Set<string>(disk.complete());
    const directories = disk.directories();
    const newest = directories.at(-1);
    const isStaying = (label: string) => label !== newest || complete.has(label);
    const history = [...disk.history()];
    const year = history
      .map(label => label.slice(0, 4))
      .sort()
      .at(-1);
    const known = [...directories, ...history.filter(label => label.slice(0, 4) === year)];
    return [...new Set(known)].filter(isStaying).sort();
  },

  isNext(label: string, type: BackupType, needs: readonly string[], known: readonly string[]): void {
    if (typeOfLabel(label as never) !== type) throw new Error(`${label} should be a ${type} backup`);
    const [full] = needs;
    if (full !== undefined && fullLabelOf(label as never) !== full)
      throw new Error(`${label} is not of the set of ${full}`);
    const later = rivals({ needs, known }).filter(other => other >= label);
    if (later.length > 0) throw new Error(`label ${label} is not later than ${later.join(', ')}`);
  },

  /** Whether the clock is behind the labels of a repository, so that it cannot have a new one. */
  isLate(world: World, plans: readonly Planned[], begun: number): boolean {
    const time = world.labelTime(begun + 1);
    return plans.some(plan => {
      const newest = rivals(plan).sort().at(-1) ?? '';
      const [full] = plan.needs;
      const label = full === undefined ? `${time}F` : `${full}_${time}${plan.type === 'diff' ? 'D' : 'I'}`;
      return label <= newest;
    });
  },
};

/** What must be left of directories after an expire: of unfinished backups only those that may go on. */
export function checkExpired({ clock }: World, { disk, backups, key }: RepoState): void {
  const listed = new Set(backups.map(({ label }) => label));
  const directories = disk.directories();
  const history = disk.history();
  for (const label of directories) {
    if (listed.has(label)) continue;
    const base = `backup/demo/${label}`;
    const mayGoOn = disk.has(`${base}/backup.manifest.copy`) || !history.has(label);
    if (disk.has(`${base}/backup.manifest`)) throw new Error(`repo${key}: ${label} should be gone, it is whole`);
    // others are cut off by the next backup; those of the last hour may be of another host
    const isNewest = label === directories.at(-1);
    if (!mayGoOn || (!isNewest && disk.ageOf(label, clock.seconds) > 3600))
      throw new Error(`repo${key}: ${label} should be gone, nothing goes on with it`);
  }
}

export function checkUnchanged(repos: readonly RepoState[], photographs: readonly (readonly string[])[]): void {
  for (const [index, { disk, key }] of repos.entries()) {
    const before = photographs[index]?.join('\n');
    if (disk.photograph().join('\n') !== before) throw new Error(`repo${key}: a dry run has changed something`);
  }
}

/** Labels that unfinished backups depend on. */
export async function unfinishedUse({ clock }: World, repo: RepoState): Promise<Set<string>> {
  const { disk, backups } = repo;
  const complete = new Set<string>(disk.complete());
  const directories = disk.directories();
  const history = disk.history();
  const used = new Set<string>();
  for (const label of directories) {
    if (complete.has(label) || typeOfLabel(label) === 'full') continue;
    const hasCopy = disk.has(`backup/demo/${label}/backup.manifest.copy`);
    if (!hasCopy && history.has(label)) continue;
    if (label !== directories.at(-1) && disk.ageOf(label, clock.seconds) >= 3600) continue;
    for (const name of (await referencesOf(repo, label)) ?? olderOfSet(repo, label)) {
      used.add(name);
      for (const more of backups.find(backup => backup.label === name)?.needs ?? []) used.add(more);
    }
  }
  return used;
}

const olderOfSet = ({ backups }: RepoState, label: string): string[] =>
  backups.map(backup => backup.label).filter(name => name.slice(0, 16) === label.slice(0, 16) && name < label);

async function referencesOf({ disk }: RepoState, label: string): Promise<string[] | undefined> {
  if (!disk.has(`backup/demo/${label}/backup.manifest.copy`)) return undefined;
  const { cipherPass } = await disk.info();
  try {
    const { header } = await disk.repo.readManifest(`${manifestFile('demo', label as never)}.copy`, cipherPass);
    return [...header.references, ...(header.prior === undefined ? [] : [header.prior])].filter(name => name !== label);
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    return undefined;
  }
}
