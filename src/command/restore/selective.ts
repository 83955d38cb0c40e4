/** Selective restore: which databases come back as zeros (options db-include and db-exclude). Pure. */
import { BackstopError } from '../../base/error.ts';
import { databaseOf } from '../../postgres/files.ts';
import type { Manifest } from '../../repo/manifest/manifest.ts';

/** The first oid that a user's object can have: databases below it are the system's. */
const firstUserOid = 16384;

export interface SelectiveOptions {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly detail: (message: string) => void;
}

/**
 * @returns true for the files that become holes of zeros, or undefined when everything is restored
 * @throws db-missing for a database that the backup does not have, db-invalid for a system database
 */
export function selectZeroed(manifest: Manifest, options: SelectiveOptions): ((name: string) => boolean) | undefined {
  const { include, exclude, detail } = options;
  if (include.length === 0 && exclude.length === 0) return undefined;
  const present = presentDatabases(manifest);
  const names = new Map(manifest.databases.map(({ id, name }) => [id, name]));
  const isSystem = (id: number) => {
    const db = manifest.databases.find(database => database.id === id);
    return id < firstUserOid || (db !== undefined && id <= db.lastSystemId);
  };
  if (![...present].some(id => !isSystem(id))) {
    throw new BackstopError('file-missing', 'no databases found for selective restore', {
      hint: 'is this a valid cluster?',
    });
  }
  detail(`databases found for selective restore (${[...present].map(String).sort().join(', ')})`);
  const find = (wanted: string, verb: string): number => {
    const byName = manifest.databases.find(({ name }) => name === wanted)?.id;
    const id = byName ?? (/^\d+$/.test(wanted) ? Number(wanted) : undefined);
    if (id === undefined || !present.has(id)) {
      throw new BackstopError('db-missing', `database to ${verb} '${wanted}' does not exist`, {
        hint: 'info with option set lists the databases of a backup.',
      });
    }
    if (isSystem(id)) {
      throw new BackstopError('db-invalid', `database to ${verb} '${wanted}' is a system database`, {
        hint: 'system databases (template0, postgres, etc.) are always restored.',
      });
    }
    return id;
  };
  const excluded = new Set(exclude.map(wanted => find(wanted, 'exclude')));
  const included = new Set(include.map(wanted => find(wanted, 'include')));
  for (const id of included) {
    if (excluded.has(id)) {
      throw new BackstopError('db-invalid', `database to include '${names.get(id) ?? id}' is in the exclude list`);
    }
  }
  if (included.size > 0) {
    for (const id of present) if (!isSystem(id) && !included.has(id)) excluded.add(id);
  }
  detail(
    excluded.size === 0
      ? 'no databases excluded from selective restore'
      : `databases excluded (zeroed) from selective restore (${[...excluded].sort((a, b) => a - b).join(', ')})`,
  );
  return name => {
    const id = databaseOf(name);
    return id !== undefined && excluded.has(id) && !name.endsWith('/PG_VERSION');
  };
}

/** Databases whose directory the backup holds. */
function presentDatabases({ files }: Manifest): Set<number> {
  const present = new Set<number>();
  for (let index = 0; index < files.length; index++) {
    const name = files.name(index);
    const id = name.endsWith('/PG_VERSION') ? databaseOf(name) : undefined;
    if (id !== undefined) present.add(id);
  }
  return present;
}
