/** What lies in a repository, and what is expected of a damaged file of each kind. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

export type Kind =
  | 'archive.info'
  | 'backup.info'
  | 'backup.manifest'
  | 'data file'
  | 'bundle'
  | 'block file'
  | 'WAL segment'
  | 'partial segment'
  | 'timeline history'
  | 'backup history file'
  | 'history manifest';

export interface RepoFile {
  /** Below the repository's folder. */
  readonly path: string;
  readonly kind: Kind;
  /** The other one of two copies. */
  readonly twin?: string;
  /** The backup that it belongs to. */
  readonly label?: string;
  /** The archived file that it is. */
  readonly archived?: string;
  readonly size: number;
}

/** As verify tells of it: below the stanza's directory. */
export const shownPath = ({ path }: RepoFile): string => path.replace(/^(archive|backup)\/demo\//, '');

const patterns: readonly (readonly [RegExp, Kind])[] = [
  [/^archive\/demo\/archive\.info(\.copy)?$/, 'archive.info'],
  [/^backup\/demo\/backup\.info(\.copy)?$/, 'backup.info'],
  [/\/backup\.manifest(\.copy)?$/, 'backup.manifest'],
  [/\/backup\.history\//, 'history manifest'],
  [/\/bundle\/\d+$/, 'bundle'],
  [/\.pgbi$/, 'block file'],
  [/^backup\/demo\/\d{8}-/, 'data file'],
  [/\/[0-9A-F]{8}\.history$/, 'timeline history'],
  [/\/[0-9A-F]{24}\.[0-9A-F]{8}\.backup$/, 'backup history file'],
  [/\/[0-9A-F]{24}\.partial-[^/]*$/, 'partial segment'],
  [/\/[0-9A-F]{24}-[^/]*$/, 'WAL segment'],
];

const hasTwin: ReadonlySet<Kind> = new Set(['archive.info', 'backup.info', 'backup.manifest']);
const isArchived: ReadonlySet<Kind> = new Set([
  'WAL segment',
  'partial segment',
  'timeline history',
  'backup history file',
]);

/** Files that have a byte at least, in order. @throws for a file of no known kind */
export function listRepo(repo: string): RepoFile[] {
  return (
    readdirSync(repo, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).slice(repo.length + 1))
      // newer versions of Node go through links
      .filter(path => !path.startsWith('backup/demo/latest/'))
      .sort()
      .map(path => fileOf(path, statSync(join(repo, path)).size))
      .filter(({ size }) => size > 0)
  );
}

function fileOf(path: string, size: number): RepoFile {
  const kind = patterns.find(([pattern]) => pattern.test(path))?.[1];
  if (kind === undefined) throw new Error(`nobody knows what '${path}' is`);
  const label = /^backup\/demo\/(\d{8}-[^/]*)\//.exec(path)?.[1];
  const name = path.slice(path.lastIndexOf('/') + 1).replace(/-[0-9a-f]{40}.*$/, '');
  return {
    path,
    kind,
    size,
    ...(hasTwin.has(kind) ? { twin: path.endsWith('.copy') ? path.slice(0, -5) : `${path}.copy` } : {}),
    ...(label === undefined ? {} : { label }),
    ...(isArchived.has(kind) ? { archived: name } : {}),
  };
}
