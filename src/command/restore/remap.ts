/** Puts the targets, links and tablespaces of a manifest where this restore wants them (behaviour, section 5.3). Pure. */
import { posix } from 'node:path';
import { BackstopError } from '../../base/error.ts';
import { type Manifest, type ManifestTarget, pgDataTarget } from '../../repo/manifest/manifest.ts';

export interface RemapOptions {
  /** Where PGDATA goes. */
  readonly pgPath: string;
  /** PGDATA without links on its way: what relative links in it start from. */
  readonly realPath: string;
  readonly tablespaceMap: ReadonlyMap<string, string>;
  readonly tablespaceMapAll: string | undefined;
  readonly linkMap: ReadonlyMap<string, string>;
  readonly linkAll: boolean;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
}

/** Changes targets and links of the manifest. @throws tablespace-map, link-map, link-destination */
export function remapManifest(manifest: Manifest, options: RemapOptions): void {
  remapData(manifest, options);
  remapTablespaces(manifest, options);
  remapLinks(manifest, options);
  checkLinks(manifest, options);
}

function replace(manifest: Manifest, index: number, target: ManifestTarget): void {
  manifest.targets[index] = target;
}

function remapData(manifest: Manifest, { pgPath, info }: RemapOptions): void {
  const index = manifest.targets.findIndex(target => target.name === pgDataTarget);
  const target = manifest.targets[index];
  if (target === undefined) throw new BackstopError('format', 'manifest has no data directory');
  if (target.path === pgPath) return;
  info(`remap data directory to '${pgPath}'`);
  replace(manifest, index, { ...target, path: pgPath });
}

function remapTablespaces(manifest: Manifest, { tablespaceMap, tablespaceMapAll, info }: RemapOptions): void {
  const unused = new Set(tablespaceMap.keys());
  for (const [index, target] of manifest.targets.entries()) {
    const { tablespaceId: id, tablespaceName: name } = target;
    if (id === undefined) continue;
    const byName = name === undefined ? undefined : tablespaceMap.get(name);
    const byId = tablespaceMap.get(String(id));
    if (byName !== undefined && byId !== undefined && name !== String(id)) {
      throw new BackstopError(
        'tablespace-map',
        `tablespace remapped by name '${name}' and id ${id} with different paths`,
      );
    }
    unused.delete(String(id));
    if (name !== undefined) unused.delete(name);
    const path =
      byName ?? byId ?? (tablespaceMapAll === undefined ? undefined : below(tablespaceMapAll, name ?? `ts${id}`));
    if (path === undefined || path === target.path) continue;
    info(`map tablespace '${target.name}' to '${path}'`);
    replace(manifest, index, { ...target, path });
    setLink(manifest, `${pgDataTarget}/${target.name}`, path);
  }
  const [unknown] = unused;
  if (unknown !== undefined) {
    throw new BackstopError('tablespace-map', `unable to remap invalid tablespace '${unknown}'`, {
      hint: 'info with option set lists the tablespaces of a backup.',
    });
  }
}

/** The place of a tablespace in a directory for all of them. A name may have slashes, but must not lead out of it. */
function below(directory: string, name: string): string {
  if (!name.split('/').some(part => part === '' || part === '.' || part === '..') && !name.includes('\0')) {
    return `${directory}/${name}`;
  }
  throw new BackstopError('tablespace-map', `tablespace '${name}' cannot be put into '${directory}' under its name`, {
    hint: 'give it a place with option tablespace-map.',
  });
}

function remapLinks(manifest: Manifest, { linkMap, linkAll, info, warn }: RemapOptions): void {
  for (const [name, destination] of linkMap) mapLink(manifest, name, destination, info);
  if (linkAll) return;
  // a link that nobody asked for becomes an ordinary file or directory: its old place may not exist here
  for (let index = manifest.targets.length - 1; index >= 0; index--) {
    const target = manifest.targets[index];
    if (target === undefined || target.type !== 'link' || target.tablespaceId !== undefined) continue;
    const relative = target.name.slice(pgDataTarget.length + 1);
    if (linkMap.has(relative)) continue;
    warn(
      target.file === undefined
        ? `contents of directory link '${relative}' will be restored in a directory at the same location`
        : `file link '${relative}' will be restored as a file at the same location`,
    );
    manifest.targets.splice(index, 1);
    const link = manifest.links.findIndex(({ name }) => name === target.name);
    if (link >= 0) manifest.links.splice(link, 1);
  }
}

function mapLink(manifest: Manifest, relative: string, destination: string, info: (message: string) => void): void {
  const name = `${pgDataTarget}/${relative}`;
  const index = manifest.targets.findIndex(target => target.name === name);
  const target = manifest.targets[index];
  if (target?.tablespaceId !== undefined || relative.startsWith('pg_tblspc/')) {
    throw new BackstopError('link-map', `unable to remap tablespace '${relative}'`, {
      hint: 'use option tablespace-map.',
    });
  }
  const isFile = target === undefined ? manifest.files.find(name) !== undefined : target.file !== undefined;
  const isPath = manifest.paths.some(path => path.name === name);
  if (target === undefined && !isFile && !isPath) {
    throw new BackstopError('link-map', `unable to map invalid link '${relative}'`, {
      hint: 'a link is named by its path below the data directory.',
    });
  }
  const { dir, base } = posix.parse(destination);
  if (isFile && (base === '' || dir === '')) {
    throw new BackstopError(
      'link-map',
      `'${destination}' is not long enough to be the destination for file link '${relative}'`,
    );
  }
  info(`map link '${relative}' to '${destination}'`);
  const mapped: ManifestTarget = isFile
    ? { name, type: 'link', path: dir, file: base }
    : { name, type: 'link', path: destination };
  if (target === undefined) manifest.targets.push(mapped);
  else replace(manifest, index, mapped);
  setLink(manifest, name, destination);
}

function setLink(manifest: Manifest, name: string, destination: string): void {
  const index = manifest.links.findIndex(link => link.name === name);
  const link = manifest.links[index];
  if (link !== undefined) {
    manifest.links[index] = { ...link, destination };
    return;
  }
  const base = manifest.paths.find(path => path.name === pgDataTarget);
  manifest.links.push({ name, destination, user: base?.user ?? false, group: base?.group ?? false });
}

/** Directory of a target on disk: links may be written relative to where they stand, which is where PGDATA really is. */
export function targetPath(
  target: ManifestTarget,
  { pgPath, realPath }: Pick<RemapOptions, 'pgPath' | 'realPath'>,
): string {
  if (target.name === pgDataTarget) return pgPath;
  const linkName = target.tablespaceId === undefined ? target.name.slice(pgDataTarget.length + 1) : target.name;
  return posix.resolve(posix.dirname(`${realPath}/${linkName}`), target.path);
}

/** What two links lead to must not mix, neither with each other nor with PGDATA. @throws link-destination */
function checkLinks(manifest: Manifest, { pgPath, realPath }: RemapOptions): void {
  const links = manifest.targets
    .filter(({ type }) => type === 'link')
    .map(target => ({
      name: target.name.startsWith(`${pgDataTarget}/`) ? target.name.slice(pgDataTarget.length + 1) : target.name,
      path: targetPath(target, { pgPath, realPath }),
      file: target.file,
      isTablespace: target.tablespaceId !== undefined,
    }));
  const refuse = (message: string): never => {
    throw new BackstopError('link-destination', message, {
      hint: 'give each tablespace and link a place of its own, outside the data directory.',
    });
  };
  for (const [index, link] of links.entries()) {
    const { name, path, file } = link;
    if (contains(pgPath, path) || contains(realPath, path)) {
      refuse(`link '${name}' destination '${path}' is in PGDATA`);
    }
    // of a tablespace's directory only the part of our version is touched
    if (file === undefined && !link.isTablespace && (contains(path, pgPath) || contains(path, realPath))) {
      refuse(`link '${name}' destination '${path}' holds PGDATA`);
    }
    for (const other of links.slice(0, index)) {
      if (file !== undefined && other.file !== undefined) {
        if (path !== other.path || file !== other.file) continue;
        const place = `${path}/${file}`;
        refuse(`link '${name}' (${place}) destination is the same file as link '${other.name}' (${place})`);
      }
      if (path === other.path) {
        refuse(`link '${name}' (${path}) destination is the same directory as link '${other.name}' (${path})`);
      }
      if (file !== undefined || other.file !== undefined) continue;
      const [inner, outer] = contains(other.path, path) ? [link, other] : [other, link];
      if (!contains(outer.path, inner.path)) continue;
      refuse(
        `link '${inner.name}' (${inner.path}) destination is a subdirectory of link '${outer.name}' (${outer.path})`,
      );
    }
  }
}

const contains = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(`${outer}/`);
