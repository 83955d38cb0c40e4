/** Walks a cluster's directories into a manifest (behaviour, section 4.3). */
import { posix } from 'node:path';
import { BackstopError } from '../../base/error.ts';
import { keepHeapsSmall } from '../../base/heap.ts';
import { compareBytes } from '../../base/json.ts';
import type { OwnerNames } from '../../base/owner.ts';
import { type DirectoryRules, defineFileRules, findUnlogged } from '../../postgres/files.ts';
import { type PostgresVersion, tablespaceDirectory } from '../../postgres/versions.ts';
import type { FileInfo, FileType, Storage } from '../../storage/storage.ts';
import { emptyManifest, type Manifest, type ManifestHeader, pgDataTarget, tablespaceTarget } from './manifest.ts';

export interface BuildSettings {
  readonly storage: Storage;
  readonly header: ManifestHeader;
  /** PGDATA. */
  readonly path: string;
  readonly version: PostgresVersion;
  readonly catalogVersion: number;
  readonly online: boolean;
  readonly checksumPage: boolean;
  /** The exclude option. */
  readonly exclude: readonly string[];
  /** Tablespaces of the server by oid; undefined when offline, where names are not known. */
  readonly tablespaces: ReadonlyMap<number, string> | undefined;
  readonly owners: OwnerNames;
  readonly onWarning: (message: string) => void;
  readonly onInfo: (message: string) => void;
}

/**
 * Makes the manifest of a cluster as it looks now: files with size and time, no checksums.
 * @throws link-destination, link-expected, format for links that a backup cannot follow
 */
export async function buildManifest(settings: BuildSettings): Promise<Manifest> {
  keepHeapsSmall();
  const manifest = emptyManifest(settings.header);
  await new Walk(settings, manifest).run();
  manifest.files.sort();
  manifest.paths.sort((a, b) => compareBytes(a.name, b.name));
  manifest.links.sort((a, b) => compareBytes(a.name, b.name));
  manifest.targets.sort((a, b) => compareBytes(a.name, b.name));
  return manifest;
}

class Walk {
  readonly #settings: BuildSettings;
  readonly #manifest: Manifest;
  readonly #rules: ReturnType<typeof defineFileRules>;
  /** Real directories that targets cover, to find links that overlap. */
  readonly #covered: { readonly name: string; readonly path: string }[] = [];

  constructor(settings: BuildSettings, manifest: Manifest) {
    this.#settings = settings;
    this.#manifest = manifest;
    this.#rules = defineFileRules(settings);
  }

  async run(): Promise<void> {
    const { path, storage } = this.#settings;
    // PGDATA may be a link: its directory counts
    const info = await storage.info(`${path}/.`);
    if (info === undefined)
      throw new BackstopError('path-missing', `unable to list file info for missing path '${path}'`);
    this.#manifest.targets.push({ name: pgDataTarget, type: 'path', path });
    this.#covered.push({ name: pgDataTarget, path });
    this.#addPath(pgDataTarget, info);
    await this.#directory(pgDataTarget, path);
  }

  async #directory(name: string, path: string): Promise<void> {
    const rules = this.#rules.directory(name);
    const { storage } = this.#settings;
    // names alone: what is known of each of a million files would not fit into memory at once
    const names = await storage.names(path);
    names.sort(compareBytes);
    const isUnlogged = rules.isDatabase ? findUnlogged(names) : undefined;
    for (const entryName of names) {
      if (isUnlogged?.(entryName)) continue;
      const entry = await storage.info(`${path}/${entryName}`);
      // what vanished since the directory was read is not there
      if (entry !== undefined) await this.#entry(name, path, entry, rules);
    }
  }

  async #entry(parent: string, parentPath: string, entry: FileInfo, rules: DirectoryRules): Promise<void> {
    const name = `${parent}/${entry.name}`;
    const path = `${parentPath}/${entry.name}`;
    const { keeping, exclusion } = rules.judge(entry.name, await this.#judgedType(parent, parentPath, entry));
    if (exclusion !== undefined) {
      const contents = keeping === 'empty' ? 'contents of ' : '';
      this.#settings.onInfo(`exclude ${contents}'${path}' from backup using '${exclusion}' exclusion`);
    }
    if (keeping !== 'skip') checkName(entry.name, parentPath);
    switch (keeping) {
      case 'skip':
        return;
      case 'special':
        this.#settings.onWarning(`exclude special file '${path}' from backup`);
        return;
      case 'empty':
        if (entry.type === 'link') await this.#link(name, parentPath, entry, 'empty');
        else this.#addPath(name, entry);
        return;
      case 'keep':
        break;
    }
    const tablespaceParent = `${pgDataTarget}/pg_tblspc`;
    if (parent === tablespaceParent && entry.type !== 'link') {
      throw new BackstopError(
        'link-expected',
        `'${entry.name}' is not a symlink - pg_tblspc should contain only symlinks`,
      );
    }
    switch (entry.type) {
      case 'path':
        this.#addPath(name, entry);
        await this.#directory(name, path);
        return;
      case 'link':
        await this.#link(name, parentPath, entry, 'keep');
        return;
      default:
        this.#addFile(name, entry, rules);
    }
  }

  /** A link is judged as what it leads to: the directories that are emptied and the files that are left out may be behind one. */
  async #judgedType(parent: string, parentPath: string, entry: FileInfo): Promise<FileType> {
    if (entry.type !== 'link' || parent === `${pgDataTarget}/pg_tblspc`) return entry.type;
    // what is missing is complained of only when the link is kept
    const info = await this.#settings.storage.info(placeOf(parentPath, entry.destination ?? ''));
    return info?.type ?? 'link';
  }

  #addFile(name: string, info: FileInfo, rules: DirectoryRules): void {
    const base = name.slice(name.lastIndexOf('/') + 1);
    this.#manifest.files.add({
      name,
      size: info.size,
      sizeOriginal: info.size,
      sizeRepo: info.size,
      timestamp: info.mtime,
      ...(this.#settings.checksumPage && rules.hasPageChecksums(base) ? { checksumPage: true } : {}),
      bundleId: 0,
      bundleOffset: 0,
      blockSize: 0,
      blockChecksumSize: 0,
      blockMapSize: 0,
      mode: info.mode & 0o777,
      ...this.#owner(info),
    });
  }

  #addPath(name: string, info: FileInfo): void {
    this.#manifest.paths.push({ name, mode: info.mode & 0o777, ...this.#owner(info) });
  }

  #owner(info: FileInfo): { user: string | false; group: string | false } {
    const { owners } = this.#settings;
    return { user: owners.userName(info.userId) ?? false, group: owners.groupName(info.groupId) ?? false };
  }

  async #link(name: string, parentPath: string, link: FileInfo, keeping: 'keep' | 'empty'): Promise<void> {
    const { storage } = this.#settings;
    const destination = link.destination ?? '';
    const resolved = posix.resolve(parentPath, destination);
    const place = placeOf(parentPath, destination);
    const info = await storage.info(place);
    if (info?.type === 'link') {
      throw new BackstopError(
        'link-destination',
        `link '${parentPath}/${link.name}' cannot reference another link '${resolved}'`,
      );
    }
    this.#manifest.links.push({ name, destination, ...this.#owner(link) });
    if (name.startsWith(`${pgDataTarget}/pg_tblspc/`)) {
      await this.#tablespace(link.name, parentPath, destination, resolved, info);
      return;
    }
    if (info === undefined) {
      throw new BackstopError('file-open', `unable to get info for missing path/file '${resolved}'`, {
        hint: `does the link '${parentPath}/${link.name}' point to something that exists?`,
      });
    }
    if (info.type === 'path') {
      this.#cover(name, resolved, `${parentPath}/${link.name}`);
      this.#manifest.targets.push({ name, type: 'link', path: destination });
      this.#addPath(name, info);
      if (keeping === 'keep') await this.#directory(name, place);
      return;
    }
    const { dir, base } = posix.parse(destination);
    this.#coverFile(resolved, `${parentPath}/${link.name}`);
    this.#manifest.targets.push({ name, type: 'link', path: dir === '' ? '.' : dir, file: base });
    if (keeping === 'keep') this.#addFile(name, info, this.#rules.directory(posix.dirname(name)));
  }

  async #tablespace(
    oid: string,
    parentPath: string,
    destination: string,
    resolved: string,
    info: FileInfo | undefined,
  ): Promise<void> {
    const { storage, tablespaces, version, catalogVersion } = this.#settings;
    if (info === undefined || info.type !== 'path') {
      throw new BackstopError(
        'format',
        `tablespace symlink '${parentPath}/${oid}' destination '${resolved}' is not a directory`,
      );
    }
    const id = Number(oid);
    const known = tablespaces?.get(id);
    if (tablespaces !== undefined && known === undefined) {
      throw new BackstopError('assert', `tablespace with oid ${oid} not found in tablespace map`, {
        hint: 'was a tablespace created or dropped during the backup?',
      });
    }
    const name = `${tablespaceTarget}/${oid}`;
    this.#cover(name, resolved, `${parentPath}/${oid}`);
    this.#manifest.targets.push({
      name,
      type: 'link',
      path: destination,
      tablespaceId: id,
      tablespaceName: known ?? `ts${oid}`,
    });
    // the directories that lead to a tablespace have no counterpart on disk: they take PGDATA's attributes
    const like = (from: string) => this.#manifest.paths.find(path => path.name === from);
    const base = like(pgDataTarget);
    const links = like(`${pgDataTarget}/pg_tblspc`) ?? base;
    if (base === undefined || links === undefined) throw new BackstopError('assert', 'PGDATA is not in the manifest');
    if (like(tablespaceTarget) === undefined) this.#manifest.paths.push({ ...base, name: tablespaceTarget });
    this.#manifest.paths.push({ ...links, name });
    const own = tablespaceDirectory(version, catalogVersion);
    const ownInfo = await storage.info(`${resolved}/${own}`);
    if (ownInfo === undefined) return;
    this.#addPath(`${name}/${own}`, ownInfo);
    await this.#directory(`${name}/${own}`, `${resolved}/${own}`);
  }

  /** A directory link must lead out of PGDATA, to a place that no other link covers. */
  #cover(name: string, path: string, link: string): void {
    this.#coverFile(path, link);
    for (const other of this.#covered) {
      if (other.name === pgDataTarget) continue;
      if (contains(other.path, path) || contains(path, other.path)) {
        throw new BackstopError(
          'link-destination',
          `link '${link}' (${path}) and the target '${other.name}' (${other.path}) are the same directory or one is in the other`,
          { hint: 'each link must lead to a directory of its own.' },
        );
      }
    }
    this.#covered.push({ name, path });
  }

  #coverFile(path: string, link: string): void {
    if (contains(this.#settings.path, path)) {
      throw new BackstopError('link-destination', `link '${link}' destination '${path}' is in PGDATA`);
    }
  }
}

/** @throws format for a name that the manifest could not give back */
function checkName(name: string, parentPath: string): void {
  const problem = name.includes('\ufffd') ? 'is not valid UTF-8' : name.includes('\n') ? 'has a line break' : undefined;
  if (problem === undefined) return;
  throw new BackstopError('format', `file name in '${parentPath}' ${problem}: ${JSON.stringify(name)}`, {
    hint: 'rename or remove the file: it could not be restored under its name.',
  });
}

/** Where a link leads, for the operating system to resolve: `..` after a link is not what it looks like. */
const placeOf = (parentPath: string, destination: string): string =>
  destination.startsWith('/') ? destination : `${parentPath}/${destination}`;

const contains = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(`${outer}/`);
