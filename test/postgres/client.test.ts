/** Sessions with a real server, and the ways in which they fail. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConnectionConfig, DatabaseSession, type SessionOptions } from '../../src/postgres/client.ts';
import { choosePassword } from '../../src/postgres/password-file.ts';
import { freePort, TestCluster } from '../support/cluster.ts';

let server: TestCluster;
const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-client-'));
const warnings: string[] = [];

beforeAll(async () => {
  server = await TestCluster.create();
  await server.start();
}, 60_000);

afterAll(async () => {
  await server.dispose();
  rmSync(folder, { recursive: true });
});

const open = (
  config: Partial<ConnectionConfig> = {},
  options: Partial<SessionOptions> = {},
): Promise<DatabaseSession> =>
  DatabaseSession.open(
    { socketPath: server.socketDirectory, port: server.port, user: server.user.name, database: 'postgres', ...config },
    { timeout: 5000, warn: message => warnings.push(message), environment: { HOME: folder }, ...options },
  );

const kindOf = (kind: string, message: RegExp) =>
  expect.objectContaining({ kind, message: expect.stringMatching(message) });

describe('answers', () => {
  test('are exact', async () => {
    const session = await open();
    const row = await session.row(
      `select 9223372036854775807::int8 as big, -5::int4 as small, 4294967295::oid as oid, true as yes, false as no,
         null::text as nothing, 'Größe'::text as text, '16/B374D848'::pg_lsn as lsn, ''::text as empty`,
    );
    expect(row).toEqual({
      big: 9223372036854775807n,
      small: -5,
      oid: 4294967295,
      yes: true,
      no: false,
      nothing: null,
      text: 'Größe',
      lsn: '16/B374D848',
      empty: '',
    });
    expect(await session.value('select 1')).toBe(1);
    expect(await session.rows('select n from generate_series(1, 3) n')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(await session.rows('select 1 where false')).toEqual([]);
    await session.execute("set search_path = 'pg_catalog'");
    await session.close();
  });

  test.each([
    ['no row', 'row', 'select 1 where false', /expected one row/],
    ['two rows', 'row', 'select generate_series(1, 2)', /expected one row/],
    ['two columns', 'value', 'select 1 as a, 2 as b', /expected one column/],
    ['a row for a command', 'execute', 'select 1', /no result expected/],
    ['nonsense', 'rows', 'selekt', /unable to execute query 'selekt': ERROR: syntax error/],
    ['nothing of the kind', 'rows', 'select * from nowhere', /relation "nowhere" does not exist/],
  ] as const)('%s is an error', async (_name, method, sql, message) => {
    const session = await open();
    await expect(session[method](sql)).rejects.toThrow(kindOf('db-query', message));
    // and the session goes on
    expect(session.lost).toBe(false);
    expect(await session.value('select 1')).toBe(1);
    await session.close();
  });
});

describe('connections that fail', () => {
  test('nobody listens', async () => {
    await expect(open({ socketPath: folder })).rejects.toThrow(
      kindOf('db-connect', new RegExp(`unable to connect to 'dbname='postgres' port=.*${folder}.*ENOENT`)),
    );
  });

  test('nobody listens in the usual directories', async () => {
    const port = await freePort();
    const usual = open({ socketPath: undefined, port });
    await expect(usual).rejects.toThrow(kindOf('db-connect', /\/var\/run\/postgresql: .*; \/tmp: /));
  });

  test('nobody listens on a TCP port', async () => {
    const port = await freePort();
    await expect(open({ socketPath: '127.0.0.1', port })).rejects.toThrow(kindOf('db-connect', /ECONNREFUSED/));
  });

  test('an unknown user, an unknown database', async () => {
    await expect(open({ user: 'nobody else' })).rejects.toThrow(
      kindOf('db-connect', /role "nobody else" does not exist/),
    );
    await expect(open({ database: 'nowhere' })).rejects.toThrow(
      kindOf('db-connect', /database "nowhere" does not exist/),
    );
  });

  describe('because what listens is no server', () => {
    const servers: Server[] = [];
    const listen = async (answer: Buffer | undefined): Promise<ConnectionConfig> => {
      const port = await freePort();
      const listener = createServer(socket => {
        socket.on('error', () => socket.destroy());
        socket.on('data', () => {
          if (answer !== undefined) socket.end(answer);
        });
      });
      servers.push(listener);
      await new Promise<void>(resolve => listener.listen(port, '127.0.0.1', resolve));
      return { socketPath: '127.0.0.1', port, user: 'u', database: 'd' };
    };
    afterAll(() => {
      for (const listener of servers) listener.close();
    });

    const plain: Partial<SessionOptions> = { environment: { PGSSLMODE: 'disable' }, timeout: 500 };

    test('it never answers', async () => {
      const start = performance.now();
      await expect(open(await listen(undefined), plain)).rejects.toThrow(kindOf('db-connect', /timeout/));
      expect(performance.now() - start).toBeLessThan(4000);
    });

    test('it hangs up', async () => {
      await expect(open(await listen(Buffer.alloc(0)), plain)).rejects.toThrow(kindOf('db-connect', /terminated/));
    });

    test.each([
      ['a web server', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
      ['noise', Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255])],
    ])('it is %s', async (_name, answer) => {
      await expect(open(await listen(answer), plain)).rejects.toMatchObject({ kind: 'db-connect' });
    });
  });
});

describe('where libpq would look', () => {
  test('PGHOST and PGUSER', async () => {
    const environment = { PGHOST: `${folder},${server.socketDirectory}`, PGUSER: server.user.name };
    const session = await open({ socketPath: undefined, user: undefined }, { environment });
    expect(await session.value('select current_user::text')).toBe(server.user.name);
    await session.close();
  });

  test('configured values come first', async () => {
    const environment = { PGHOST: folder, PGUSER: 'nobody else', PGDATABASE: 'nowhere', PGPORT: '1' };
    const session = await open({}, { environment });
    expect(await session.value('select current_database()::text')).toBe('postgres');
    await session.close();
  });

  test('the user of the process', async () => {
    const attempt = open({ user: undefined }, { environment: {} });
    // tests run as root on some machines, and there is no such role
    if (server.user.foreign) await expect(attempt).rejects.toThrow(kindOf('db-connect', /role "root" does not exist/));
    else await (await attempt).close();
  });
});

describe('time limits', () => {
  test('a slow query is cancelled and the session goes on', async () => {
    const session = await open({}, { timeout: 300 });
    await expect(session.rows('select pg_sleep(60)')).rejects.toThrow(
      kindOf('db-query', /^query 'select pg_sleep\(60\)' timed out after 300ms$/),
    );
    expect(await session.value('select 1')).toBe(1);
    await session.close();
    await server.waitFor(
      "select count(*) = 0 from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active'",
    );
  });

  test('a server that stopped answering is given up', { timeout: 30_000 }, async () => {
    const session = await open({}, { timeout: 300 });
    const pid = Number(await session.value('select pg_backend_pid()'));
    process.kill(pid, 'SIGSTOP');
    try {
      await expect(session.rows('select 1')).rejects.toThrow(kindOf('db-query', /timed out after 300ms/));
      expect(session.lost).toBe(true);
      await expect(session.rows('select 1')).rejects.toThrow(kindOf('db-query', /unable to complete query/));
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await session.close();
  });
});

describe('connections that are lost', () => {
  test('while idle', async () => {
    const session = await open();
    await server.sql(`select pg_terminate_backend(${await session.value('select pg_backend_pid()')})`);
    await server.waitFor(`select count(*) = 1 from pg_stat_activity where backend_type = 'client backend'`);
    await expect(session.rows('select 1')).rejects.toThrow(kindOf('db-query', /unable to complete query 'select 1'/));
    expect(session.lost).toBe(true);
    await session.close();
  });

  test('during a query', async () => {
    const session = await open();
    const pid = await session.value('select pg_backend_pid()');
    const query = expect(session.rows('select pg_sleep(30)')).rejects.toMatchObject({
      kind: 'db-query',
      message: expect.stringContaining('terminating connection due to administrator command'),
      hints: expect.arrayContaining([expect.stringContaining('connection to PostgreSQL being lost')]),
    });
    await server.waitFor(`select state = 'active' from pg_stat_activity where pid = ${pid}`);
    await server.sql(`select pg_terminate_backend(${pid})`);
    await query;
    expect(session.lost).toBe(true);
    await session.close();
    await session.close();
  });

  test('by ourselves', async () => {
    const session = await open();
    await session.close();
    await expect(session.rows('select 1')).rejects.toMatchObject({ kind: 'db-query' });
  });
});

describe('passwords', () => {
  const secret = 'p:a\\ss';
  let hba: string;
  beforeAll(async () => {
    await server.sql(`create role guarded login password '${secret}'`);
    hba = readFileSync(join(server.dataDirectory, 'pg_hba.conf'), 'utf8');
    writeFileSync(join(server.dataDirectory, 'pg_hba.conf'), `local all guarded scram-sha-256\n${hba}`);
    await server.reload();
  });
  afterAll(async () => {
    writeFileSync(join(server.dataDirectory, 'pg_hba.conf'), hba);
    await server.reload();
  });

  const file = join(folder, 'pass');
  const write = (text: string, mode = 0o600): void => {
    writeFileSync(file, text);
    chmodSync(file, mode);
  };
  const line = (): string => `${server.socketDirectory}:*:postgres:guarded:p\\:a\\\\ss\n`;

  test('from the password file', async () => {
    write(`# mine\nother:5432:*:*:wrong\n${line()}`);
    const session = await open({ user: 'guarded' }, { environment: { PGPASSFILE: file } });
    expect(await session.value('select current_user::text')).toBe('guarded');
    await session.close();
  });

  test('from PGPASSWORD', async () => {
    const session = await open({ user: 'guarded' }, { environment: { PGPASSWORD: secret } });
    await session.close();
  });

  test('a wrong one is refused and never shown', async () => {
    const attempt = open({ user: 'guarded' }, { environment: { PGPASSWORD: 'wrong one' } });
    await expect(attempt).rejects.toThrow(kindOf('db-connect', /password authentication failed for user "guarded"/));
    await expect(attempt).rejects.toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('wrong one') }),
    );
  });

  test('none', async () => {
    const attempt = open({ user: 'guarded' }, { environment: { HOME: folder } });
    await expect(attempt).rejects.toThrow(kindOf('db-connect', /the server wants a password/));
  });

  test('a file that others can read is not used', async () => {
    write(line(), 0o640);
    warnings.length = 0;
    await expect(open({ user: 'guarded' }, { environment: { PGPASSFILE: file } })).rejects.toMatchObject({
      kind: 'db-connect',
    });
    expect(warnings).toEqual([expect.stringContaining('has group or world access')]);
  });
});

describe('lines of a password file', () => {
  const question = { host: 'h', port: 5432, database: 'd', user: 'u' };
  test.each([
    ['h:5432:d:u:p', 'p'],
    ['*:*:*:*:p', 'p'],
    ['x:*:*:*:no\n*:*:*:*:yes\n*:*:*:*:late', 'yes'],
    ['h:5433:d:u:p', undefined],
    ['h:5432:d:U:p', undefined],
    ['h:5432:d:u:', undefined],
    ['h:5432:d:u', undefined],
    ['#h:5432:d:u:p', undefined],
    ['h:5432:d:u:p:q\r\n', 'p:q'],
    ['', undefined],
    [':::::', undefined],
  ])('%j', (text, password) => {
    expect(choosePassword(text, question)).toBe(password);
  });

  test('escapes, and sockets in the usual places', () => {
    expect(choosePassword('localhost:*:a\\:b:\\*:p', { host: '/tmp', port: 1, database: 'a:b', user: '*' })).toBe('p');
    expect(choosePassword('localhost:*:*:\\*:p', { host: '/tmp', port: 1, database: 'd', user: 'u' })).toBeUndefined();
    expect(choosePassword('/srv/pg:*:*:*:p', { host: '/srv/pg', port: 1, database: 'd', user: 'u' })).toBe('p');
  });
});
