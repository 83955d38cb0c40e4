/** Tables, databases and tablespaces that come and go while backups are taken. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { TestCluster } from '../../support/cluster.ts';
import type { Random } from '../../support/random.ts';
import { giveTo } from '../../support/unprivileged.ts';
import { positionOf } from './position.ts';

const most = { tables: 6, databases: 2, tablespaces: 2 } as const;

export class Objects {
  readonly #cluster: TestCluster;
  readonly #random: Random;
  readonly #folder: string;
  #made = 0;
  #folders = 0;
  /** How often tablespaces were made or dropped. */
  spaceChanges = 0;
  /** Where in the WAL tablespaces were made or dropped. */
  #spaceChanges: { readonly from: bigint; readonly to: bigint }[] = [];
  /** While a standby on this machine would replay them, at the same paths. */
  keepsSpaces = false;

  constructor(cluster: TestCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
    this.#folder = this.newFolder();
  }

  /** Is there WAL about tablespaces in this range? Replayed elsewhere on this machine, it would work on the original's. */
  changesSpaces(from: bigint, to?: bigint): boolean {
    return this.#spaceChanges.some(change => (to === undefined || change.from <= to) && change.to >= from);
  }

  /** The cluster goes on from this position another way. */
  rewind(position: bigint): void {
    this.#spaceChanges = this.#spaceChanges.filter(({ to }) => to <= position);
  }

  /** Where the tablespaces of the cluster are moved to with its next copy. */
  newFolder(): string {
    return this.#cluster.makeFolder(`spaces-${++this.#folders}`);
  }

  /** Removes what other states of the cluster have left in tablespaces. Not while the server runs. */
  tidy(): void {
    const links = join(this.#cluster.dataDirectory, 'pg_tblspc');
    this.#clear(new Set(readdirSync(links).map(name => readlinkSync(join(links, name)))));
  }

  /** Removes what is in all tablespaces. Not while the server runs. */
  empty(): void {
    this.#clear(new Set());
  }

  #clear(kept: ReadonlySet<string>): void {
    for (const folder of readdirSync(this.#cluster.root).filter(name => /^spaces-/.test(name))) {
      for (const name of readdirSync(join(this.#cluster.root, folder))) {
        const space = join(this.#cluster.root, folder, name);
        if (!kept.has(space)) for (const old of readdirSync(space)) rmSync(join(space, old), { recursive: true });
      }
    }
  }

  /** Does something with them. @returns what */
  async change(): Promise<string> {
    const client = await this.#cluster.connect();
    try {
      const tables = await names(client, tablesQuery);
      const table = tables.length === 0 ? undefined : this.#random.pick(tables);
      const choices = [
        ...Array<() => Promise<string>>(6).fill(() => this.#doToLoad(client)),
        () => this.#changeDatabases(client),
        () => this.#changeSpaces(client),
      ];
      if (tables.length < most.tables) choices.push(...Array(3).fill(() => this.#makeTable(client)));
      if (table !== undefined) choices.push(...Array(4).fill(() => this.#doToTable(client, table)));
      return await this.#random.pick(choices)();
    } finally {
      await client.end();
    }
  }

  async #say(client: Client, statement: string): Promise<string> {
    await client.query(statement);
    return statement;
  }

  /** Changes to pgbench's tables, beside the load. Those that lock them out for long are short here: they are small. */
  #doToLoad(client: Client): Promise<string> {
    return this.#say(
      client,
      this.#random.pick([
        'update pgbench_accounts set filler = filler where aid % 7 = 3',
        'truncate pgbench_history',
        'vacuum full pgbench_accounts',
        'vacuum full pgbench_tellers',
        'reindex table pgbench_accounts',
        'cluster pgbench_accounts using pgbench_accounts_pkey',
        'vacuum freeze pgbench_accounts',
        'vacuum ledger',
        'vacuum full pg_class',
        'checkpoint',
        'create unlogged table if not exists passing as select 1 as n',
        'drop table if exists passing',
      ]),
    );
  }

  async #space(client: Client): Promise<string> {
    const spaces = await names(client, spacesQuery);
    return spaces.length > 0 && this.#random.chance(40) ? this.#random.pick(spaces) : 'pg_default';
  }

  async #makeTable(client: Client): Promise<string> {
    const rows = this.#random.between(1, 5000);
    return await this.#say(
      client,
      `create table extra_${++this.#made} tablespace ${await this.#space(client)} as
         select n, md5(n::text || random()) as word from generate_series(1, ${rows}) n`,
    );
  }

  async #doToTable(client: Client, table: string): Promise<string> {
    const statements = [
      `drop table ${table}`,
      `drop table ${table}`,
      `truncate ${table}`,
      `vacuum full ${table}`,
      `delete from ${table} where n % 2 = 0`,
      `insert into ${table} select n, repeat(md5(n::text), 3) from generate_series(1, 300) n`,
      `create index if not exists ${table}_n on ${table} (n)`,
      `alter table ${table} set unlogged; alter table ${table} set logged`,
      `alter table ${table} set tablespace ${await this.#space(client)}`,
    ];
    return await this.#say(client, this.#random.pick(statements));
  }

  async #changeDatabases(client: Client): Promise<string> {
    const databases = await names(client, databasesQuery);
    if (databases.length === 0 || (databases.length < most.databases && this.#random.chance(50))) {
      const name = `side_${++this.#made}`;
      const strategy = this.#cluster.binaries.key >= 150000 && this.#random.chance(50) ? 'strategy file_copy' : '';
      const said = await this.#say(
        client,
        `create database ${name} template template0 ${strategy} tablespace ${await this.#space(client)}`,
      );
      await inDatabase(this.#cluster, name, other =>
        other.query('create table inside as select n, md5(n::text) as word from generate_series(1, 500) n'),
      );
      return said;
    }
    const name = this.#random.pick(databases);
    if (this.#random.chance(40)) {
      const space = await this.#space(client);
      const [current] = await names(
        client,
        `select spcname as name from pg_database d join pg_tablespace s on s.oid = dattablespace where datname = '${name}'`,
      );
      if (current !== space) return await this.#say(client, `alter database ${name} set tablespace ${space}`);
    }
    return await this.#say(client, `drop database ${name}`);
  }

  async #changeSpaces(client: Client): Promise<string> {
    if (this.keepsSpaces) return 'nothing: tablespaces are to stay';
    const spaces = await names(client, spacesQuery);
    const from = await position(client);
    this.spaceChanges++;
    try {
      if (spaces.length < most.tablespaces && this.#random.chance(60)) {
        const name = `space_${++this.#made}`;
        const folder = join(this.#folder, name);
        mkdirSync(folder, { mode: 0o700 });
        giveTo(this.#cluster.user, folder);
        return await this.#say(client, `create tablespace ${name} location '${folder}'`);
      }
      const empty = await names(
        client,
        `${spacesQuery} and not exists (select from pg_database where dattablespace = s.oid)
           and not exists (select from pg_class where reltablespace = s.oid)`,
      );
      if (empty.length === 0) return 'nothing: all tablespaces are in use';
      const dropped = this.#random.pick(empty);
      // objects of other databases may be in it
      return await this.#say(client, `drop tablespace ${dropped}`);
    } finally {
      this.#spaceChanges.push({ from, to: await position(client) });
    }
  }

  /** Checksum of all objects and what is in them, but for pgbench's tables and the ledger. */
  static async picture(cluster: TestCluster): Promise<string> {
    const parts: string[] = [];
    const databases = (await cluster.sql<{ name: string }>(databasesQuery)).map(({ name }) => name);
    for (const database of ['postgres', ...databases]) {
      await inDatabase(cluster, database, async client => {
        const { rows } = await client.query<{ name: string; space: string }>(contentQuery);
        for (const { name, space } of rows) {
          const [content] = await names(
            client,
            `select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) as name from ${name} t`,
          );
          parts.push(`${database}.${name} in ${space}: ${content}`);
        }
      });
    }
    const spaces = await cluster.sql<{ name: string }>(spacesQuery);
    parts.push(...spaces.map(({ name }) => `tablespace ${name}`));
    return `${createHash('md5').update(parts.join('\n')).digest('hex')}\n${parts.join('\n')}`;
  }
}

const tablesQuery = "select relname as name from pg_class where relname ~ '^extra_[0-9]+$' order by 1";
const databasesQuery = "select datname as name from pg_database where datname ~ '^side_' order by 1";
const spacesQuery = "select spcname as name from pg_tablespace s where spcname ~ '^space_'";
const contentQuery = `select relname as name, coalesce(spcname, 'the default') as space
  from pg_class c left join pg_tablespace s on s.oid = reltablespace
  where relkind = 'r' and relnamespace = 'public'::regnamespace and relpersistence = 'p' and relname ~ '^(extra_|inside)'
  order by 1`;

async function names(client: Client, query: string): Promise<string[]> {
  return (await client.query<{ name: string }>(query)).rows.map(({ name }) => name);
}

async function position(client: Client): Promise<bigint> {
  const [lsn = ''] = await names(client, 'select pg_current_wal_insert_lsn()::text as name');
  return positionOf(lsn);
}

async function inDatabase(
  cluster: TestCluster,
  database: string,
  run: (client: Client) => Promise<unknown>,
): Promise<void> {
  const client = await cluster.connect(database);
  try {
    await run(client);
  } finally {
    await client.end();
  }
}
