/** Where the files of a manifest lie in the cluster. */
import { posix } from 'node:path';
import { type Manifest, pgDataTarget } from '../../repo/manifest/manifest.ts';

/**
 * Gives the absolute path of a manifest name. Links are followed by the operating system, so names below PGDATA need no
 * look-up; a tablespace's name starts at its own target.
 */
export function sourcePaths(manifest: Manifest, pgPath: string): (name: string) => string {
  const tablespaces = new Map<string, string>();
  for (const target of manifest.targets) {
    if (target.tablespaceId !== undefined) {
      tablespaces.set(target.name, posix.resolve(`${pgPath}/pg_tblspc`, target.path));
    }
  }
  return name => {
    if (name.startsWith(`${pgDataTarget}/`)) return `${pgPath}${name.slice(pgDataTarget.length)}`;
    const [root, oid] = name.split('/', 2);
    const target = `${root}/${oid}`;
    return `${tablespaces.get(target) ?? `${pgPath}/${target}`}${name.slice(target.length)}`;
  };
}
