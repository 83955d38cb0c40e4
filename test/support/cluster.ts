/**
 * Real PostgreSQL clusters for tests, the demo and the bench. Everything of a cluster lies in one temporary folder that
 * dispose() removes; the server never runs as root; its sockets are in that folder, so nothing of the machine's own
 * PostgreSQL is touched.
 *
 *     const cluster = await TestCluster.create({ version: '18', settings: { archive_mode: 'on', archive_command: '...' } });
 *     await cluster.start();
 *     await cluster.sql('select 1');
 *     await cluster.dispose();
 */

import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { type Load, loadFingerprintQuery, loadSchema, loadTables, startLoad } from './cluster-load.ts';
import { findTool, newestPostgres, type PostgresBinaries, postgresOf } from './pg-binaries.ts';
import {
  giveTo,
  type RunOptions,
  type RunResult,
  runAs,
  runAsOrThrow,
  type UnprivilegedUser,
  unprivilegedUser,
} from './unprivileged.ts';

export type Settings = Readonly<Record<string, string | number | boolean>>;

export interface TestClusterOptions {
  /** `10`, `15`, `18`; or the installation itself. The newest there is when absent. */
  readonly version?: string;
  readonly binaries?: PostgresBinaries;
  /** Page checksums; on when absent. */
  readonly checksums?: boolean;
  /** Megabytes; 16 when absent. Versions before 11 cannot be told. */
  readonly walSegmentSize?: number;
  /** Lines for postgresql.conf. */
  readonly settings?: Settings;
}

/** A moment that a restore can aim at, and what must be there then. */
export interface Target {
  /** Name of a restore point. */
  readonly name: string;
  /** As `--target` takes it for type time, with time zone. */
  readonly time: string;
  readonly lsn: string;
  readonly xid: string;
  readonly fingerprint: string;
}

export type ShutdownMode = 'smart' | 'fast' | 'immediate';

/** What a check of a cluster by PostgreSQL's own tools said. */
export interface CheckResult {
  readonly passed: boolean;
  /** How it was checked, or why it could not be (and then passed is true). */
  readonly how: string;
  readonly output: string;
}

export class TestCluster {
  readonly binaries: PostgresBinaries;
  readonly user: UnprivilegedUser;
  /** The temporary folder, owned by the user: tests may put repositories and configurations into it. */
  readonly root: string;
  readonly dataDirectory: string;
  readonly socketDirectory: string;
  readonly port: number;
  readonly #watchman: ChildProcess;

  private constructor(binaries: PostgresBinaries, user: UnprivilegedUser, root: string, data: string, port: number) {
    this.binaries = binaries;
    this.user = user;
    this.root = root;
    this.dataDirectory = data;
    this.socketDirectory = join(root, 's');
    this.port = port;
    this.#watchman = startWatchman(root, data);
  }

  /** Makes a cluster with initdb. It is not started. */
  static async create(options: TestClusterOptions = {}): Promise<TestCluster> {
    const cluster = await TestCluster.#prepare(options, undefined);
    try {
      await cluster.#initialize(options);
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
    return cluster;
  }

  /**
   * Makes a cluster of a data directory that is there already, such as a restored one. It is started with a port and
   * sockets of its own, whatever its postgresql.conf says. dispose() leaves the data directory.
   */
  static async open(
    dataDirectory: string,
    options: Pick<TestClusterOptions, 'version' | 'binaries'> = {},
  ): Promise<TestCluster> {
    return await TestCluster.#prepare(options, dataDirectory);
  }

  static async #prepare(options: TestClusterOptions, dataDirectory: string | undefined): Promise<TestCluster> {
    const user = unprivilegedUser();
    const binaries =
      options.binaries ??
      (options.version === undefined ? await newestPostgres(user) : await postgresOf(options.version, user));
    if (binaries === undefined) throw new Error(`PostgreSQL ${options.version} was not found`);
    const root = makeTemporaryFolder(user, `pg${binaries.version}-`);
    const cluster = new TestCluster(binaries, user, root, dataDirectory ?? join(root, 'data'), await freePort());
    cluster.makeFolder('s');
    return cluster;
  }

  async #initialize(options: TestClusterOptions): Promise<void> {
    const { key, bin } = this.binaries;
    const checksums = options.checksums ?? true;
    if (options.walSegmentSize !== undefined && key < 110000) {
      throw new Error(`initdb of PostgreSQL ${this.binaries.version} cannot set the WAL segment size`);
    }
    await runAsOrThrow(this.user, [
      join(bin, 'initdb'),
      ...['-D', this.dataDirectory, '-U', this.user.name, '-A', 'trust', '-N', '--locale=C', '-E', 'UTF8'],
      ...(checksums ? ['--data-checksums'] : key >= 180000 ? ['--no-data-checksums'] : []),
      ...(options.walSegmentSize === undefined ? [] : [`--wal-segsize=${options.walSegmentSize}`]),
    ]);
    this.configure({
      // our processes die in tests, the machine does not
      fsync: false,
      shared_buffers: '16MB',
      max_connections: 30,
      listen_addresses: '',
      log_line_prefix: '%m [%p] %a ',
      wal_level: key >= 90600 ? 'replica' : 'hot_standby',
      hot_standby: true,
      max_wal_senders: 5,
      ...options.settings,
    });
    // before 10 initdb leaves replication out
    if (key < 100000) appendFileSync(join(this.dataDirectory, 'pg_hba.conf'), '\nlocal replication all trust\n');
  }

  /** Appends to postgresql.conf; the last value of a setting counts. Takes effect by reload() or restart(). */
  configure(settings: Settings): void {
    const lines = Object.entries(settings).map(([key, value]) => `${key} = ${formatSetting(value)}`);
    appendFileSync(join(this.dataDirectory, 'postgresql.conf'), `\n${lines.join('\n')}\n`);
  }

  /** Makes a folder below root that belongs to the user, and returns its path. */
  makeFolder(name: string, mode = 0o750): string {
    const path = join(this.root, name);
    mkdirSync(path);
    giveTo(this.user, path);
    chmodSync(path, mode);
    return path;
  }

  /** Writes a file below root that belongs to the user, and returns its path. */
  writeFile(name: string, content: string | Uint8Array, mode = 0o640): string {
    const path = join(this.root, name);
    writeFileSync(path, content, { mode });
    giveTo(this.user, path);
    return path;
  }

  /** Runs a program to its end as the cluster's user, with libpq's variables set to this cluster. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return await runAs(this.user, argv, { ...options, env: { ...this.libpqEnvironment, ...options.env } });
  }

  /** Variables that lead libpq, and what follows its rules, to this cluster. */
  get libpqEnvironment(): Readonly<Record<string, string>> {
    return {
      PGHOST: this.socketDirectory,
      PGPORT: String(this.port),
      PGUSER: this.user.name,
      PGDATABASE: 'postgres',
    };
  }

  /** The server's log. */
  get log(): string {
    const path = join(this.root, 'log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  get running(): boolean {
    return this.#serverPid() !== undefined;
  }

  /**
   * Starts the server and waits until it takes connections (also while in recovery, when it is a hot standby).
   * @param timeout seconds
   * @throws with the end of the server's log when it does not start
   */
  async start(timeout = 60): Promise<void> {
    const options = `-p ${this.port} -c unix_socket_directories=${this.socketDirectory} -c listen_addresses=`;
    const log = join(this.root, 'log');
    const result = await this.#control(['start', '-w', '-t', String(timeout), '-l', log, '-o', options], timeout);
    if (result.code !== 0) {
      throw new Error(`PostgreSQL ${this.binaries.version} did not start: ${result.stderr}\n${this.log.slice(-4000)}`);
    }
  }

  /** Stops the server; it is fine when it does not run. */
  async stop(mode: ShutdownMode = 'fast'): Promise<void> {
    if (!this.running) return;
    // a server that archives asks archive_command once more, and waits for what it is at
    const result = await this.#control(['stop', '-w', '-t', '400', '-m', mode], 400);
    // it may have ended by itself meanwhile
    if (result.code !== 0 && this.running)
      throw new Error(`PostgreSQL did not stop: ${result.stderr}\n${this.log.slice(-4000)}`);
  }

  async restart(mode: ShutdownMode = 'fast'): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  /** Lets the server read its configuration again. */
  async reload(): Promise<void> {
    const result = await this.#control(['reload']);
    if (result.code !== 0) throw new Error(`PostgreSQL did not reload: ${result.stderr}`);
  }

  /** Ends recovery and waits until the server takes writes. */
  async promote(): Promise<void> {
    const result = await this.#control(['promote']);
    if (result.code !== 0) throw new Error(`PostgreSQL did not promote: ${result.stderr}`);
    await this.waitFor('select not pg_is_in_recovery()');
  }

  /** A connection for one use by the caller, who ends it. */
  async connect(database = 'postgres'): Promise<Client> {
    const client = new Client({ host: this.socketDirectory, port: this.port, user: this.user.name, database });
    await client.connect();
    // the server may be shut down under a connection that the caller still holds: its next query tells
    client.on('error', () => undefined);
    return client;
  }

  /** Rows of one query, or of the last one when there are several. */
  async sql<Row extends Record<string, unknown> = Record<string, unknown>>(
    text: string,
    values?: unknown[],
  ): Promise<Row[]> {
    const client = await this.connect();
    try {
      const result: unknown = await (values === undefined ? client.query(text) : client.query(text, values));
      const last = (Array.isArray(result) ? result.at(-1) : result) as { rows: Row[] };
      return last.rows;
    } finally {
      await client.end();
    }
  }

  /** The first column of the first row. */
  async value(text: string, values?: unknown[]): Promise<unknown> {
    const [row] = await this.sql(text, values);
    return row === undefined ? undefined : Object.values(row)[0];
  }

  /**
   * Waits until a query's only value is true.
   * @throws after `timeout` milliseconds
   */
  async waitFor(query: string, timeout = 60_000): Promise<void> {
    const end = performance.now() + timeout;
    while ((await this.value(query)) !== true) {
      if (performance.now() > end) throw new Error(`waited ${timeout} ms in vain for: ${query}`);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }

  /** Name of the WAL segment in use. */
  async walName(): Promise<string> {
    const [wal, lsn] = this.binaries.key >= 100000 ? ['wal', 'lsn'] : ['xlog', 'location'];
    return String(await this.value(`select pg_${wal}file_name(pg_current_${wal}_insert_${lsn}())`));
  }

  /** Ends the WAL segment in use, so that it is archived. */
  async switchWal(): Promise<void> {
    const wal = this.binaries.key >= 100000 ? 'wal' : 'xlog';
    // a segment without content is not switched
    await this.sql(`select pg_create_restore_point('switch'); select pg_switch_${wal}()`);
  }

  /**
   * Makes pgbench's tables, filled, and amcheck where the version has it.
   * @param scale 1 is 100,000 accounts and 15 MB
   */
  async createLoadTables(scale = 1): Promise<void> {
    await this.sql(loadSchema(scale));
    if (this.binaries.key >= 100000) await this.sql('create extension if not exists amcheck');
  }

  /** Starts to write into pgbench's tables until the load's stop(). Uses pgbench where there is one. */
  async startLoad(clients = 2, rate?: number): Promise<Load> {
    return await startLoad(this, clients, rate);
  }

  /** md5 over the rows of a query, in their order: of pgbench's tables when there is no query. */
  async fingerprint(query: string = loadFingerprintQuery): Promise<string> {
    return String(await this.value(fingerprintOf(query)));
  }

  /**
   * Marks a moment in pgbench's tables that a restore can aim at by name, time, LSN or transaction, also under load:
   * writers wait meanwhile. The WAL up to it is switched, so it will be archived.
   */
  async markTarget(name: string): Promise<Target> {
    const modern = this.binaries.key >= 100000;
    const client = await this.connect();
    try {
      await client.query('create table if not exists target_mark (name text)');
      await client.query('begin');
      await client.query(`lock table ${loadTables.join(', ')} in share mode`);
      const fingerprint = await client.query(fingerprintOf(loadFingerprintQuery));
      await client.query('insert into target_mark values ($1)', [name]);
      await client.query('select pg_create_restore_point($1)', [name]);
      const { rows } = await client.query(
        `select clock_timestamp()::text as time, txid_current()::text as xid,
           ${modern ? 'pg_current_wal_insert_lsn()' : 'pg_current_xlog_insert_location()'}::text as lsn`,
      );
      await client.query('commit');
      // recovery to a time ends at the first later commit, which must be in the archive too
      await client.query("insert into target_mark values ('after')");
      await client.query(`select pg_switch_${modern ? 'wal' : 'xlog'}()`);
      const { time, xid, lsn } = rows[0] as { time: string; xid: string; lsn: string };
      return { name, time, xid, lsn, fingerprint: String(Object.values(fingerprint.rows[0])[0]) };
    } finally {
      await client.end();
    }
  }

  /** Checks tables and indexes of the running cluster: pg_amcheck, or the functions of amcheck by SQL. */
  async checkAmcheck(): Promise<CheckResult> {
    const { key } = this.binaries;
    if (key < 100000) return { passed: true, how: 'no amcheck before PostgreSQL 10', output: '' };
    const writable = (await this.value('select not pg_is_in_recovery()')) === true;
    if (writable) await this.sql('create extension if not exists amcheck');
    const tool =
      key < 140000 ? undefined : await findTool(this.binaries, 'pg_amcheck', other => other >= 140000, this.user);
    if (tool !== undefined) {
      const { code, stdout, stderr } = await this.run([tool, '--database=postgres', '--heapallindexed']);
      return { passed: code === 0, how: tool, output: `${stdout}${stderr}` };
    }
    const deep = key >= 110000 ? ', true' : '';
    const heap =
      key < 140000
        ? ''
        : `; select count(*) from pg_class c, lateral verify_heapam(c.oid) where c.relkind in ('r', 't', 'm')
             and c.relpersistence = 'p' having count(*) > 0`;
    try {
      const rows = await this.sql(
        `select bt_index_check(c.oid${deep}) from pg_class c join pg_am a on a.oid = c.relam join pg_index i on i.indexrelid = c.oid
         where a.amname = 'btree' and c.relpersistence = 'p' and i.indisready and i.indisvalid${heap}`,
      );
      const passed = heap === '' || rows.length === 0;
      return { passed, how: 'amcheck by SQL', output: passed ? '' : JSON.stringify(rows) };
    } catch (error) {
      return { passed: false, how: 'amcheck by SQL', output: String(error) };
    }
  }

  /** Checks the page checksums of the stopped cluster with pg_checksums, where there is one for this version. */
  async checkPageChecksums(): Promise<CheckResult> {
    const { key } = this.binaries;
    // the tool wants the control file of its own version, which 13 to 16 share
    const shared = (other: number): boolean => key >= 130000 && key < 170000 && other >= 130000 && other < 170000;
    const tool = key < 120000 ? undefined : await findTool(this.binaries, 'pg_checksums', shared, this.user);
    if (tool === undefined) return { passed: true, how: `no pg_checksums for ${this.binaries.version}`, output: '' };
    const { code, stdout, stderr } = await this.run([tool, '--check', '-D', this.dataDirectory]);
    return { passed: code === 0, how: tool, output: `${stdout}${stderr}` };
  }

  /**
   * Makes a hot standby that follows this cluster by streaming, from a copy of the files (this cluster is stopped for
   * it). It is started; the caller disposes of it.
   */
  async createStandby(): Promise<TestCluster> {
    const wasRunning = this.running;
    await this.stop();
    const standby = await TestCluster.#prepare({ binaries: this.binaries }, undefined);
    try {
      cpSync(this.dataDirectory, standby.dataDirectory, { recursive: true, verbatimSymlinks: true });
      await chownTree(this.user, standby.dataDirectory);
      await this.start();
      const connection = `host=${this.socketDirectory} port=${this.port} user=${this.user.name}`;
      if (this.binaries.key >= 120000) {
        standby.configure({ primary_conninfo: connection });
        writeFileSync(join(standby.dataDirectory, 'standby.signal'), '');
        giveTo(this.user, join(standby.dataDirectory, 'standby.signal'));
      } else {
        const path = join(standby.dataDirectory, 'recovery.conf');
        writeFileSync(
          path,
          `standby_mode = on\nprimary_conninfo = '${connection}'\nrecovery_target_timeline = latest\n`,
        );
        giveTo(this.user, path);
      }
      await standby.start();
    } catch (error) {
      await standby.dispose();
      throw error;
    }
    if (!wasRunning) await this.stop();
    return standby;
  }

  /** Stops the server at once and removes the temporary folder. Safe to call twice. */
  async dispose(): Promise<void> {
    try {
      await this.stop('immediate');
    } finally {
      this.#killServer();
      this.#watchman.kill('SIGKILL');
      rmSync(this.root, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** @param seconds that the command itself may wait */
  async #control(parameters: readonly string[], seconds = 60): Promise<RunResult> {
    const argv = [join(this.binaries.bin, 'pg_ctl'), '-D', this.dataDirectory, ...parameters];
    return await this.run(argv, { timeout: (seconds + 60) * 1000 });
  }

  #serverPid(): number | undefined {
    const path = join(this.dataDirectory, 'postmaster.pid');
    if (!existsSync(path)) return undefined;
    const [first, directory] = readFileSync(path, 'utf8').split('\n');
    const pid = Number(first);
    // a data directory may be a copy of another cluster's, with its file: that server is not ours
    if (!Number.isInteger(pid) || pid <= 1 || directory !== this.dataDirectory) return undefined;
    try {
      process.kill(pid, 0);
      return pid;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined;
      throw error;
    }
  }

  /** When pg_ctl could not stop it. */
  #killServer(): void {
    const pid = this.#serverPid();
    if (pid !== undefined) process.kill(pid, 'SIGQUIT');
  }
}

/**
 * A small process that outlives ours, however ours ends (test runners kill their workers): when the pipe between the two
 * closes it stops the server and removes the folder.
 */
function startWatchman(root: string, data: string): ChildProcess {
  const script = `read -r _
    pid=$(sed -n 1p "$1/postmaster.pid") && [ "$(sed -n 2p "$1/postmaster.pid")" = "$1" ] && kill -QUIT "$pid" && sleep 1
    rm -rf "$0"`;
  const watchman = spawn('/bin/sh', ['-c', script, root, data], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watchman.unref();
  const pipe = watchman.stdin as unknown as { unref(): void };
  pipe.unref();
  return watchman;
}

/** A new folder in the temporary folder that belongs to the user. The name is short: a socket's path is limited. */
export function makeTemporaryFolder(user: UnprivilegedUser, prefix: string): string {
  const parent = tmpdir().length > 40 ? '/tmp' : tmpdir();
  const path = mkdtempSync(join(parent, `pgbackstop-${prefix}`));
  giveTo(user, path);
  return path;
}

/** A TCP port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'));
        else resolve(address.port);
      });
    });
  });
}

const fingerprintOf = (query: string): string =>
  `select md5(coalesce(string_agg(row_text, '|'), '')) from (select q::text as row_text from (${query}) q) rows`;

function formatSetting(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return `'${String(value).replaceAll("'", "''")}'`;
}

/** Gives a folder and all in it to the user. */
export async function chownTree(user: UnprivilegedUser, path: string): Promise<void> {
  if (!user.foreign) return;
  const { execFileSync } = await import('node:child_process');
  execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, path]);
}
