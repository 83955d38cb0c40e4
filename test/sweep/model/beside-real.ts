/** Expire of the real tool on a copy of the repositories, where both are documented to do the same. */
import { cpSync, rmSync } from 'node:fs';
import type { RealPgbackrest } from '../../support/real-pgbackrest.ts';
import type { Sweep } from '../../support/sweep/sweep.ts';
import { same } from './check.ts';
import { RepoOnDisk } from './on-disk.ts';
import type { Step } from './steps.ts';
import type { Beside } from './story.ts';
import type { RepoState, World } from './world.ts';

/**
 * Not with time-based retention, in which releases differ, nor with what the real clock decides; nor where an unfinished backup
 * lies, or a newer backup on an older timeline, which we keep more for.
 */
function isComparable(world: World, step: Step): boolean {
  if (step.kind !== 'expire' || step.break !== undefined || step.oldest === true || step.before !== undefined)
    return false;
  if (step.dryRun === true) return false;
  return world.chosen(step.repo).every(repo => {
    const { retention, backups, disk, isUnsettled } = repo;
    if (isUnsettled || retention.fullType === 'time' || retention.history !== undefined) return false;
    if (disk.directories().length !== disk.complete().length) return false;
    return inOrder(backups);
  });
}

function inOrder(backups: RepoState['backups']): boolean {
  const starts = backups.map(({ dbId, wal }) => [dbId, wal?.[0] ?? ''] as const);
  return starts.every(([dbId, start], index) =>
    starts.slice(index).every(([other, later]) => other !== dbId || later >= start),
  );
}

export function besideReal(real: RealPgbackrest, sweep: Sweep): Beside {
  return async (world, step, perform) => {
    if (step.kind !== 'expire' || !isComparable(world, step)) return await perform();
    const repos = world.chosen(step.repo);
    const copies = repos.map(({ key, disk }) => {
      const path = `${disk.path}-real`;
      rmSync(path, { recursive: true, force: true });
      cpSync(disk.path, path, { recursive: true, verbatimSymlinks: true });
      return new RepoOnDisk(key, path, disk.repo.settings.cipherPass);
    });
    const set = world.setOf(step);
    for (const { repo, path } of copies) {
      const args = [
        `--repo=${repo.key}`,
        `--repo${repo.key}-path=${path}`,
        ...(set === undefined ? [] : [`--set=${set}`]),
      ];
      const { code, output } = await world.bed.foreign(real.path, 'expire', args);
      // what it refuses stays as it is there, and so it must here
      const isRefused = set !== undefined && output.includes('cannot be expired until another full backup');
      if (code !== 0 && !isRefused) throw new Error(`the real expire ended with ${code}\n${output}`);
    }
    await perform();
    for (const [index, { disk, key }] of repos.entries()) {
      const theirs = copies[index];
      if (theirs === undefined) continue;
      same(`repo${key}: backups beside the real tool`, disk.complete(), theirs.complete());
      const [ours, other] = [disk.archive(), theirs.archive()];
      const flat = (archive: typeof ours) =>
        [...archive].flatMap(([id, names]) => [...names].map(name => `${id} ${name}`));
      same(`repo${key}: archive beside the real tool`, flat(ours), flat(other));
      sweep.tried('expire beside the real tool');
    }
  };
}
