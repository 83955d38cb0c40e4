/** The files behind a command's locks (format, section 9.1). */
import type { LockKind } from '../config/command.ts';

/** What is needed of settings. */
export interface LockSettings {
  readonly values: {
    readonly 'lock-path'?: string | undefined;
    readonly stanza?: string | undefined;
    readonly repo?: number | undefined;
  };
  readonly repos: readonly { readonly key: number }[];
}

/**
 * One per kind and repository, in a fixed order.
 *
 * Beside the names of level 2.59.1 (`demo-backup-1.lock`) there is the older name without a repository key, which Debian's
 * 2.45 uses: somebody who moves from one to the other must not get two backups at once.
 */
export function lockPaths({ values, repos }: LockSettings, lock: LockKind): string[] {
  if (lock === 'none') return [];
  const keys = values.repo === undefined ? repos.map(repo => repo.key) : [values.repo];
  return (lock === 'all' ? ['archive', 'backup', 'restore'] : [lock]).flatMap(kind => {
    const base = `${values['lock-path']}/${values.stanza}-${kind}`;
    return [...keys.map(key => `${base}-${key}.lock`), `${base}.lock`];
  });
}

/** The first descriptor after stdio: where a process that is started with locks in its hands finds them, in this order. */
export const firstInherited = 3;
