/**
 * Finds the real pgBackRest, the judge of the compatibility tests. Our own executable has the same name, so a candidate
 * must say who it is.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface RealPgbackrest {
  /** Absolute path of the executable. */
  readonly path: string;
  /** Such as `2.45`. */
  readonly version: string;
}

/**
 * What a test may expect depends on what the real tool is: Debian's is older than the level that we follow.
 * @param level such as `2.46`
 * @returns true when the tool is of this release or a later one; false when there is none
 */
export function isSince(real: RealPgbackrest | undefined, level: string): boolean {
  return real !== undefined && real.version.localeCompare(level, 'en', { numeric: true }) >= 0;
}

/** How a reader of skipped tests gets what they need. */
export const skipReason =
  "compatibility tests skipped: the real pgbackrest is not on PATH (Debian: 'apt-get install pgbackrest postgresql-15'; or name it in PGBACKSTOP_REAL_PGBACKREST)";

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @returns the version when the executable is the real tool: ours adds its own name to the line */
function versionOf(path: string): string | undefined {
  const line = execFileSync(path, ['version'], { encoding: 'utf8' });
  return /^pgBackRest (\d[\w.]*)\s*$/.exec(line)?.[1];
}

/**
 * @param env where PATH is taken from; PGBACKSTOP_REAL_PGBACKREST names one executable instead
 * @returns undefined when there is none
 */
export function findRealPgbackrest(env: NodeJS.ProcessEnv = process.env): RealPgbackrest | undefined {
  const named = env.PGBACKSTOP_REAL_PGBACKREST;
  const candidates = named ? [named] : (env.PATH ?? '').split(delimiter).map(folder => join(folder, 'pgbackrest'));
  for (const path of candidates.filter(isExecutable)) {
    const version = versionOf(path);
    if (version !== undefined) return { path, version };
  }
  return undefined;
}

/**
 * For a suite that cannot run without the real tool.
 * @returns the tool, or undefined when the suite is to be skipped (`describe.skipIf(real === undefined)`)
 * @throws where PGBACKSTOP_REQUIRE_COMPAT=1 forbids skipping, as in CI
 */
export function requireCompat(env: NodeJS.ProcessEnv = process.env): RealPgbackrest | undefined {
  const real = findRealPgbackrest(env);
  if (real === undefined && env.PGBACKSTOP_REQUIRE_COMPAT === '1') {
    throw new Error(`PGBACKSTOP_REQUIRE_COMPAT is set, but ${skipReason}`);
  }
  return real;
}
