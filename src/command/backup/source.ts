/** Where the files of a manifest lie in the cluster. */
import { pgDataTarget } from '../../repo/manifest/manifest.ts';

/**
 * The absolute path of a manifest name below a data directory. Links are followed by the operating system, those of
 * tablespaces too: a standby on the same host has its tablespaces elsewhere.
 */
export function sourcePath(pgPath: string, name: string): string {
  return `${pgPath}/${name.startsWith(`${pgDataTarget}/`) ? name.slice(pgDataTarget.length + 1) : name}`;
}
