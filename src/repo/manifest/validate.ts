/** Checks on what a manifest says, because a repository may have been altered by anybody. */
import { BackstopError } from '../../base/error.ts';
import type { ManifestFile } from './file-table.ts';
import { emptyChecksum, type Manifest, pgDataTarget, tablespaceTarget } from './manifest.ts';

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
    throw new BackstopError('format', `manifest holds an invalid ${what} name '${name}'`, {
      hint: 'the backup was altered or is corrupt: restore another one, and run verify.',
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
