/**
 * A cluster whose WAL and postgresql.conf lie behind links, with two tablespaces: restored with all that can be said of
 * places and recovery settings, and started each time.
 */
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { Archiver, TestStanza, type Tool } from '../support/stanza.ts';
import { giveTo, type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
let project: RunnableProject;
let tool: Tool;
let cluster: TestCluster;
let stanza: TestStanza;
let oids: Record<string, string>;

beforeAll(async () => {
  project = runnableProject(user);
  tool = project.command;
  cluster = await TestCluster.create({ walSegmentSize: 1 });
  const archiver = new Archiver(cluster);
  cluster.makeFolder('etc', 0o700);
  for (const [name, place] of [
    ['pg_wal', 'wal'],
    ['postgresql.conf', 'etc/postgresql.conf'],
  ] as const) {
    renameSync(join(cluster.dataDirectory, name), join(cluster.root, place));
    symlinkSync(join(cluster.root, place), join(cluster.dataDirectory, name));
  }
  stanza = new TestStanza(cluster, 'stanza', { 'compress-type': 'lz4' });
  archiver.use(stanza, tool);
  await cluster.start();
  for (const name of ['near', 'far']) {
    await cluster.sql(`create tablespace ${name} location '${cluster.makeFolder(name, 0o700)}'`);
    await cluster.sql(`create table in_${name} tablespace ${name} as select n from generate_series(1, 1000) n`);
  }
  const rows = await cluster.sql<{ spcname: string; oid: string }>('select spcname, oid::text from pg_tablespace');
  oids = Object.fromEntries(rows.map(({ spcname, oid }) => [spcname, oid]));
  await stanza.run(tool, 'stanza-create');
  await stanza.run(tool, 'backup', '--type=full');
  await cluster.sql('insert into in_near select n from generate_series(1, 1000) n');
  const last = await cluster.walName();
  await cluster.switchWal();
  await cluster.waitFor(`select last_archived_wal >= '${last}' from pg_stat_archiver`);
});
afterAll(async () => {
  await stanza?.dispose();
  await cluster?.dispose();
  project?.remove();
});

/** Starts what was restored, waits for its recovery, looks at its rows and ends it. */
async function expectAlive(restored: TestCluster): Promise<void> {
  await restored.start();
  await restored.waitFor('select not pg_is_in_recovery()');
  expect(await restored.value('select count(*) from in_far')).toBe('1000');
  expect(Number(await restored.value('select count(*) from in_near'))).toBeGreaterThanOrEqual(1000);
  await restored.sql('insert into in_far values (0)');
  await restored.stop();
  expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
}

const promote = ['--type=immediate', '--target-action=promote'];
const spaceOf = (data: string, name: string): string => readlinkSync(join(data, 'pg_tblspc', oids[name] ?? ''));
/** Makes an empty folder for a restore. */
function newFolder(path: string): string {
  mkdirSync(path, { mode: 0o700 });
  giveTo(user, path);
  return path;
}

/** A folder beside the data directory, which need not exist. */
const beside = (data: string, name: string): string => `${data}-${name}`;

describe('links', () => {
  it('become a directory and a file when nobody asks for them', async () => {
    const data = stanza.newDataDirectory();
    const restored = await stanza.restore(tool, [...promote, `--tablespace-map-all=${beside(data, 'ts')}`], data);
    expect(lstatSync(join(data, 'pg_wal')).isDirectory()).toBe(true);
    expect(lstatSync(join(data, 'postgresql.conf')).isFile()).toBe(true);
    for (const name of ['near', 'far']) expect(spaceOf(data, name)).toBe(join(beside(data, 'ts'), name));
    await expectAlive(restored);
  });

  it('are mapped elsewhere, and with delta elsewhere again', async () => {
    const data = stanza.newDataDirectory();
    const maps = (to: string): string[] => [
      ...promote,
      // by name and by oid
      `--tablespace-map=near=${beside(data, `${to}-near`)}`,
      `--tablespace-map=${oids.far}=${beside(data, `${to}-far`)}`,
      `--link-map=pg_wal=${beside(data, `${to}/wal`)}`,
      `--link-map=postgresql.conf=${beside(data, `${to}-etc/main.conf`)}`,
      // that was none
      `--link-map=pg_ident.conf=${beside(data, `${to}-etc/ident.conf`)}`,
    ];
    for (const to of ['one', 'two']) {
      const restored = await stanza.restore(tool, [...maps(to), ...(to === 'two' ? ['--delta'] : [])], data);
      expect(readlinkSync(join(data, 'pg_wal'))).toBe(beside(data, `${to}/wal`));
      expect(readlinkSync(join(data, 'postgresql.conf'))).toBe(beside(data, `${to}-etc/main.conf`));
      expect(readFileSync(beside(data, `${to}-etc/ident.conf`)).length).toBeGreaterThan(100);
      for (const name of ['near', 'far']) expect(spaceOf(data, name)).toBe(beside(data, `${to}-${name}`));
      await expectAlive(restored);
      expect(readdirSync(beside(data, `${to}/wal`)).some(name => /^[0-9A-F]{24}$/.test(name))).toBe(true);
    }
    const log = readFileSync(join(stanza.folder, 'log/demo-restore.log'), 'utf8');
    expect(log).toContain(`map link 'pg_wal' to '${beside(data, 'two/wal')}'`);
    expect(log).toContain(`map tablespace 'pg_tblspc/${oids.far}' to '${beside(data, 'two-far')}'`);
  });
});

describe('recovery settings', () => {
  it('archive-mode and recovery-option reach the server', async () => {
    const data = stanza.newDataDirectory();
    const args = [
      `--tablespace-map-all=${beside(data, 'ts')}`,
      '--archive-mode=off',
      '--recovery-option=archive-cleanup-command=/bin/true %r',
      '--recovery-option=recovery_end_command=/bin/echo ended',
    ];
    await stanza.run(tool, 'restore', `--pg1-path=${newFolder(data)}`, ...args);
    const settings = readFileSync(join(data, 'postgresql.auto.conf'), 'utf8').split('\n');
    expect(settings.map(line => line.replace(/ = .*/, '')).filter(line => /^[a-z]/.test(line))).toEqual([
      'archive_cleanup_command',
      'recovery_end_command',
      'archive_mode',
      'restore_command',
    ]);
    const restored = await TestCluster.open(data, { binaries: cluster.binaries });
    try {
      await restored.start();
      await restored.waitFor('select not pg_is_in_recovery()');
      for (const [name, value] of Object.entries({
        archive_mode: 'off',
        archive_cleanup_command: '/bin/true %r',
        recovery_end_command: '/bin/echo ended',
      })) {
        expect(await restored.value(`show ${name}`)).toBe(value);
      }
      expect(restored.log).toMatch(/^ended$/m);
      expect(Number(await restored.value('select count(*) from in_near'))).toBe(2000);
    } finally {
      await restored.dispose();
    }
  });

  it('a restore_command of the user is kept, and standby_mode is refused', async () => {
    const data = stanza.newDataDirectory();
    const args = [`--pg1-path=${newFolder(data)}`, `--tablespace-map-all=${beside(data, 'ts')}`];
    const refused = await stanza.attempt(tool, ['restore', ...args, '--recovery-option=standby_mode=on']);
    expect(refused.stderr).toContain("'standby_mode' setting is not valid for PostgreSQL >= 12");
    expect(refused.code).toBe(31);
    expect(readdirSync(data)).toEqual([]);
    await stanza.run(tool, 'restore', ...args, '--recovery-option=restore_command=cp /nowhere/%f %p');
    expect(readFileSync(join(data, 'postgresql.auto.conf'), 'utf8')).toMatch(
      /^restore_command = 'cp \/nowhere\/%f %p'$/m,
    );
    expect((await stanza.attempt(tool, ['restore', ...args, '--type=none', '--recovery-option=a=b'])).code).toBe(31);
  });
});

describe('modes and owners', () => {
  it('are those of the backup, also when the folder had others', async () => {
    const data = newFolder(stanza.newDataDirectory());
    const args = ['--type=none', `--tablespace-map-all=${beside(data, 'ts')}`];
    await stanza.run(tool, 'restore', `--pg1-path=${data}`, ...args);
    const modeOf = (name: string): number => statSync(join(data, name)).mode & 0o777;
    expect(['', 'base', 'PG_VERSION', 'global/pg_control'].map(modeOf)).toEqual([0o700, 0o700, 0o600, 0o600]);
    await runAs(user, ['chmod', '755', join(data, 'base')]);
    await runAs(user, ['chmod', '644', join(data, 'PG_VERSION')]);
    const output = await stanza.run(
      tool,
      'restore',
      `--pg1-path=${data}`,
      ...args,
      '--delta',
      '--log-level-console=detail',
    );
    expect(output).toContain(`update mode for '${join(data, 'base')}' to 0700`);
    expect(['', 'base', 'PG_VERSION', 'global/pg_control'].map(modeOf)).toEqual([0o700, 0o700, 0o600, 0o600]);
  });

  it.runIf(user.foreign)('root restores without being asked, but runs nothing else without leave', async () => {
    const root = { ...user, name: 'root', uid: 0, gid: 0, home: '/root', foreign: false };
    const data = newFolder(stanza.newDataDirectory());
    const asRoot = (...args: string[]): Promise<RunResult> =>
      runAs(root, stanza.commandLine(tool, ...args), { env: { HOME: user.home } });
    const restore = ['restore', `--pg1-path=${data}`, '--type=none', `--tablespace-map-all=${beside(data, 'ts')}`];
    expect((await asRoot(...restore, '--no-allow-root')).code).toBe(31);
    expect(readdirSync(data)).toEqual([]);
    const result = await asRoot(...restore);
    expect(result.code, result.stdout + result.stderr).toBe(0);
    for (const path of [data, join(data, 'PG_VERSION'), beside(data, 'ts'), spaceOf(data, 'near')]) {
      expect(lstatSync(path), path).toMatchObject({ uid: user.uid, gid: user.gid });
    }
    // what was given to another is ours again, which only root can do
    chownSync(join(data, 'base'), 0, 0);
    expect((await stanza.attempt(tool, [...restore, '--delta'])).code).not.toBe(0);
    expect((await asRoot(...restore, '--delta')).code).toBe(0);
    expect(lstatSync(join(data, 'base'))).toMatchObject({ uid: user.uid, gid: user.gid });
    expect((await asRoot('info')).code).toBe(31);
    expect((await asRoot('info', '--allow-root')).code).toBe(0);
  });
});

describe('the original is away', () => {
  it('--link-all puts everything where it was', async () => {
    await cluster.stop();
    const { root, dataDirectory } = cluster;
    const places = ['data', 'wal', 'etc', 'near', 'far'];
    for (const name of places) renameSync(join(root, name), join(root, `${name}.away`));
    try {
      const restored = await stanza.restore(tool, [...promote, '--link-all'], newFolder(dataDirectory));
      expect(readlinkSync(join(dataDirectory, 'pg_wal'))).toBe(join(root, 'wal'));
      expect(readlinkSync(join(dataDirectory, 'postgresql.conf'))).toBe(join(root, 'etc/postgresql.conf'));
      expect(spaceOf(dataDirectory, 'far')).toBe(join(root, 'far'));
      expect(existsSync(join(root, 'etc/postgresql.conf'))).toBe(true);
      await expectAlive(restored);
      expect(readdirSync(join(root, 'wal')).some(name => /^[0-9A-F]{24}$/.test(name))).toBe(true);
    } finally {
      for (const name of places) {
        rmSync(join(root, name), { recursive: true, force: true });
        renameSync(join(root, `${name}.away`), join(root, name));
      }
    }
  });
});
