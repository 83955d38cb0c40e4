/** Checks on what a manifest says, because a repository may have been altered by anybody. */
import { BackstopError } from '../../base/error.ts';
import type { ManifestFile } from './file-table.ts';
import { emptyChecksum, type Manifest, type ManifestTarget, pgDataTarget, tablespaceTarget } from './manifest.ts';

const alteredHint = 'the backup was altered or is corrupt: restore another one, and run verify.';

/**
 * A name of a file, path or link in a manifest: relative, below `pg_data` or `pg_tblspc`, without empty, `.` or `..` parts.
 * Anything else could be written outside of the restore target.
 * @throws format
 */
export function checkManifestName(name: string, what: 'file' | 'path' | 'link' | 'target'): void {
  const parts = name.split('/');
  const [root] = parts;
  const rooted = root === pgDataTarget || root === tablespaceTarget;
  const clean = parts.every(part => part !== '' && part !== '.' && part !== '..') && !name.includes('\0');
  const alone = parts.length === 1 && (what === 'file' || what === 'link');
  if (!rooted || !clean || alone) {
    throw new BackstopError('format', `manifest holds an invalid ${what} name '${name}'`, { hint: alteredHint });
  }
}

/**
 * What the targets of a manifest must be: PGDATA once and as a path; everything else a link, and a tablespace exactly when
 * its name is `pg_tblspc/OID`. A target is where a restore makes directories and removes what it does not know.
 * @throws format
 */
export function checkManifestTargets(targets: readonly ManifestTarget[]): void {
  const names = new Set<string>();
  for (const { name, type, tablespaceId } of targets) {
    const isTablespace = name.startsWith(`${tablespaceTarget}/`) || tablespaceId !== undefined;
    const fits =
      name === pgDataTarget
        ? type === 'path' && !isTablespace
        : type === 'link' &&
          (isTablespace ? name === `${tablespaceTarget}/${tablespaceId}` : name !== tablespaceTarget);
    if (!fits || names.has(name)) {
      throw new BackstopError('format', `manifest holds an invalid target '${name}'`, { hint: alteredHint });
    }
    names.add(name);
  }
  if (!names.has(pgDataTarget)) {
    throw new BackstopError('format', `manifest has no target '${pgDataTarget}'`, { hint: alteredHint });
  }
}

/** Which target a name of a manifest lies in when it is a tablespace: `pg_tblspc/16384`; undefined in PGDATA. */
export function tablespaceOf(name: string): string | undefined {
  if (!name.startsWith(`${tablespaceTarget}/`)) return undefined;
  const end = name.indexOf('/', tablespaceTarget.length + 1);
  return end === -1 ? name : name.slice(0, end);
}

/** @throws format when a tablespace that names of the manifest lie in is no target */
export function checkTablespaces(used: Iterable<string>, targets: readonly ManifestTarget[]): void {
  const known = new Set(targets.map(({ name }) => name));
  for (const name of used) {
    if (known.has(name)) continue;
    throw new BackstopError('format', `manifest holds files or paths of '${name}', which is no target`, {
      hint: alteredHint,
    });
  }
}

/**
 * What must hold of every file before a manifest is final: a checksum, the right one for an empty file, and stored bytes for
 * a file that is not empty.
 * @throws format with the first three files that fail
 */
export function checkFinalManifest(manifest: Manifest): void {
  const problems: string[] = [];
  for (let i = 0; i < manifest.files.length && problems.length < 3; i++) {
    const problem = problemOf(manifest.files.get(i));
    if (problem !== undefined) problems.push(problem);
  }
  if (problems.length > 0) {
    throw new BackstopError('format', `manifest validation failed:\n${problems.join('\n')}`);
  }
}

function problemOf(file: ManifestFile): string | undefined {
  if (file.checksum === undefined) return `missing checksum for file '${file.name}'`;
  if (file.size === 0 && file.checksum !== emptyChecksum)
    return `invalid checksum '${file.checksum}' for zero size file '${file.name}'`;
  if (file.size > 0 && file.sizeRepo === 0) return `repo size must be > 0 for file '${file.name}'`;
  return undefined;
}
