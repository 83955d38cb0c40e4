/** Where each name of a manifest lies on this host after remapping. */
import { BackstopError } from '../../base/error.ts';
import { tablespaceDirectory, versionOf } from '../../postgres/versions.ts';
import { type Manifest, type ManifestTarget, pgDataTarget, tablespaceTarget } from '../../repo/manifest/manifest.ts';
import { targetPath } from './remap.ts';

export interface LinkToMake {
  /** Where the link stands. */
  readonly path: string;
  /** What is written in it. */
  readonly destination: string;
  readonly target: ManifestTarget;
  /** The manifest's name of the link. */
  readonly name: string;
}

export class RestoreLayout {
  readonly pgPath: string;
  /** PGDATA without links on its way. */
  readonly realPath: string;
  readonly links: readonly LinkToMake[];
  readonly #tablespaces = new Map<string, string>();
  readonly #fileLinks = new Map<string, string>();

  constructor(manifest: Manifest, pgPath: string, realPath: string) {
    this.pgPath = pgPath;
    this.realPath = realPath;
    const links: LinkToMake[] = [];
    for (const target of manifest.targets) {
      if (target.type !== 'link') continue;
      const path = targetPath(target, this);
      const isTablespace = target.tablespaceId !== undefined;
      if (isTablespace) this.#tablespaces.set(target.name, path);
      if (target.file !== undefined) this.#fileLinks.set(target.name, `${path}/${target.file}`);
      // links are made from targets, never from what else a manifest says, so that none can lead where no target is
      links.push({
        name: isTablespace ? `${pgDataTarget}/${target.name}` : target.name,
        path: isTablespace ? `${pgPath}/${target.name}` : `${pgPath}${target.name.slice(pgDataTarget.length)}`,
        destination: target.file === undefined ? target.path : `${target.path}/${target.file}`,
        target,
      });
    }
    this.links = links;
  }

  /** @throws format for a tablespace file without its tablespace */
  pathOf(name: string): string {
    const file = this.#fileLinks.get(name);
    if (file !== undefined) return file;
    if (name === pgDataTarget || name.startsWith(`${pgDataTarget}/`))
      return this.pgPath + name.slice(pgDataTarget.length);
    const [root, oid] = name.split('/', 2);
    const target = `${root}/${oid}`;
    const path = root === tablespaceTarget ? this.#tablespaces.get(target) : undefined;
    if (path === undefined) throw new BackstopError('format', `'${name}' of the manifest belongs to no target`);
    return path + name.slice(target.length);
  }

  /** False for the directories of a manifest that exist in it only. */
  isReal(pathName: string): boolean {
    return pathName !== tablespaceTarget;
  }

  /**
   * Directories that a restore fills: PGDATA, linked directories, and of a tablespace the directory of the backup's
   * version: beside it clusters of other versions may have theirs.
   */
  directories({ header, targets }: Manifest): { readonly name: string; readonly path: string }[] {
    const own = tablespaceDirectory(versionOf(header.pgVersion), header.catalogVersion);
    return targets
      .filter(target => target.file === undefined)
      .map(target => {
        const place = { name: target.name, path: targetPath(target, this) };
        return target.tablespaceId === undefined
          ? place
          : { name: `${place.name}/${own}`, path: `${place.path}/${own}` };
      });
  }
}
