/**
 * Which files of a cluster a backup holds, and how each is treated. Pure rules over names (behaviour, sections 4.3 and
 * 4.4; repository format, section 8): the walk over the directories asks, and does what the answer says.
 *
 * Names are manifest names: `pg_data/base/5/1259`, `pg_tblspc/16400/PG_15_202209061/5/16401`. A cluster may have ten
 * million of them, so what depends on the directory is decided once, by directory(), and only the rest for each name.
 */
import type { FileType } from '../storage/storage.ts';
import { type PostgresVersion, tablespaceDirectory } from './versions.ts';

/** Manifest names start with one of these: a file of PGDATA, or of a tablespace. */
export const dataTarget = 'pg_data';
export const tablespaceTarget = 'pg_tblspc';

/**
 * What becomes of one name in a directory:
 * - keep: it goes into the manifest; a directory is then read as well
 * - skip: it does not
 * - empty: the directory goes into the manifest, but nothing of what is in it
 * - special: a socket, pipe or device, which no backup can hold; the user is warned
 */
export type Keeping = 'keep' | 'skip' | 'empty' | 'special';

export interface Judgement {
  readonly keeping: Keeping;
  /** The entry of the exclude option that decided, as the user wrote it; the user is told of each. */
  readonly exclusion?: string;
}

export interface DirectoryRules {
  /** Holds relations of one database, or the shared ones. */
  readonly isDatabase: boolean;
  /** @param name of an entry of the directory, without the directory */
  judge(name: string, type: FileType): Judgement;
  /**
   * True when the pages of the file have checksums, given that the cluster has them.
   * @param name of a file of the directory, without the directory
   */
  hasPageChecksums(name: string): boolean;
}

export interface FileRulesOptions {
  readonly version: PostgresVersion;
  readonly catalogVersion: number;
  /** The cluster runs: WAL comes from the archive. */
  readonly online: boolean;
  /** Paths relative to PGDATA; with a slash at the end the directory itself stays. */
  readonly exclude?: readonly string[];
}

export interface FileRules {
  /** @param manifestName of a directory: `pg_data`, `pg_data/base/5` */
  directory(manifestName: string): DirectoryRules;
}

const keep: Judgement = { keeping: 'keep' };
const skip: Judgement = { keeping: 'skip' };
const empty: Judgement = { keeping: 'empty' };
const special: Judgement = { keeping: 'special' };

/** Directories of PGDATA whose content means nothing to another run of the server. */
const emptied: ReadonlySet<string> = new Set([
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
]);

/** `t3_16384`, `t3_16384_fsm.1`: a relation of a session, gone with it. */
const temporaryRelation = /^t[0-9]+_[0-9]+(_(fsm|vm))?(\.[0-9]+)?$/;
const relationCache = /^pg_internal\.init(\.[0-9]+)?$/;

export function defineFileRules(options: FileRulesOptions): FileRules {
  const isDatabase = databaseDirectory(options.version, options.catalogVersion);
  const rootSkipped = skippedInRoot(options.version);
  const walDirectory = `${dataTarget}/${options.version.walDirectory}`;
  const exclusions = parseExclusions(options.exclude ?? []);

  const judgeBy =
    (parent: string, database: boolean) =>
    (name: string, type: FileType): Judgement => {
      if (name.startsWith('pgsql_tmp')) return skip;
      const excluded = exclusions?.get(`${parent}/${name}`);
      if (excluded !== undefined && (excluded.keeping === 'skip' || type === 'path')) return excluded;
      switch (type) {
        case 'path':
          if (parent === dataTarget && emptied.has(name)) return empty;
          return options.online && parent === walDirectory && name === 'archive_status' ? empty : keep;
        case 'file':
          if (database) {
            const c = name.charCodeAt(0);
            // most names are digits: two comparisons, no pattern
            if (c === 0x74 && temporaryRelation.test(name)) return skip;
            if (c === 0x70 && relationCache.test(name)) return skip;
            return keep;
          }
          if (parent === dataTarget) return rootSkipped.has(name) ? skip : keep;
          return options.online && parent === walDirectory ? skip : keep;
        case 'link':
          return keep;
        case 'special':
          return special;
      }
    };

  return {
    directory(manifestName) {
      const database = isDatabase.test(manifestName);
      const shared = manifestName === `${dataTarget}/global`;
      return {
        isDatabase: database,
        judge: judgeBy(manifestName, database),
        hasPageChecksums: name =>
          database && name !== 'pg_filenode.map' && name !== 'PG_VERSION' && !(shared && name === 'pg_control'),
      };
    },
  };
}

function databaseDirectory(version: PostgresVersion, catalogVersion: number): RegExp {
  const own = tablespaceDirectory(version, catalogVersion).replaceAll('.', '\\.');
  return new RegExp(`^(${dataTarget}/(global|base/[0-9]+)|${tablespaceTarget}/[0-9]+/${own}/[0-9]+)$`);
}

/** Files of PGDATA itself that belong to a running server, to another backup, or to another recovery. */
function skippedInRoot(version: PostgresVersion): ReadonlySet<string> {
  return new Set([
    'backup_label.old',
    'postmaster.opts',
    'postmaster.pid',
    'postgresql.auto.conf.tmp',
    // an exclusive backup's own label lies in PGDATA and is part of the backup
    ...(version.backup === 'exclusive' ? [] : ['backup_label']),
    ...(version.recovery === 'file' ? ['recovery.conf', 'recovery.done'] : ['recovery.signal', 'standby.signal']),
    ...(version.backupManifest ? ['backup_manifest', 'backup_manifest.tmp'] : []),
  ]);
}

function parseExclusions(exclude: readonly string[]): ReadonlyMap<string, Judgement> | undefined {
  if (exclude.length === 0) return undefined;
  const byName = new Map<string, Judgement>();
  for (const exclusion of exclude) {
    const contents = exclusion.endsWith('/');
    const name = `${dataTarget}/${contents ? exclusion.slice(0, -1) : exclusion}`;
    // when both forms are given the wider one counts
    if (contents && byName.has(name)) continue;
    byName.set(name, { keeping: contents ? 'empty' : 'skip', exclusion });
  }
  return byName;
}

/**
 * Finds the unlogged relations among the names of one database directory. Recovery makes their other forks anew from
 * the init fork, so only that one is worth keeping.
 * @returns a predicate that is true for the names to leave out, or undefined when the directory has none
 */
export function findUnlogged(names: Iterable<string>): ((name: string) => boolean) | undefined {
  let numbers: Set<string> | undefined;
  for (const name of names) {
    if (!name.endsWith('_init')) continue;
    const number = name.slice(0, -5);
    if (/^[0-9]+$/.test(number)) {
      numbers ??= new Set();
      numbers.add(number);
    }
  }
  if (numbers === undefined) return undefined;
  const unlogged = numbers;
  return name => {
    const match = relation.exec(name);
    return match?.[1] !== undefined && unlogged.has(match[1]);
  };
}

/** `16384`, `16384.1`, `16384_fsm`, `16384_vm.1`; never an init fork. */
const relation = /^([0-9]+)(?:_(?:fsm|vm))?(?:\.[0-9]+)?$/;

const tolerant = /^(pg_data\/(base|global|pg_xact|pg_clog|pg_multixact)|pg_tblspc)\//;

/**
 * True when the server may remove the file while a backup runs: WAL brings it back or knows that it went. The same
 * files, and only they, may be copied from a standby.
 */
export function mayVanish(manifestName: string): boolean {
  return tolerant.test(manifestName) && manifestName !== 'pg_data/global/pg_control';
}

/** Which gigabyte of its relation a file is: 2 for `16384.2`, 0 for `16384`. */
export function relationSegment(name: string): number {
  const dot = name.lastIndexOf('.');
  if (dot < 0) return 0;
  const digits = name.slice(dot + 1);
  return /^[0-9]{1,9}$/.test(digits) ? Number(digits) : 0;
}

/** The oid of the database that a file belongs to, undefined for shared and other files. */
export function databaseOf(manifestName: string): number | undefined {
  const match = /^(?:pg_data\/base|pg_tblspc\/[0-9]+\/[^/]+)\/([0-9]+)\//.exec(manifestName);
  return match === null ? undefined : Number(match[1]);
}
