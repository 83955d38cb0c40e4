/**
 * A session with a PostgreSQL server: connects as libpq would, gives every query a time limit, and answers with exact
 * values.
 *
 * npm's pg is loaded at the first connection: archive-push starts once per WAL segment and needs none.
 */
import { connect as connectSocket } from 'node:net';
import { userInfo } from 'node:os';
import type { Client, ClientConfig } from 'pg';
import { BackstopError } from '../base/error.ts';
import { defaultSocketDirectories, findPassword } from './password-file.ts';

/** Where a server is. */
export interface ConnectionConfig {
  /** Directory of the server's socket; libpq's default when absent (PGHOST, then the usual directories). */
  readonly socketPath?: string | undefined;
  readonly port: number;
  /** PGUSER, then the user of this process, when absent. */
  readonly user?: string | undefined;
  readonly database: string;
}

export interface SessionOptions {
  /** Milliseconds for the connection and for each query (option db-timeout). */
  readonly timeout: number;
  readonly warn: (message: string) => void;
  readonly environment?: NodeJS.ProcessEnv;
}

/** int8 is a bigint; int4 and oid are numbers; everything but bool is text. */
export type Value = string | number | bigint | boolean | null;
export type Row = Readonly<Record<string, Value>>;

/** One open connection. Queries are for one caller at a time. */
export class DatabaseSession {
  /** Milliseconds for each query. */
  readonly timeout: number;
  readonly #client: Client;
  readonly #place: Place;
  readonly #backend: Backend;
  #lost: Error | undefined;

  private constructor(client: Client, place: Place, timeout: number) {
    this.#client = client;
    this.#place = place;
    this.timeout = timeout;
    const { processID, secretKey } = client as unknown as { processID: unknown; secretKey: unknown };
    this.#backend = { processId: Number(processID), secretKey: Number(secretKey) };
    // without a listener a server that goes away would end the process
    client.on('error', error => {
      this.#lost ??= error;
    });
  }

  /** @throws db-connect with the reason for each place that was tried */
  static async open(config: ConnectionConfig, options: SessionOptions): Promise<DatabaseSession> {
    const environment = options.environment ?? process.env;
    const user = config.user ?? defaultUser(environment);
    const pg = await loadPg();
    const reasons: string[] = [];
    for (const place of placesOf(config, environment)) {
      const client = new pg.Client(clientConfig(config, options, place, user, environment));
      try {
        await client.connect();
        return new DatabaseSession(client, place, options.timeout);
      } catch (error) {
        reasons.push(`${place.host}: ${describe(error)}`);
        client.on('error', () => undefined);
        socketOf(client).destroy();
        // a server was there and said no: another place would be another server
        if (isServerError(error)) break;
      }
    }
    const target = [
      `dbname='${config.database}' port=${config.port}`,
      ...(config.user === undefined ? [] : [`user='${config.user}'`]),
      ...(config.socketPath === undefined ? [] : [`host='${config.socketPath}'`]),
    ].join(' ');
    throw new BackstopError('db-connect', `unable to connect to '${target}': ${reasons.join('; ')}`, {
      hint: [
        'is PostgreSQL running and accepting connections on this host?',
        'do pg-port, pg-socket-path and pg-user fit the cluster?',
      ],
    });
  }

  /** The connection is gone; the server has aborted whatever this session was doing. */
  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** Runs one statement. @throws db-query, also when it takes longer than the time limit */
  async rows(sql: string): Promise<Row[]> {
    if (this.#lost !== undefined) throw lostError(sql, this.#lost);
    const { signal, done } = this.#limit();
    try {
      const result = await Promise.race([this.#client.query<Row>(sql), signal]);
      return result.rows;
    } catch (error) {
      if (done.timedOut) {
        throw new BackstopError('db-query', `query '${sql}' timed out after ${this.timeout}ms`, { cause: error });
      }
      if (isServerError(error) && !isShutdown(error)) {
        throw new BackstopError('db-query', `unable to execute query '${sql}': ${describe(error)}`, { cause: error });
      }
      this.#lost ??= error as Error;
      throw lostError(sql, error);
    } finally {
      done.clear();
    }
  }

  /** Runs a query that gives one row. */
  async row(sql: string): Promise<Row> {
    const rows = await this.rows(sql);
    const [row] = rows;
    if (row === undefined || rows.length > 1) throw new BackstopError('db-query', `expected one row from '${sql}'`);
    return row;
  }

  /** Runs a query that gives one row of one column. */
  async value(sql: string): Promise<Value> {
    const values = Object.values(await this.row(sql));
    const [value] = values;
    if (value === undefined || values.length > 1) {
      throw new BackstopError('db-query', `expected one column from '${sql}'`);
    }
    return value;
  }

  /** Runs a statement that gives nothing. */
  async execute(sql: string): Promise<void> {
    const rows = await this.rows(sql);
    if (rows.length > 0) throw new BackstopError('db-query', `no result expected from '${sql}'`);
  }

  /** Ends the session. Never throws, whatever became of the connection. */
  async close(): Promise<void> {
    if (this.#lost !== undefined) {
      socketOf(this.#client).destroy();
      return;
    }
    this.#lost = new Error('the session was closed');
    await Promise.race([this.#client.end(), new Promise(resolve => setTimeout(resolve, 1000).unref())]);
    socketOf(this.#client).destroy();
  }

  /**
   * The clock of one query. When it runs out the server is asked to cancel, which ends the query with an error and
   * leaves the session usable; a server that does not even do that has lost it.
   */
  #limit(): { signal: Promise<never>; done: { timedOut: boolean; clear(): void } } {
    let graceTimer: NodeJS.Timeout | undefined;
    let fail: (error: Error) => void = () => undefined;
    const signal = new Promise<never>((_resolve, reject) => {
      fail = reject;
    });
    const timer = setTimeout(() => {
      done.timedOut = true;
      cancelQuery(this.#place, this.#backend);
      graceTimer = setTimeout(() => {
        const error = new Error('the server did not cancel the query');
        this.#lost ??= error;
        socketOf(this.#client).destroy();
        fail(error);
      }, cancelGrace);
    }, this.timeout);
    const done = {
      timedOut: false,
      clear: () => {
        clearTimeout(timer);
        clearTimeout(graceTimer);
      },
    };
    return { signal, done };
  }
}

/**
 * npm's pg, at its first load, wants to know whether it runs at Cloudflare. Where there is no `navigator` to tell (Node 20) it
 * makes a Response to find out, for which Node loads its HTTP client: half of the 40 ms of processor time that pg takes.
 */
async function loadPg(): Promise<Pick<typeof import('pg'), 'Client'>> {
  if ('navigator' in globalThis) return (await import('pg')).default;
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Node.js' }, configurable: true });
  try {
    return (await import('pg')).default;
  } finally {
    Reflect.deleteProperty(globalThis, 'navigator');
  }
}

/** Milliseconds that a server has for ending a query it was asked to cancel. */
const cancelGrace = 5000;

interface Place {
  /** Host name, or directory of the socket. */
  readonly host: string;
  readonly port: number;
  readonly ssl: ClientConfig['ssl'];
}

interface Backend {
  readonly processId: number;
  readonly secretKey: number;
}

/** Everywhere the server may be, in the order to try. */
function placesOf(config: ConnectionConfig, environment: NodeJS.ProcessEnv): Place[] {
  const { port } = config;
  const named = config.socketPath ?? environment.PGHOST ?? '';
  const hosts = named === '' ? defaultSocketDirectories : named.split(',');
  return hosts.flatMap(host =>
    host.startsWith('/') ? [{ host, port, ssl: false }] : sslModes(environment).map(ssl => ({ host, port, ssl })),
  );
}

/** Ways to secure a TCP connection, as libpq takes them from PGSSLMODE. */
function sslModes(environment: NodeJS.ProcessEnv): ClientConfig['ssl'][] {
  const unverified = { rejectUnauthorized: false };
  switch (environment.PGSSLMODE) {
    case 'disable':
      return [false];
    case 'allow':
      return [false, unverified];
    case 'require':
      return [unverified];
    case 'verify-ca':
      return [{ checkServerIdentity: () => undefined }];
    case 'verify-full':
      return [true];
    default:
      return [unverified, false];
  }
}

function defaultUser(environment: NodeJS.ProcessEnv): string {
  if (environment.PGUSER !== undefined && environment.PGUSER !== '') return environment.PGUSER;
  try {
    return userInfo().username;
  } catch (error) {
    throw new BackstopError('db-connect', `unable to find the name of the user with id ${process.getuid?.()}`, {
      cause: error,
      hint: 'set pg-user to the user of the database',
    });
  }
}

function clientConfig(
  config: ConnectionConfig,
  options: SessionOptions,
  place: Place,
  user: string,
  environment: NodeJS.ProcessEnv,
): ClientConfig {
  const { database } = config;
  return {
    ...place,
    database,
    user,
    // a function, so that the file is read only when the server asks
    password: async () => {
      const password = await findPassword({ ...place, database, user }, environment, options.warn);
      if (password === undefined)
        throw new Error('the server wants a password, but none is in PGPASSWORD or ~/.pgpass');
      return password;
    },
    connectionTimeoutMillis: options.timeout,
    keepAlive: true,
    types: { getTypeParser: parserOf as NonNullable<ClientConfig['types']>['getTypeParser'] },
  };
}

/** Readers for the text form of the types that our queries give (numbers are oids of pg_type). */
function parserOf(type: number): (text: string) => Value {
  switch (type) {
    case 16:
      return text => text === 't';
    case 20:
      return BigInt;
    case 21:
    case 23:
    case 26:
      return Number;
    default:
      return text => text;
  }
}

/**
 * Asks the server to cancel what a session is doing: 16 bytes on a connection of its own, to which there is no answer.
 * That it fails changes nothing, since the grace time is running.
 */
function cancelQuery(place: Place, backend: Backend): void {
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE(80877102, 4);
  request.writeInt32BE(backend.processId, 8);
  request.writeInt32BE(backend.secretKey, 12);
  const socket = place.host.startsWith('/')
    ? connectSocket(`${place.host}/.s.PGSQL.${place.port}`)
    : connectSocket(place.port, place.host);
  socket.on('error', () => socket.destroy());
  socket.setTimeout(cancelGrace, () => socket.destroy());
  socket.end(request);
}

function socketOf(client: Client): { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
}

/** True for what the server itself said (it has a five-character SQLSTATE). */
function isServerError(error: unknown): boolean {
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && code.length === 5 && severity !== undefined;
}

/** True when the server said that it ends this session: administrator, crash, or start-up state. */
function isShutdown(error: unknown): boolean {
  const { code, severity } = error as { code: string; severity: string };
  return severity === 'FATAL' || severity === 'PANIC' || code.startsWith('57P');
}

function lostError(sql: string, error: unknown): BackstopError {
  return new BackstopError('db-query', `unable to complete query '${sql}': ${describe(error)}`, {
    cause: error,
    hint: [
      'this is usually caused by the connection to PostgreSQL being lost while the query was running.',
      'check idle_session_timeout and idle_in_transaction_session_timeout for aggressive settings.',
      'check the PostgreSQL log and network for a crash, restart, or timeout.',
    ],
  });
}

function describe(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join(', ');
  if (!(error instanceof Error)) return String(error);
  const { severity } = error as { severity?: unknown };
  return typeof severity === 'string' ? `${severity}: ${error.message}` : error.message;
}
