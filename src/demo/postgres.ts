/** Runs the embedded PostgreSQL, which is `initdb`, `pg_ctl` and `postgres`; all else is asked of it in SQL. */
import { execFile } from 'node:child_process';
import { appendFile, readFile, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);

/** Longest that PostgreSQL may take to start, stop or reach a state, in seconds. */
const patience = 60;

export interface ClusterPlace {
  /** Folder of `initdb` and the others. */
  readonly bin: string;
  /** Data directory. */
  readonly data: string;
  /** Folder of the socket. */
  readonly socket: string;
  /** Names the socket; nothing listens on the network. */
  readonly port: number;
  /** The server's log file. */
  readonly log: string;
}

/**
 * The package's libraries have links that npm cannot carry; its install script makes them. Makes them where install
 * scripts are switched off.
 */
export async function completePackage(folder: string): Promise<void> {
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(folder, 'native/pg-symlinks.json'), 'utf8'),
  );
  for (const { source, target } of links) {
    try {
      await symlink(relative(dirname(target), source), join(folder, target));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
}

/** One PostgreSQL server of the demo. The superuser is `postgres`, whoever we are. */
export class Cluster {
  readonly place: ClusterPlace;
  #running = false;

  constructor(place: ClusterPlace) {
    this.place = place;
  }

  /** Makes the data directory, with the settings given. */
  async create(settings: Readonly<Record<string, string>>): Promise<void> {
    const { bin, data } = this.place;
    await run(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-k']);
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
    await appendFile(join(data, 'postgresql.conf'), lines.join(''));
  }

  /** The command that starts the server, with the package's programs on PATH. */
  get startCommand(): string[] {
    const { data, log, port } = this.place;
    return ['pg_ctl', '-D', data, '-l', log, '-o', `-p ${port}`, '-w', '-t', String(patience), 'start'];
  }

  /**
   * @param env the server's environment, and so archive_command's; PATH must have the package's programs
   * @throws with the end of the server's log when it does not start
   */
  async start(env: NodeJS.ProcessEnv): Promise<void> {
    const [command = '', ...args] = this.startCommand;
    this.#running = true;
    try {
      await run(command, args, { env });
    } catch (cause) {
      const log = await readFile(this.place.log, 'utf8');
      throw new Error(`PostgreSQL did not start:\n${log.split('\n').slice(-15).join('\n')}`, { cause });
    }
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    await run(join(this.place.bin, 'pg_ctl'), [
      '-D',
      this.place.data,
      '-m',
      'fast',
      '-w',
      '-t',
      String(patience),
      'stop',
    ]);
  }

  /** Opens a connection; the caller ends it. */
  async connect(): Promise<pg.Client> {
    const client = new pg.Client({
      host: this.place.socket,
      port: this.place.port,
      user: 'postgres',
      database: 'postgres',
    });
    await client.connect();
    return client;
  }

  /** Runs one statement. @returns its first row's first column as text */
  async ask(sql: string): Promise<string> {
    const client = await this.connect();
    try {
      const result = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
      return String(result.rows[0]?.[0] ?? '');
    } finally {
      await client.end();
    }
  }

  /** Asks until the answer is 'true'. */
  async waitUntil(what: string, sql: string): Promise<void> {
    for (let round = 0; round < patience * 10; round++) {
      if ((await this.ask(sql)) === 'true') return;
      await sleep(100);
    }
    throw new Error(`waited ${patience} s in vain until ${what}`);
  }
}
