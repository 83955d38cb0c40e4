/** Options of backup and restore that change what a set holds, or what comes back: each on a real cluster. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { postgresOf } from '../support/pg-binaries.ts';
import { findRealPgbackrest } from '../support/real-pgbackrest.ts';
import { Archiver, TestStanza, type Tool } from '../support/stanza.ts';
import { giveTo, type RunResult, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const postgres15 = await postgresOf('15', user);
const judge = postgres15 === undefined ? undefined : findRealPgbackrest();
let project: RunnableProject;
let ours: Tool;
let cluster: TestCluster;
let archiver: Archiver;
let stanza: TestStanza;

beforeAll(async () => {
  project = runnableProject(user);
  ours = project.command;
  cluster = await TestCluster.create(postgres15 === undefined ? {} : { binaries: postgres15 });
  archiver = new Archiver(cluster);
  stanza = new TestStanza(cluster, 'stanza', { 'compress-type': 'gz', 'compress-level': 1, 'repo1-hardlink': 'y' });
  archiver.use(stanza, ours);
  await cluster.start();
  await stanza.run(ours, 'stanza-create');
  for (const name of ['one', 'two']) await cluster.sql(`create database ${name}`);
  const client = await cluster.connect('two');
  await client.query('create table wanted as select n, repeat(md5(n::text), 4) as pad from generate_series(1, 2000) n');
  await client.end();
  await stanza.run(ours, 'backup', '--type=full');
});
afterAll(async () => {
  await cluster?.dispose();
  project?.remove();
});

const inBackup = (label: string, name: string): string => join(stanza.repo, 'backup/demo', label, name);
const newDirectory = (): string => {
  const path = stanza.newDataDirectory();
  mkdirSync(path, { mode: 0o700 });
  giveTo(user, path);
  return path;
};
const restore = (data: string, ...args: string[]): Promise<RunResult> =>
  stanza.attempt(ours, ['restore', `--pg1-path=${data}`, '--log-level-console=detail', ...args]);

describe('repo-hardlink', () => {
  it('shows every backup as a whole directory that shares its files', async () => {
    const full = await stanza.latest(ours);
    await cluster.sql('create table changed as select 1 as n');
    await cluster.sql('checkpoint');
    const output = await stanza.run(ours, 'backup', '--type=incr', '--log-level-console=detail');
    expect(output).toMatch(/DETAIL: hardlink pg_data\/PG_VERSION to /);
    const incr = await stanza.latest(ours);
    const inode = (label: string, name: string) => statSync(inBackup(label, `${name}.gz`)).ino;
    expect(inode(incr, 'pg_data/PG_VERSION')).toBe(inode(full, 'pg_data/PG_VERSION'));
    expect(inode(incr, 'pg_data/global/pg_control')).not.toBe(inode(full, 'pg_data/global/pg_control'));
    const filesOf = (data: string) => readdirSync(data, { recursive: true }).map(String);
    const held = new Set(filesOf(inBackup(incr, 'pg_data')));
    const missing = filesOf(inBackup(full, 'pg_data')).filter(
      name => /^base\/\d+\/\d+\.gz$/.test(name) && !held.has(name),
    );
    // a table that is gone may be missing, such as a catalog that was rewritten
    expect(missing.length).toBeLessThan(5);
    expect(held.has('pg_twophase')).toBe(true);
  });

  it.skipIf(judge === undefined)('is sound for the real tool too', async () => {
    const output = await stanza.run([judge?.path ?? ''], 'verify', '--log-level-console=info');
    expect(output).toContain('verify command end: completed successfully');
    expect(output).not.toMatch(/WARN|ERROR|invalid|missing/);
  });
});

describe('archive-copy', () => {
  it('puts the WAL into the backup, which then starts without an archive', async () => {
    await stanza.run(ours, 'backup', '--type=full', '--archive-copy');
    const label = await stanza.latest(ours);
    const wal = readdirSync(inBackup(label, 'pg_data/pg_wal')).filter(name => /^[0-9A-F]{24}\.gz$/.test(name));
    expect(wal.length).toBeGreaterThan(0);
    const restored = await stanza.restore(ours, ['--type=none', `--set=${label}`]);
    expect(existsSync(join(restored.dataDirectory, 'recovery.signal'))).toBe(false);
    await restored.start();
    expect(await restored.value('select count(*) from changed')).toBe('1');
    await restored.stop();
  });

  it('and one without it does not start so', async () => {
    await stanza.run(ours, 'backup', '--type=full');
    const restored = await stanza.restore(ours, ['--type=none', `--set=${await stanza.latest(ours)}`]);
    await expect(restored.start(20)).rejects.toThrow(/did not start/);
  });
});

describe('db-include and db-exclude', () => {
  let ids: Record<string, number>;
  beforeAll(async () => {
    const rows = await cluster.sql<{ datname: string; oid: number }>('select datname, oid::int from pg_database');
    ids = Object.fromEntries(rows.map(({ datname, oid }) => [datname, oid]));
  });

  const filesOf = (data: string, database: string): string[] =>
    readdirSync(join(data, 'base', String(ids[database])))
      .filter(name => name !== 'PG_VERSION')
      .map(name => join(data, 'base', String(ids[database]), name));
  const isZero = (path: string): boolean => readFileSync(path).every(byte => byte === 0);
  const places = (paths: readonly string[]): number => paths.reduce((sum, path) => sum + lstatSync(path).blocks, 0);

  it.each([['--db-include=two'], ['--db-exclude=one']])(
    '%s: the other database is zeros that take no place',
    async option => {
      const data = newDirectory();
      const result = await restore(data, option, '--type=immediate', '--target-action=promote');
      expect(result.code, result.stdout).toBe(0);
      expect(result.stdout).toContain(`databases excluded (zeroed) from selective restore (${ids.one})`);
      const zeroed = filesOf(data, 'one');
      expect(zeroed.length).toBeGreaterThan(200);
      expect(zeroed.every(isZero)).toBe(true);
      expect(places(zeroed)).toBe(0);
      expect(zeroed.map(path => statSync(path).size).sort()).toEqual(
        filesOf(cluster.dataDirectory, 'one')
          .filter(path => !/pg_internal/.test(path))
          .map(path => statSync(path).size)
          .sort(),
      );
      expect(readFileSync(join(data, 'base', String(ids.one), 'PG_VERSION'), 'utf8')).toBe(
        `${cluster.binaries.version.split('.')[0]}\n`,
      );
      const restored = await stanza.open(data);
      await restored.start();
      await restored.waitFor('select not pg_is_in_recovery()');
      const client = await restored.connect('two');
      expect((await client.query('select count(*)::int as n from wanted')).rows).toEqual([{ n: 2000 }]);
      await client.end();
      await expect(restored.connect('one')).rejects.toThrow();
      await restored.sql('drop database one');
      await restored.stop();
    },
  );

  it('takes oids too, and zeros again with delta', async () => {
    const data = newDirectory();
    expect((await restore(data)).code).toBe(0);
    expect(filesOf(data, 'one').every(isZero)).toBe(false);
    const result = await restore(data, '--delta', `--db-exclude=${ids.one}`);
    expect(result.code, result.stdout).toBe(0);
    expect(filesOf(data, 'one').every(isZero)).toBe(true);
    expect(places(filesOf(data, 'one'))).toBe(0);
    expect(filesOf(data, 'two').every(isZero)).toBe(false);
    // and back
    expect((await restore(data, '--delta')).code).toBe(0);
    expect(filesOf(data, 'one').every(isZero)).toBe(false);
  });

  it.each([
    [['--db-include=nobody'], 80, "database to include 'nobody' does not exist"],
    [['--db-exclude=999999'], 80, "database to exclude '999999' does not exist"],
    [['--db-include=postgres'], 81, "database to include 'postgres' is a system database"],
    [['--db-exclude=1'], 81, "database to exclude '1' is a system database"],
    [['--db-include=one', '--db-exclude=one'], 81, 'is in the exclude list'],
  ])('%s is refused and nothing is written', async (args, code, message) => {
    const data = newDirectory();
    const result = await restore(data, ...args);
    expect(result.code, result.stdout).toBe(code);
    expect(result.stdout + result.stderr).toContain(message);
    expect(existsSync(join(data, 'PG_VERSION'))).toBe(false);
  });
});

describe('times that cannot be trusted switch delta on', () => {
  const incr = async (...args: string[]): Promise<string> =>
    await stanza.run(ours, 'backup', '--type=incr', '--log-level-console=detail', ...args);
  const path = () => join(cluster.dataDirectory, 'pg_ident.conf');
  const setTime = (seconds: number) => utimesSync(path(), seconds, seconds);

  it('in the future; older than in the prior; other size at the same time', async () => {
    expect(await incr()).not.toContain('enabling delta checksum');
    const now = Math.floor(Date.now() / 1000);
    setTime(now + 5000);
    expect(await incr()).toMatch(
      /WARN: file 'pg_data\/pg_ident\.conf' has timestamp \(\d+\) in the future \(relative to copy start \d+\), enabling delta checksum/,
    );
    setTime(now - 5000);
    const older = await incr();
    expect(older).toMatch(/WARN: file 'pg_data\/pg_ident\.conf' has timestamp earlier than prior backup/);
    expect(older).toMatch(/match file from prior backup .*PG_VERSION/);
    writeFileSync(path(), `${readFileSync(path(), 'utf8')}# longer\n`);
    setTime(now - 5000);
    expect(await incr()).toMatch(
      /WARN: file 'pg_data\/pg_ident\.conf' has same timestamp \(\d+\) as prior but different size/,
    );
    expect(await incr()).not.toContain('enabling delta checksum');
  });

  it('the online option has changed', async () => {
    await cluster.stop();
    expect(await incr('--no-online')).toMatch(
      /WARN: the online option has changed since the \S+ backup, enabling delta checksum/,
    );
    await cluster.start();
    expect(await incr()).toContain('the online option has changed');
  });
});

describe('exclude', () => {
  it('leaves files and folders out', async () => {
    const folder = join(cluster.dataDirectory, 'mine');
    mkdirSync(folder);
    writeFileSync(join(folder, 'file'), 'x');
    writeFileSync(join(cluster.dataDirectory, 'other'), 'x');
    for (const one of [folder, join(folder, 'file'), join(cluster.dataDirectory, 'other')]) giveTo(user, one);
    await stanza.run(ours, 'backup', '--type=incr');
    const all = newDirectory();
    expect((await restore(all)).code).toBe(0);
    expect([existsSync(join(all, 'mine/file')), existsSync(join(all, 'other'))]).toEqual([true, true]);
    const output = await stanza.run(
      ours,
      'backup',
      '--type=incr',
      '--exclude=mine/',
      '--exclude=other',
      '--log-level-console=info',
    );
    expect(output).toMatch(/INFO: exclude contents of '.*\/mine' from backup using 'mine\/' exclusion/);
    const part = newDirectory();
    expect((await restore(part)).code).toBe(0);
    expect([
      existsSync(join(part, 'mine')),
      existsSync(join(part, 'mine/file')),
      existsSync(join(part, 'other')),
    ]).toEqual([true, false, false]);
    rmSync(folder, { recursive: true });
    rmSync(join(cluster.dataDirectory, 'other'));
  });
});

it('databases of any name are backed up, and the backup can be read', async () => {
  for (const name of ['"line\nbreak"', '"={}=1"']) await cluster.sql(`create database ${name}`);
  const output = await stanza.run(ours, 'backup', '--type=incr', '--log-level-console=warn');
  const [row] = await cluster.sql<{ oid: number }>("select oid::int from pg_database where datname = E'line\\nbreak'");
  expect(output).toContain(`WARN: the name of the database with oid ${row?.oid} has a line break`);
  const data = newDirectory();
  const result = await restore(data, '--db-exclude=={}=1', `--db-exclude=${row?.oid}`);
  expect(result.code, result.stdout).toBe(0);
  expect(readFileSync(join(data, 'base', String(row?.oid), '1259')).every(byte => byte === 0)).toBe(true);
});
